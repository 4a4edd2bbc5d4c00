"""Train the steps of an ablation and print its table: what each step is worth, against the one it builds on.

    python scripts/ablation.py scripts/ablations/pascal.yaml --root ../data/pascal_2007 --weights FILE.safetensors

The file names the config in conf/, the score, arguments for all steps, and the steps. Each has a name, the step that it
is compared with (`over`), whose arguments it starts from, and arguments of its own; `evaluate: true` trains nothing
and scores the checkpoints of `over` anew. `seeds` says how many trainings it has. With `per_label: true` the results
also say what a mean hides: macro F1, the rarest labels' scores, and each label's. Everything goes into --folder:
results.json, table.md, the runs; one that was stopped is resumed when it is called again, and new steps may be added.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from reproducing.facts import machine, spread
from reproducing.label_figures import COLUMNS, label_figures
from reproducing.recipe import last_checkpoint, train
from reproducing.steps import ROOT, Steps

from lightning_tasks.atomic_write import write_whole

_FIRST_SEED = 42


class Step(NamedTuple):
    """One row of the table."""

    name: str
    over: str | None
    args: list[str]
    seeds: int
    evaluate: bool


class Plan(NamedTuple):
    """What the file says."""

    config: str
    score: str
    args: list[str]
    steps: list[Step]
    per_label: bool

    def arguments(self, step: Step) -> list[str]:
        """Return the arguments of a step: those of the steps that it builds on first."""
        before = self.arguments(self.step(step.over)) if step.over else self.args
        return [*before, *step.args]

    def step(self, name: str) -> Step:
        """Return a step by its name."""
        return next(step for step in self.steps if step.name == name)


def read_plan(path: Path) -> Plan:
    """Return the plan of a file."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    steps: dict[str, Step] = {}
    for entry in content["steps"]:
        name, over = entry["name"], entry.get("over")
        step = Step(name, over, str(entry.get("args", "")).split(), entry.get("seeds", 1), entry.get("evaluate", False))
        before = steps.get(over)
        if over is not None and before is None:
            sys.exit(f"error: {path}: the step {name!r} builds on {over!r}, which is no step before it.")
        if step.evaluate and (before is None or step.seeds > before.seeds):
            sys.exit(f"error: {path}: the step {name!r} scores {step.seeds} trainings of {over!r}, which has fewer.")
        if slug(name) in map(slug, steps):
            sys.exit(f"error: {path}: the step {name!r} and one before it would share their files. Rename one.")
        steps[name] = step
    steps_of_file, per_label = list(steps.values()), content.get("per_label", False)
    if per_label and any(step.evaluate for step in steps_of_file):
        sys.exit(f"error: {path}: per_label is of steps that train, and one has evaluate.")
    return Plan(content["config"], content["score"], content["args"].split(), steps_of_file, per_label)


