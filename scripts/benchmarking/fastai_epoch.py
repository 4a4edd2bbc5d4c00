"""A steady epoch of fastai's own training, with the transforms of the chapter; runs where fastai is installed.

    python -m benchmarking.fastai_epoch labels --csv CSV --images FOLDER --size 128 128 --output OUT.json

Float32 on a CPU and to_fp16 on a GPU, nothing frozen, one-cycle. Epoch 0 is warm-up; epoch 1 is measured, from its
start to that of epoch 2, which only has to begin.
"""

import argparse
import json
import time
from pathlib import Path

import fastai
import fastai_runs
import timm
import torch
from fastai.vision.all import Callback, CancelFitException, Normalize, set_seed
from safetensors.torch import load_file

_LAST = 2  # the epoch that only has to begin


class EpochClock(Callback):
    """Note when epochs start, and end the training when the last one does."""

    order = -100  # before the other callbacks' work of an epoch

    def before_fit(self) -> None:
        """Begin a list; a callback has no __init__ of fastai's to call."""
        self.starts_s: list[float] = []

    def before_epoch(self) -> None:
        """Note the time, once the device is done with the epoch before."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.starts_s.append(time.perf_counter())
        if self.epoch == _LAST:
            raise CancelFitException


def main() -> None:
    """Train and write the seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["labels", "points"])
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--size", type=int, nargs=2, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()

    set_seed(42)  # not reproducible=True: that costs time
    config = timm.create_model(arguments.backbone).pretrained_cfg
    normalise = Normalize.from_stats(config["mean"], config["std"])
    make = fastai_runs.pascal if arguments.task == "labels" else fastai_runs.points
    size, batch_size = tuple(arguments.size), arguments.batch_size
    learner = make(arguments.csv, arguments.images, arguments.backbone, normalise, size, batch_size, None)
    if arguments.weights is not None:
        learner.model[0].model.load_state_dict(load_file(str(arguments.weights)), strict=False)
    learner.unfreeze()
    if torch.cuda.is_available():
        learner.to_fp16()
    clock = EpochClock()
    learner.fit_one_cycle(_LAST + 1, 3e-3, cbs=clock)
    record = {
        "fastai_s": clock.starts_s[_LAST] - clock.starts_s[_LAST - 1],
        "fastai": fastai.__version__,
        "torch": torch.__version__,
        "precision": "16-mixed" if torch.cuda.is_available() else "32-true",
        "n": len(learner.dls.train_ds),
        "n_valid": len(learner.dls.valid_ds),
    }
    arguments.output.write_text(json.dumps(record), encoding="utf-8")


if __name__ == "__main__":
    main()
