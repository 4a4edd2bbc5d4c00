"""Train for many short epochs, and watch the memory and the open files of the run and its workers.

    python scripts/long_run.py --task labels --folder /tmp/long

Trains a tiny model on drawn images, on the CPU, with checkpoints, TensorBoard and metrics.csv as by default. At the
start of each epoch a callback notes, of the training process and its workers together, their memory and the open file
handles, in FOLDER/TASK.csv. A page that several of them share counts once; pages of files (libraries, the images'
cache) do not count, since a process's share of them changes with who else on the machine has them. Linux alone tells.

Exits with 1 if over the second half of the epochs the memory grows faster than --most_kb_an_epoch (the slope of a line
through it), or if the fewest handles of the last quarter are more than those of the second: within an epoch a batch on
its way from a worker has some too.
"""

import argparse
import csv
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from pytorch_lightning import Callback, LightningModule, Trainer

from lightning_tasks.reports.drawing import Drawing
from lightning_tasks.tasks.keypoints.sample import draw_biwi
from lightning_tasks.tasks.multilabel.pascal import draw_pascal

ROOT = Path(__file__).parents[1]
CONFIGS = {"labels": "pascal_sample.yaml", "points": "biwi_sample.yaml"}
SIZES = {"labels": "[48,48]", "points": "[48,64]"}


class Sample(NamedTuple):
    """What the processes of a run have at an epoch's start."""

    epoch: int
    processes: int
    memory_mb: float
    handles: int


class Watch(Callback):
    """Write a row of `Sample` at the start of each epoch.

    Args:
        file: the csv.
    """

    def __init__(self, file: str) -> None:
        self.file = Path(file)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the row, once the process that draws has ended: it has a handle for each of this one's."""
        for callback in trainer.callbacks:  # type: ignore[attr-defined]  # Lightning sets it at run time
            if isinstance(callback, Drawing):
                callback.wait()
        new = not self.file.exists()
        with self.file.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(Sample._fields)
            writer.writerow(take_sample(trainer.current_epoch, os.getpid()))


def main() -> int:
    """Run, and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=CONFIGS, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="an empty one, for data, run and csv")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--most_kb_an_epoch", type=float, default=50.0)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    os.chdir(arguments.folder)
    file = Path(f"{arguments.task}.csv")
    train(arguments.task, arguments.epochs, arguments.workers, file)
    samples = read(file)
    complaints = judge(samples, arguments.most_kb_an_epoch)
    print("\n".join([*describe(samples), *(complaints or ["nothing grows"])]))
    return 1 if complaints else 0


def train(task: str, epochs: int, workers: int, file: Path) -> None:
    """Draw data and train through the command line, in a process of its own that writes the samples."""
    if task == "labels":
        draw_pascal(Path("data"), 48)
    else:
        draw_biwi(Path("data"), 4)
    watch = {"class_path": "long_run.Watch", "init_args": {"file": str(file)}}
    Path("watch.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks": [{"class_path": "OneCycle"}, watch]}}))
    command = [
        *(sys.executable, "-m", "lightning_tasks", "fit", "--config", str(ROOT / "conf" / CONFIGS[task])),
        *("--config", "watch.yaml", "--data.root", "data", "--data.size", SIZES[task], "--data.batch_size", "8"),
        *("--data.num_workers", str(workers), "--model.backbone", "test_resnet", "--trainer.accelerator", "cpu"),
        *("--trainer.max_epochs", str(epochs), "--trainer.enable_progress_bar", "false", "--run_name", task),
    ]
    path = os.pathsep.join([str(ROOT), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    with Path(f"{task}.log").open("wb") as log:
        subprocess.run(command, check=True, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": path})


def read(file: Path) -> list[Sample]:
    """Return what `Watch` wrote."""
    with file.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.reader(lines))[1:]
    return [Sample(int(epoch), int(processes), float(memory), int(count)) for epoch, processes, memory, count in rows]


def take_sample(epoch: int, pid: int) -> Sample:
    """Measure a process and the processes that it started, and those that they did."""
    pids = family(pid)
    return Sample(epoch, len(pids), sum(map(memory_mb, pids)), sum(map(handles, pids)))


def family(pid: int) -> list[int]:
    """Return a process and all below it."""
    children = [
        child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]
    return [pid, *(one for child in children for one in family(int(child)))]


def memory_mb(pid: int) -> float:
    """Return a process's share of memory that no file is behind: its proportional set size without files' pages."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:"))) / 1024


def handles(pid: int) -> int:
    """Return how many files, pipes and sockets a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def judge(samples: Sequence[Sample], most_kb_an_epoch: float) -> list[str]:
    """Return what grows; see the head of this file."""
    quarter = len(samples) // 4
    complaints = []
    if slope_kb(samples) > most_kb_an_epoch:
        complaints.append(f"MEMORY GROWS by {slope_kb(samples):.1f} kB an epoch, more than {most_kb_an_epoch:g}")
    early, late = (min(s.handles for s in part) for part in (samples[quarter : 2 * quarter], samples[-quarter:]))
    if late > early:
        complaints.append(f"HANDLES GROW from {early} to {late}")
    return complaints


def slope_kb(samples: Sequence[Sample]) -> float:
    """Return the slope of the memory over the second half, kB an epoch."""
    half = samples[len(samples) // 2 :]
    return float(np.polyfit([s.epoch for s in half], [s.memory_mb * 1024 for s in half], 1)[0])


def describe(samples: Sequence[Sample]) -> list[str]:
    """Return lines with the first value, the median, the last and the highest of both, and the slope."""
    lines = [f"{len(samples)} epochs, {max(s.processes for s in samples)} processes"]
    for name, unit, values in (
        ("memory", " MB", [s.memory_mb for s in samples]),
        ("handles", "", [float(s.handles) for s in samples]),
    ):
        first, median, last, most = values[0], float(np.median(values)), values[-1], max(values)
        lines.append(f"{name}: first {first:.0f}{unit}, median {median:.0f}, last {last:.0f}, most {most:.0f}")
    return [*lines, f"memory over the second half: {slope_kb(samples):+.1f} kB an epoch"]


if __name__ == "__main__":
    sys.exit(main())
