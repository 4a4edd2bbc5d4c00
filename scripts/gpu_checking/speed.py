"""How fast do epochs train, beside the same network on batches that lie on the device?"""

import json
import shutil
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from benchmarking.case import Case, fit_arguments, one_cycle
from benchmarking.images import table_of
from benchmarking.parts import NotRun, Plan, epoch, loss_of, make_batches, speeds

from gpu_checking.step import TINY_BACKBONE, Check, each, run

_SIZES = ((128, 128), (224, 224), (240, 320), (448, 448))
_IMAGES = 1280  # of each half, in all cells but the one that is an epoch of PASCAL
_STEPS = 30  # of the ceiling
_A_CELL_S = 20.0  # one that would have less is left out


class Cell(NamedTuple):
    """What is measured: options of the command line beside backbone, size and precision."""

    backbone: str
    size: tuple[int, int]
    precision: str = "bf16-mixed"
    options: tuple[str, ...] = ()
    images: int | None = _IMAGES
    batch_size: int = 64

    @property
    def name(self) -> str:
        """The cell in a few words."""
        words = [self.backbone, "×".join(map(str, self.size)), self.precision]
        words += [] if self.batch_size == 64 else [f"batches of {self.batch_size}"]
        words += [] if self.images is not None else ["all of PASCAL"]
        return ", ".join([*words, *(option.removeprefix("--").replace(" true", "") for option in self.options)])


def cells(tiny: bool) -> list[Cell]:
    """Return what is measured, the most telling first."""
    if tiny:
        small = Cell(TINY_BACKBONE, (32, 32), images=24, batch_size=4)
        return [small, small._replace(options=("--data.device_cache true",))]
    main = [
        Cell("resnet50", (224, 224)),
        Cell("resnet50", (224, 224), options=("--trainer.benchmark true",)),
        Cell("resnet50", (128, 128), images=None),
        Cell("resnet50", (224, 224), options=("--data.device_cache true",)),
        Cell("resnet18", (128, 128)),
        Cell("resnet18", (128, 128), options=("--data.device_cache true",)),
        Cell("resnet50", (448, 448)),
        Cell("resnet50", (224, 224), batch_size=256),
        Cell("resnet50", (224, 224), "16-mixed"),
        Cell("resnet50", (224, 224), options=("--model.compile true",)),
    ]
    grid = [Cell(name, size) for name in ("resnet18", "resnet34", "resnet50") for size in _SIZES]
    return list(dict.fromkeys([*main, *grid, *(Cell("resnet50", size, "16-mixed") for size in _SIZES)]))


def speed(check: Check) -> None:
    """Measure cell by cell, as long as there is time."""
    began = time.perf_counter()
    ceilings: dict[tuple[object, ...], float] = {}

    def in_time(cell: Cell) -> dict[str, Any]:
        if time.perf_counter() - began > check.limit_s - _A_CELL_S:
            return {"left_out": "no time was left"}
        return of_cell(check, cell, ceilings)

    each(check, {cell.name: partial(in_time, cell) for cell in cells(check.tiny)})


def of_cell(check: Check, cell: Cell, ceilings: dict[tuple[object, ...], float]) -> dict[str, Any]:
    """Return images/s of an epoch's training, of the ceiling, and what else was seen; `ceilings`: that are known."""
    folder = check.work / "speed"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    table = table_of("labels", check.root("labels"), cell.images, folder)
    case = Case(
        "labels", cell.backbone, cell.size, cell.batch_size, cell.precision, False, table.csv, table.images, None
    )
    file = folder / "epoch.json"
    clock = {"class_path": "benchmarking.clock.EpochClock", "init_args": {"file": str(file)}}
    common = ["--trainer.accelerator", "gpu" if check.device == "cuda" else "cpu", "--trainer.devices", "1"]
    common += ["--data.cache_dir", str(check.work / "cache"), "--trainer.enable_progress_bar", "false"]
    options = [word for option in cell.options for word in option.split()]
    if check.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    epoch([*fit_arguments(case, [one_cycle(), clock], folder / "runs"), *common, *options])
    ours = json.loads(file.read_text(encoding="utf-8"))
    fit_s = time.perf_counter() - began
    peak_gb = torch.cuda.max_memory_allocated() / 1e9 if check.device == "cuda" else None
    torch.backends.cudnn.benchmark = False  # what a cell's Trainer sets stays
    check.free()
    compiled = options if "--model.compile" in options else []
    key = (case.backbone, case.size, case.precision, case.batch_size, bool(compiled))
    best = ceilings[key] = ceilings.get(key) or ceiling(check, case, [*common, *compiled], folder)
    return {
        "train_images_s": round(ours["train_images_s"]),
        "ceiling_images_s": round(best),
        "of_ceiling": round(ours["train_images_s"] / best, 3),
        "epoch_s": round(ours["epoch_s"], 2),
        "first_epoch_s": round(ours["warm_up_epoch_s"], 2),
        "gpu_busy_share": None if ours["gpu_busy_share"] is None else round(ours["gpu_busy_share"], 3),
        "peak_gb": None if peak_gb is None else round(peak_gb, 2),
        "num_workers": ours["num_workers"],
        "fit_s": round(fit_s, 1),
    }


def ceiling(check: Check, case: Case, more: list[str], folder: Path) -> float:
    """Return the images/s of the case's own module in a plain loop, on a few batches that lie on the device."""
    made = NotRun([*fit_arguments(case, [one_cycle()], folder / "runs"), *more])
    batches = make_batches(made.model, case.batch_size, case.size, torch.device(check.device))
    steps = 2 if check.tiny else _STEPS
    plan = Plan([case.batch_size] * steps, [case.batch_size])
    return speeds(made.model, loss_of(made.model), batches, plan, str(case.precision)).train_images_s


if __name__ == "__main__":
    run(speed)
