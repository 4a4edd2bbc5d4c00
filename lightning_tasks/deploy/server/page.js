"use strict";

const SHOWN_FIRST = 20; // bars; more on demand
const FEW_MARKS = 10; // have their names beside them
const MAX_MB = Number(document.body.dataset.maxMb);
const NOUN = document.body.dataset.noun; // what one of the model's outputs is called

const find = (id) => document.getElementById(id);
let sending = null; // the request that is under way
let labels = []; // of the image that is shown, the likeliest first
let common = null; // one threshold for all labels; null: the model's own

/** An element; names and all else from outside become text, never markup. */
function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function svg(tag, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function complain(message) {
  find("error").textContent = message;
  find("error").hidden = false;
  find("status").textContent = "";
}

/** What the server answers of an image's file; throws an Error with a sentence for people. */
async function ask(file, signal) {
  if (file.size > MAX_MB * 1e6) {
    throw new Error(`The image has ${(file.size / 1e6).toFixed(1)} MB; this server takes ${MAX_MB} MB at most.`);
  }
  if (file.type && !file.type.startsWith("image/")) throw new Error("This is no image.");
  const type = file.type || "application/octet-stream";
  const response = await fetch("predict", { method: "POST", headers: { "Content-Type": type }, body: file, signal }).catch(
    (error) => {
      throw error.name === "AbortError" ? error : new Error("The server does not answer. Is it still running?");
    }
  );
  const answer = await response.json().catch(() => null);
  if (!response.ok || answer === null) throw new Error(answer?.detail ?? `The server refuses the image (${response.status}).`);
  return answer;
}

async function send(file) {
  sending?.abort();
  const mine = (sending = new AbortController());
  find("error").hidden = true;
  // The attribute: what is SVG has no property of this name.
  for (const part of ["bars-section", "table", "marks"]) find(part).toggleAttribute("hidden", true);
  URL.revokeObjectURL(find("image").src);
  find("image").src = URL.createObjectURL(file);
  find("image").alt = file.name;
  find("image").classList.add("waiting");
  find("caption").textContent = `${file.name}: the model looks at it…`;
  find("status").textContent = "The model looks at the image.";
  find("result").hidden = false;
  try {
    const answer = await ask(file, mine.signal);
    find("caption").textContent = `${file.name}, ${answer.width_px}×${answer.height_px} pixels`;
    const rows = Object.values(answer).find(Array.isArray); // of any task, an answer has one list
    if ("probability" in rows[0]) showBars(rows);
    else showTable(rows, answer);
  } catch (error) {
    if (mine.signal.aborted) return; // for another image
    find("result").hidden = true;
    complain(`${file.name}: ${error.message}`);
  }
  find("image").classList.remove("waiting");
}

function showBars(rows) {
  labels = rows;
  find("bars").replaceChildren(...labels.map(labelRow));
  const more = labels.length > SHOWN_FIRST;
  find("all").hidden = !more;
  find("all").textContent = `Show all ${labels.length.toLocaleString("en")} labels`;
  find("bars").dataset.all = more ? "" : "yes";
  find("threshold").hidden = labels[0].threshold === null;
  find("bars-section").hidden = false;
  applyThreshold();
}

function labelRow({ label, probability, threshold }) {
  const row = element("li");
  const name = element("span");
  name.append(element("span", "tick"), element("span", "", label));
  const bar = element("span", threshold === null ? "bar" : "bar limited");
  bar.style.setProperty("--share", probability);
  row.append(name, bar, element("span", "number", probability.toFixed(3)));
  return row;
}

function applyThreshold() {
  const own = labels.map((label) => label.threshold);
  const shared = own.every((threshold) => threshold === own[0]) ? own[0] : null; // the model's own, where there is but one
  const at = common ?? shared;
  const isChosen = ({ chosen, probability }) => (common === null ? chosen : probability > common);
  [...find("bars").children].forEach((row, i) => {
    const chosen = isChosen(labels[i]);
    row.classList.toggle("chosen", chosen);
    row.querySelector(".tick").replaceChildren(...(chosen ? ["✓", element("span", "unseen", " chosen: ")] : []));
    row.querySelector(".bar").style.setProperty("--limit", common ?? own[i]);
    row.hidden = i >= SHOWN_FIRST && !chosen && find("bars").dataset.all !== "yes";
  });
  const chosen = labels.filter(isChosen);
  const count = `${chosen.length} of ${labels.length} labels`;
  find("slider").value = at ?? 0.5;
  find("slider").setAttribute("aria-valuetext", `${at === null ? "the model’s own" : at.toFixed(2)}: ${count}`);
  find("at").textContent = at === null ? "own" : at.toFixed(2);
  find("whose").textContent =
    common !== null ? `${count}, by one threshold for all` : `${count}, by the model’s own threshold${shared === null ? "s" : ""}`;
  find("reset").disabled = common === null;
  find("status").textContent = chosen.map(({ label, probability }) => `${label} ${probability.toFixed(2)}`).join(", ") || "nothing found";
}

/** Rows of whatever a task predicts, a column for each of their keys; those with a place are marked on the image. */
function showTable(rows, { width_px, height_px }) {
  const keys = Object.keys(rows[0]);
  const heading = (key) => (key === "name" ? NOUN : key.replace(/_px$/, ", pixels").replaceAll("_", " "));
  find("headings").replaceChildren(
    ...keys.map((key) => Object.assign(element("th", "", heading(key)), { scope: "col" }))
  );
  const lines = rows.map((row) => tableRow(keys, row, "x_px" in row));
  find("rows").replaceChildren(...lines);
  if ("x_px" in rows[0]) mark(rows, lines, width_px, height_px);
  find("table").hidden = false;
  find("status").textContent = `${rows.length} ${NOUN}${rows.length === 1 ? "" : "s"} predicted`;
}

function tableRow(keys, row, marked) {
  const text = (key) => {
    if (typeof row[key] !== "number") return row[key] ?? "";
    return key.endsWith("_px") ? row[key].toFixed(1) : String(Number(row[key].toPrecision(4)));
  };
  const line = element("tr");
  const head = element("th", "", marked ? undefined : text(keys[0]));
  head.scope = "row";
  if (marked) head.append(Object.assign(element("button", "", text(keys[0])), { type: "button" }));
  line.append(head, ...keys.slice(1).map((key) => element("td", "", text(key))));
  return line;
}

/** Draw the rows' places on the image, each lit together with its line of the table. */
function mark(rows, lines, width_px, height_px) {
  const drawn = find("marks");
  const few = rows.length < FEW_MARKS;
  const unit = Math.max(width_px, height_px) / 100;
  // Half a pixel: positions count from the centre of the first pixel, the drawing from its corner.
  drawn.setAttribute("viewBox", `-0.5 -0.5 ${width_px} ${height_px}`);
  drawn.setAttribute("class", few ? "few" : "");
  const marks = rows.map(({ name, x_px, y_px }) => {
    const group = svg("g", {});
    const dot = svg("circle", { cx: x_px, cy: y_px, r: unit * (few ? 1 : 0.6) });
    dot.append(svg("title", {}, name));
    const leftward = x_px > 0.7 * width_px; // a name stays within the image
    const anchor = { x: x_px + (leftward ? -1.8 : 1.8) * unit, y: y_px, "text-anchor": leftward ? "end" : "start" };
    group.append(dot, svg("text", { ...anchor, "font-size": 3.6 * unit, "stroke-width": 0.8 * unit }, name));
    return group;
  });
  drawn.replaceChildren(...marks);
  lines.forEach((line, i) => {
    const light = (on) => {
      for (const part of [line, marks[i]]) part.classList.toggle("lit", on);
      if (on) drawn.append(marks[i]); // above the others
    };
    for (const part of [line, marks[i]]) {
      part.addEventListener("pointerenter", () => light(true));
      part.addEventListener("pointerleave", () => light(false));
    }
    line.addEventListener("focusin", () => light(true));
    line.addEventListener("focusout", () => light(false));
  });
  drawn.toggleAttribute("hidden", false);
}

for (const input of [find("file"), find("camera")]) {
  input.addEventListener("change", () => {
    if (input.files.length) send(input.files[0]);
    input.value = ""; // so that the same image can be chosen again
  });
}

let depth = 0; // dragenter and dragleave come for each element on the way
const over = (change) => document.body.classList.toggle("over", (depth = Math.max(0, depth + change)) > 0);
document.addEventListener("dragenter", () => over(1));
document.addEventListener("dragleave", () => over(-1));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  over(-depth);
  const [file] = event.dataTransfer.files;
  if (file) send(file);
  else complain("That is no file. Save the image first, and drop its file.");
});

find("slider").addEventListener("input", () => {
  common = Number(find("slider").value);
  applyThreshold();
});
find("reset").addEventListener("click", () => {
  common = null;
  applyThreshold();
  find("slider").focus(); // the button can no longer have it
});
find("all").addEventListener("click", () => {
  find("bars").dataset.all = "yes";
  find("all").hidden = true;
  applyThreshold();
});