def main() -> None:
    """Make every step that is not there yet, then write the results and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan", type=Path, help="the file with the steps")
    parser.add_argument("--folder", type=Path, help="for everything that is written; ablation/<name of the plan>")
    parser.add_argument("--root", help="the data's folder, in place of the config's")
    parser.add_argument("--weights", help="a file of the backbone's weights, where they cannot be fetched")
    given = parser.parse_args()

    plan = read_plan(given.plan)
    folder = given.folder or Path("ablation") / given.plan.stem
    common = [
        *("--config", str(ROOT / "conf" / plan.config), "--trainer.enable_progress_bar", "false"),
        *("--runs_dir", str(folder / "runs"), *(["--data.root", given.root] if given.root else [])),
        *(["--model.weights", given.weights] if given.weights else []),
    ]
    steps = Steps(folder, {"common": common, "args": plan.args, "score": plan.score})
    rows = []
    for step in plan.steps:
        scores, seconds, of_labels = [], [], []
        for seed in range(_FIRST_SEED, _FIRST_SEED + step.seeds):
            found = steps.take(
                f"{slug(step.name)}_{seed}", lambda step=step, seed=seed: run(steps, plan, step, seed, common)
            )
            if found["arguments"] != plan.arguments(step):
                sys.exit(
                    f"error: {step.name!r} was run with other arguments in {folder}. Rename it, or give another folder."
                )
            scores.append(found["score"])
            seconds.append(found["seconds"])
            if plan.per_label:
                of_labels.append(per_label(steps, f"{slug(step.name)}_{seed}"))
        row = {**step._asdict(), "args": plan.arguments(step), "scores": scores, "seconds": seconds, **spread(scores)}
        rows.append({**row, "per_label": of_labels} if plan.per_label else row)
        results = {"machine": steps.take("machine", machine), "score": plan.score, "config": plan.config, "steps": rows}
        text = json.dumps(results, indent=1) + "\n"
        write_whole(folder / "results.json", lambda new, text=text: new.write_text(text, encoding="utf-8"))
    written = table(plan.score, rows) + (label_table(rows) if plan.per_label else "")
    write_whole(folder / "table.md", lambda new: new.write_text(written, encoding="utf-8"))
    print(written)


def run(steps: Steps, plan: Plan, step: Step, seed: int, common: list[str]) -> dict[str, Any]:
    """Return the score of one training, or of a checkpoint scored anew, and the seconds of its epochs."""
    arguments = [*common, *plan.arguments(step)]
    name = f"{slug(step.name)}_{seed}"
    if not step.evaluate:
        epochs = train(steps, seed, arguments, name)
        seconds = sum(row["seconds"] for row in epochs)
        return {
            "score": epochs[-1][plan.score],
            "seconds": seconds,
            "arguments": plan.arguments(step),
            "epochs": epochs,
        }
    trained = step.over
    while trained is not None and plan.step(trained).evaluate:
        trained = plan.step(trained).over
    assert trained is not None  # the first step trains
    checkpoint = last_checkpoint(steps.folder, f"{slug(trained)}_{seed}")
    log = steps.command(name, ["validate", *arguments, "--ckpt_path", str(checkpoint)])
    told = re.findall(rf"{re.escape(plan.score)}\W+([\d.]+)", log)
    return {"score": float(told[-1]), "seconds": 0.0, "arguments": plan.arguments(step)}


def per_label(steps: Steps, name: str) -> dict[str, Any]:
    """Return what a training's last checkpoint predicts rightly of each label."""
    path = steps.folder / f"{name}.csv"

    def figures() -> dict[str, Any]:
        checkpoint = str(last_checkpoint(steps.folder, name))
        steps.command(f"{name}_labels", ["get_preds", checkpoint, "--output", str(path)])
        return label_figures(path)

    return steps.take(f"{name}_labels", figures)


def slug(name: str) -> str:
    """Return the name as a file's."""
    return re.sub(r"\W+", "_", name.lower()).strip("_")


def table(score: str, rows: list[dict[str, Any]]) -> str:
    """Return the rows in Markdown: the score's median and range, its gain over the same seeds, the epochs' seconds."""
    by_name = {row["name"]: row for row in rows}
    lines = [f"| step | over | {score} | gain | seeds | seconds |", "|---|---|---|---|---|---|"]
    for row in rows:
        range_ = f" ({row['lowest']:.4f}–{row['highest']:.4f})" if row["n"] > 1 else ""
        before = by_name.get(row["over"])
        pairs = zip(row["scores"], before["scores"], strict=False) if before else ()  # as many seeds as both have
        gains = spread([after - earlier for after, earlier in pairs]) if before else None
        gain = "" if gains is None else f"{gains['median']:+.4f}"
        if gains is not None and gains["n"] > 1:
            gain += f" ({gains['lowest']:+.4f} to {gains['highest']:+.4f})"
        seconds = sorted(row["seconds"])[row["n"] // 2]
        cells = [row["name"], row["over"] or "", f"{row['median']:.4f}{range_}", gain, f"{row['n']}", f"{seconds:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def label_table(rows: list[dict[str, Any]]) -> str:
    """Return in Markdown what means over images hide, of each step: the medians over its trainings."""
    lines = ["", f"| step | {' | '.join(COLUMNS.values())} |", f"|---|{'---|' * len(COLUMNS)}"]
    for row in rows:
        medians = (spread([figures[name] for figures in row["per_label"]])["median"] for name in COLUMNS)
        lines.append(f"| {row['name']} | {' | '.join(f'{value:.4f}' for value in medians)} |")
    return "\n".join([*lines, "", f"The rarest: {', '.join(rows[0]['per_label'][0]['rarest'])}."]) + "\n"


if __name__ == "__main__":
    main()
