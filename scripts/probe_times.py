"""A linear probe beside a training of the same head: mAP and time over seeds, one after the other in turn.

    python scripts/probe_times.py --root ../data/pascal_2007 --weights FILE.safetensors

Of each seed: `fit` with conf/linear.yaml, then `probe` with each number of --views; features are not kept between them,
decoded images are, from before the first. Time is that of the whole process, with its imports; the score, that after
the last epoch. Everything goes into --folder: results.json, table.md, the runs; what was stopped is resumed when it is
called again.
"""

import argparse
import csv
import json
import resource
import time
from pathlib import Path
from typing import Any

from reproducing.facts import machine, spread
from reproducing.steps import ROOT, Steps

from lightning_tasks.atomic_write import write_whole

_SCORE = "val/mAP"


def main() -> None:
    """Make every run that is not there yet, then write the results and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="data/pascal_2007", help="the data's folder")
    parser.add_argument("--backbone", default="tf_efficientnet_lite0", help="timm's name of it")
    parser.add_argument("--weights", help="a file of its weights, where they cannot be fetched")
    parser.add_argument("--precision", help="the Trainer's, in place of what suits the machine")
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44])
    parser.add_argument("--views", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--folder", type=Path, default=Path("probe_times"), help="for everything that is written")
    given = parser.parse_args()

    arguments = [
        *("--config", str(ROOT / "conf/pascal.yaml"), "--config", str(ROOT / "conf/linear.yaml")),
        *("--data.root", given.root, "--model.backbone", given.backbone, "--trainer.enable_progress_bar", "false"),
        *("--runs_dir", str(given.folder / "runs"), "--data.cache_dir", str(given.folder / "cache")),
        *(["--model.weights", given.weights] if given.weights else []),
        *(["--trainer.precision", given.precision] if given.precision else []),
    ]
    steps = Steps(given.folder, {"arguments": arguments})
    one_batch = ["--trainer.limit_train_batches", "1", "--trainer.limit_val_batches", "1"]
    steps.take("decode", lambda: run(steps, "decode", ["fit", *arguments, *one_batch]))
    ways = {"fit, linear.yaml": ["fit", *arguments]}
    for views in given.views:
        ways[f"probe, {views} views"] = ["probe", *arguments, "--views", str(views), "--keep_gb", "0"]
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for seed in given.seeds:
        for name, command in ways.items():
            step = f"{name.replace(', ', '_').replace(' ', '_')}_{seed}"
            of_seed = [*command, "--seed_everything", str(seed)]
            found[name].append(steps.take(step, lambda step=step, command=of_seed: run(steps, step, command)))
    results = {"machine": steps.take("machine", machine), "score": _SCORE, "seeds": given.seeds, "runs": found}
    text = json.dumps(results, indent=1) + "\n"
    write_whole(given.folder / "results.json", lambda new: new.write_text(text, encoding="utf-8"))
    written = table(found)
    write_whole(given.folder / "table.md", lambda new: new.write_text(written, encoding="utf-8"))
    print(written)


def run(steps: Steps, name: str, command: list[str]) -> dict[str, float]:
    """Run one command, and return its score after the last epoch and its seconds, on the clock and of CPU."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    steps.command(name, [*command, "--run_name", name])
    wall_s, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    newest = max((steps.folder / "runs" / name).glob("version_*/metrics.csv"), key=lambda path: path.stat().st_mtime)
    with newest.open(newline="", encoding="utf-8") as file:
        scores = [float(row[_SCORE]) for row in csv.DictReader(file) if row.get(_SCORE)]
    return {"score": scores[-1], "wall_s": wall_s, "cpu_s": cpu_s}


def table(found: dict[str, list[dict[str, Any]]]) -> str:
    """Return the runs in Markdown: all scores, median seconds, and their ratio to the training's, seed by seed."""
    (training, of_training), *_ = found.items()
    lines = [f"| | {_SCORE} | wall s | CPU s | CPU of {training} |", "|---|---|---|---|---|"]
    for name, runs in found.items():
        scores = " ".join(f"{one['score']:.4f}" for one in runs)
        wall, cpu = (spread([one[part] for one in runs])["median"] for part in ("wall_s", "cpu_s"))
        ratio = spread([one["cpu_s"] / other["cpu_s"] for one, other in zip(runs, of_training, strict=True)])["median"]
        lines.append(f"| {name} | {scores} | {wall:.0f} | {cpu:.0f} | {ratio:.2f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
