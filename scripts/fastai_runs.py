"""Train with fastai itself, by the chapter's recipes, on the images that our own runs use: what ours stand beside.

Run it in a throw-away environment that has fastai and timm (2.8.12 was used):
    python -m venv golden && golden/bin/pip install fastai timm
    golden/bin/python scripts/fastai_runs.py pascal --root DATA --weights FILE --seed 42 --output pascal_42.json
    golden/bin/python scripts/fastai_runs.py points --root DATA --weights FILE --seed 42 --output points_42.json

`pascal` is 4 frozen + 3 epochs at 3e-3, 128 px; `points` 1 + 3 at 1e-2, 240×320. Both in batches of 64, with the csv's
`is_valid` as split. The output has a row an epoch; `pascal` also has the accuracy at fastai's 29 thresholds at the end.
"""

import argparse
import json
import time
from functools import partial
from pathlib import Path

import fastai
import numpy as np
import pandas as pd
import timm
import torch
from fastai.vision.all import (
    AccumMetric,
    APScoreMulti,
    Callback,
    ColReader,
    ColSplitter,
    DataBlock,
    DataLoaders,
    ImageBlock,
    Learner,
    MultiCategoryBlock,
    Normalize,
    PointBlock,
    RandomResizedCrop,
    accuracy_multi,
    aug_transforms,
    set_seed,
    vision_learner,
)
from safetensors.torch import load_file

THRESHOLDS = np.linspace(0.05, 0.95, 29)


def main() -> None:
    """Train once and write what happened."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["pascal", "points"])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="a .safetensors file of the backbone")
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()

    set_seed(arguments.seed, reproducible=True)
    config = timm.get_pretrained_cfg(arguments.backbone)
    normalise = Normalize.from_stats(config.mean, config.std)
    if arguments.task == "pascal":
        csv, images = arguments.root / "train.csv", arguments.root / "train"
        learner = pascal(csv, images, arguments.backbone, normalise, 128, 64, arguments.workers)
    else:
        csv = arguments.root / "points.csv"
        learner = points(csv, arguments.root, arguments.backbone, normalise, (240, 320), 64, arguments.workers)
    body = learner.model[0].model
    result = body.load_state_dict(load_file(str(arguments.weights)), strict=False)
    if result.missing_keys or any("classifier" not in key for key in result.unexpected_keys):
        raise SystemExit(f"{arguments.weights} does not fit: {result}")

    table = Table()
    learner.add_cb(table)
    started = time.perf_counter()
    with learner.no_bar():
        if arguments.task == "pascal":
            learner.fine_tune(3, base_lr=3e-3, freeze_epochs=4)
        else:
            learner.fine_tune(3, 1e-2)
    seconds = time.perf_counter() - started
    record = {
        "fastai": fastai.__version__,
        "torch": torch.__version__,
        "task": arguments.task,
        "backbone": arguments.backbone,
        "seed": arguments.seed,
        "seconds": seconds,
        "epochs": table.rows,
    }
    if arguments.task == "pascal":
        with learner.no_bar():
            predictions, targets = learner.get_preds()
        record["thresholds"] = {
            f"{t:.4f}": float(accuracy_multi(predictions, targets, t, sigmoid=False)) for t in THRESHOLDS
        }
    arguments.output.write_text(json.dumps(record, indent=1) + "\n", encoding="ascii")


class Table(Callback):
    """Keep the recorder's row of each epoch."""

    order = 70

    def before_fit(self) -> None:
        """A stage begins; fine_tune has two."""
        if not hasattr(self, "rows"):
            self.rows: list[dict[str, float]] = []

    def before_epoch(self) -> None:
        """Start the clock."""
        self.started_s, self.trained = time.perf_counter(), False

    def before_train(self) -> None:
        """Tell an epoch of the training from one of `get_preds`."""
        self.trained = True

    def after_epoch(self) -> None:
        """Keep the values by the recorder's names."""
        if not self.trained:
            return
        names = self.learn.recorder.metric_names[1:-1]  # without the epoch's number and the time
        row = dict(zip(names, map(float, self.learn.recorder.log[1:]), strict=False))
        self.rows.append({**row, "seconds": time.perf_counter() - self.started_s})
        print(self.rows[-1], flush=True)


def pascal(
    csv: Path,
    images: Path,
    backbone: str,
    normalise: Normalize,
    size: int | tuple[int, int],
    batch_size: int,
    workers: int | None,
) -> Learner:
    """The chapter's multi-label learner; `workers` None: as many as fastai would take."""
    table = pd.read_csv(csv, keep_default_na=False)
    block = DataBlock(
        blocks=(ImageBlock, MultiCategoryBlock),
        splitter=ColSplitter("is_valid"),
        get_x=lambda row: images / row["fname"],
        get_y=ColReader("labels", label_delim=" "),
        item_tfms=RandomResizedCrop(size, min_scale=0.35),
        batch_tfms=[normalise],
    )
    loaders = block.dataloaders(table, bs=batch_size, num_workers=workers)
    return vision_learner(
        loaders,
        backbone,
        pretrained=False,  # no hub: the weights are read from the file
        normalize=False,
        metrics=[partial(accuracy_multi, thresh=0.2), APScoreMulti()],
    )


def points(
    csv: Path,
    images: Path,
    backbone: str,
    normalise: Normalize,
    size: tuple[int, int],
    batch_size: int,
    workers: int | None,
) -> Learner:
    """The chapter's learner of one point, the table's first; `workers` None: as many as fastai would take."""
    table = pd.read_csv(csv)
    x, y = [next(name for name in table.columns if name.endswith(axis)) for axis in ("_x", "_y")]
    block = DataBlock(
        blocks=(ImageBlock, PointBlock),
        splitter=ColSplitter("is_valid"),
        get_x=lambda row: images / row["fname"],
        get_y=lambda row: torch.tensor([row[x], row[y]]),
        batch_tfms=[*aug_transforms(size=size), normalise],
    )
    loaders: DataLoaders = block.dataloaders(table, bs=batch_size, num_workers=workers)
    width, height = loaders.valid_ds[0][0].size

    def errors_px(predictions: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        difference = (predictions - targets.view(-1, 2)) * torch.tensor([width, height]) / 2
        return difference.norm(dim=1)

    def median_px(predictions: torch.Tensor, targets: torch.Tensor) -> float:
        return float(errors_px(predictions, targets).quantile(0.5))

    def p95_px(predictions: torch.Tensor, targets: torch.Tensor) -> float:
        return float(errors_px(predictions, targets).quantile(0.95))

    return vision_learner(
        loaders,
        backbone,
        pretrained=False,
        normalize=False,
        y_range=(-1, 1),
        metrics=[AccumMetric(median_px, flatten=False), AccumMetric(p95_px, flatten=False)],
    )


if __name__ == "__main__":
    main()
