const sum = (numbers) => numbers.reduce((total, one) => total + one, 0);
const shown = (value) => (Number.isNaN(value) ? "–" : value.toFixed(3));

/** The scores of some labels together, at one step of the slider; NaN where a score has no meaning. */
function scoresAt(counts, step, labels) {
  const hits = sum(labels.map((c) => counts.hits[c][step]));
  const predicted = sum(labels.map((c) => counts.predicted[c][step]));
  const positives = sum(labels.map((c) => counts.positives[c]));
  const cells = sum(labels.map((c) => counts.cells[c]));
  return {
    accuracy: 1 - (predicted + positives - 2 * hits) / cells,
    nothing: 1 - positives / cells,
    precision: hits / predicted,
    recall: hits / positives,
    f1: positives ? (2 * hits) / (predicted + positives) : NaN,
  };
}

function threshold() {
  const { counts, threshold, thresholds } = JSON.parse(find("counts").textContent);
  const all = counts.positives.map((_, c) => c);
  const withPositive = all.filter((c) => counts.positives[c] > 0);
  const last = counts.hits[0].length - 1;
  const slider = find("slider");
  const ofLabel = find("of-label");
  const chosen = () => (ofLabel.value === "" ? all : [Number(ofLabel.value)]);

  const move = () => {
    const step = Math.round(slider.value * last);
    const scores = scoresAt(counts, step, chosen());
    for (const [name, value] of Object.entries(scores)) find(name).textContent = shown(value);
    find("macro").textContent = shown(
      sum(withPositive.map((c) => scoresAt(counts, step, [c]).f1)) / withPositive.length
    );
    const at = (step / last).toFixed(2);
    find("at").textContent = at;
    slider.setAttribute("aria-valuetext", `${at}: F1 ${shown(scores.f1)}, accuracy ${shown(scores.accuracy)}`);
    for (const end of ["x1", "x2"]) find("marker").setAttribute(end, (100 * step) / last);
  };

  const draw = () => {
    const steps = counts.hits[0].map((_, step) => scoresAt(counts, step, chosen()));
    for (const name of ["accuracy", "precision", "recall", "f1"]) {
      const points = steps.map((scores, step) => [(100 * step) / last, 100 - 100 * scores[name]]);
      find(`curve-${name}`).setAttribute("points", points.filter(([, y]) => !Number.isNaN(y)).join(" "));
    }
    const own = ofLabel.value === "" ? threshold : thresholds[chosen()[0]];
    find("model-threshold").textContent =
      own === null ? "The model has a threshold for each label." : `The model’s own threshold is ${shown(own)}.`;
    move();
  };

  slider.addEventListener("input", move);
  ofLabel.addEventListener("change", draw);
  draw();
}

threshold();
