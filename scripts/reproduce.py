"""Run a half of fastai's chapter from nothing to its own tables, each number beside the printed one.

    scripts/reproduce_pascal.sh --seeds 3
    scripts/reproduce_biwi.sh --root DATA --backbone tf_efficientnet_lite0 --weights FILE -- --trainer.accelerator cpu

Data that is not in --root is fetched. Everything goes into --folder: report.html with the tables, results.json with
them and with versions, hardware, seeds and the split's hash, images, logs, runs. One that was stopped is resumed when
it is called again. `biwi` also takes a folder with a points.csv in place of BIWI's own. What stands after `--` goes to
each training.
"""

import argparse
import json
import sys
from pathlib import Path

from reproducing import biwi, pascal
from reproducing.facts import machine
from reproducing.page import page
from reproducing.recipe import Recipe, reproduce
from reproducing.steps import Steps

from lightning_tasks.atomic_write import write_whole

_HALVES = {"pascal": pascal.half, "biwi": biwi.half}
_ROOTS = {"pascal": "data/pascal_2007", "biwi": "data/biwi_head_pose"}
_BACKBONES = {"pascal": "resnet50.tv_in1k", "biwi": "resnet18.tv_in1k"}


def main() -> None:
    """Make every step that is not there yet, then write the results and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=sorted(_HALVES))
    parser.add_argument("--folder", type=Path, help="for everything that is written; reproduction/<task>")
    parser.add_argument("--root", help="the data's folder")
    parser.add_argument("--backbone", help="a timm model by its tagged name")
    parser.add_argument("--weights", help="a file of its weights, where they cannot be fetched")
    parser.add_argument("--seeds", type=int, default=1, help="how many trainings: 42, 43, ...")
    own = sys.argv[1:]
    more = own[own.index("--") + 1 :] if "--" in own else []
    given = parser.parse_args(own[: own.index("--")] if "--" in own else own)
    if given.seeds < 1:
        sys.exit(f"error: --seeds is {given.seeds}; it must be at least 1.")

    recipe = Recipe(
        root=given.root or _ROOTS[given.task],
        backbone=given.backbone or _BACKBONES[given.task],
        weights=given.weights,
        seeds=tuple(range(42, 42 + given.seeds)),
        more=tuple(more),
    )
    folder = given.folder or Path("reproduction") / given.task
    steps = Steps(folder, {"task": given.task, **recipe.kept()})
    found = reproduce(steps, recipe, _HALVES[given.task](recipe))
    results = {"machine": steps.take("machine", machine), **recipe._asdict(), **found}
    text = json.dumps(results, indent=1) + "\n"
    write_whole(folder / "results.json", lambda new: new.write_text(text, encoding="utf-8"))
    write_whole(folder / "report.html", lambda new: new.write_text(page(given.task, results), encoding="utf-8"))
    print(f"results          {folder / 'results.json'}\nreport           {folder / 'report.html'}")


if __name__ == "__main__":
    main()
