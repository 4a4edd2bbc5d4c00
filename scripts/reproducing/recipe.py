"""What a reproduction trains, and its steps, which are the same for both halves."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from matplotlib.figure import Figure

from lightning_tasks import KeypointDataModule, MultiLabelDataModule
from lightning_tasks.reports.figure_file import write_figure
from reproducing.facts import epochs, split_sha256, spread
from reproducing.steps import ROOT, Steps


class Recipe(NamedTuple):
    """What the user may change of fastai's chapter."""

    root: str
    backbone: str
    weights: str | None
    seeds: tuple[int, ...]
    more: tuple[str, ...]

    def kept(self) -> dict[str, Any]:
        """Return what may not change when a reproduction is resumed: all but the seeds, of which there may be more."""
        return {name: value for name, value in self._asdict().items() if name != "seeds"}

    def arguments(self, config: str, frozen_epochs: int, epochs: int, folder: Path) -> list[str]:
        """Return the command line's arguments for a config in conf/ with fastai's `fine_tune`."""
        plan = {"class_path": "FineTune", "init_args": {"epochs": epochs, "freeze_epochs": frozen_epochs}}
        overlay = folder / "fine_tune.yaml"
        overlay.parent.mkdir(parents=True, exist_ok=True)
        overlay.write_text(yaml.safe_dump({"trainer": {"callbacks": [plan], "max_epochs": None}}), encoding="utf-8")
        weights = [] if self.weights is None else ["--model.weights", self.weights]
        return [
            *("--config", str(ROOT / "conf" / config), "--config", str(overlay)),
            *("--data.root", self.root, "--model.backbone", self.backbone, *weights),
            *("--runs_dir", str(folder / "runs"), "--trainer.enable_progress_bar", "false"),
        ]


class Half(NamedTuple):
    """What one half of fastai's chapter has of its own."""

    config: str  # in conf/
    frozen_epochs: int
    epochs: int
    arguments: tuple[str, ...]  # of each training, beside the config's
    data: MultiLabelDataModule | KeypointDataModule
    names: Callable[[], list[str]]  # of labels or points
    batch: Callable[[], dict[str, Any]]  # facts of one batch
    score: Callable[[Path], dict[str, Any]]  # of a checkpoint
    spreads: tuple[str, ...]  # the scores that are told over seeds
    figures: Callable[[dict[str, Any]], dict[str, Figure]]  # of a checkpoint's scores, by file name


def reproduce(steps: Steps, recipe: Recipe, half: Half) -> dict[str, Any]:
    """Make every step that is not there yet, and return the results."""
    own = recipe.arguments(half.config, half.frozen_epochs, half.epochs, steps.folder)
    arguments = [*own, *half.arguments, *recipe.more]

    def described() -> dict[str, Any]:
        half.data.prepare_data()
        return {"text": half.data.describe(), "names": half.names(), "split_sha256": split_sha256(half.data)}

    def swept() -> dict[str, float]:
        log = steps.command("lr_find", ["lr_find", *arguments])
        return {name: float(lr) for name, lr in re.findall(r"(valley|slide|minimum|steep) (\S+)", log)}

    def shown() -> list[str]:
        figures = half.figures(results["trainings"][str(recipe.seeds[0])])
        for name, figure in figures.items():
            write_figure(steps.folder / name, figure)
        last = str(last_checkpoint(steps.folder, f"seed_{recipe.seeds[0]}"))
        for name, verb in (("results.png", "show_results"), ("checkpoint.html", "report")):
            steps.command(verb, [verb, last, "--output", str(steps.folder / name), "--data.root", recipe.root])
        return ["results.png", *figures]

    results: dict[str, Any] = {
        "data": steps.take("data", described),
        "batch": steps.take("batch", half.batch),
        "lr_find": steps.take("lr_find", swept),
        "trainings": {},
    }
    for seed in recipe.seeds:
        table = steps.take(f"seed_{seed}", lambda seed=seed: train(steps, seed, arguments, f"seed_{seed}"))
        scores = steps.take(
            f"scores_{seed}", lambda seed=seed: half.score(last_checkpoint(steps.folder, f"seed_{seed}"))
        )
        its_own = {"valid_loss": table[-1]["val/loss"], "seconds": steps.seconds[f"seed_{seed}"]}
        results["trainings"][str(seed)] = {"epochs": table, **scores, **its_own}
    over = {name: spread([one[name] for one in results["trainings"].values()]) for name in half.spreads}
    return {**results, "over_seeds": over, "shown": steps.take("shown", shown)}


def train(steps: Steps, seed: int, arguments: list[str], name: str) -> list[dict[str, float]]:
    """Train once, or resume a training that was stopped, and return its table of epochs."""
    going_on = ["--ckpt_path", "last"] if last_checkpoint(steps.folder, name) is not None else []
    log = steps.command(name, ["fit", *arguments, "--run_name", name, "--seed_everything", str(seed), *going_on])
    last = last_checkpoint(steps.folder, name)
    assert last is not None  # the training ended well
    return epochs(last.parents[1] / "metrics.csv", log)


def last_checkpoint(folder: Path, name: str) -> Path | None:
    """Return the last checkpoint of the newest run of a name, if there is one."""
    runs = (folder / "runs" / name).glob("version_*/checkpoints/last.ckpt")
    return max(runs, key=lambda path: int(path.parts[-3].removeprefix("version_")), default=None)
