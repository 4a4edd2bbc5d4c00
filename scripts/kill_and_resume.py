"""Kill a training at random moments, resume it each time, and compare its end with a run that was never killed.

    python scripts/kill_and_resume.py --kills 50 --folder /tmp/kills

Trains on drawn images, on the CPU. SIGKILL goes to the whole process group: every other time in the midst of a
checkpoint's write, else anywhere, now and then while Python still imports. Each kill is printed with the step and
stage that it hit, and the step that it is resumed from. Exits with 1 if weights, optimiser or metrics.csv differ in
a bit at the end.
"""

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
from pytorch_lightning import Callback, Trainer

ROOT = Path(__file__).parents[1]
COMMAND = [
    *(sys.executable, "-m", "lightning_tasks", "fit", "--config", str(ROOT / "conf" / "pascal_sample.yaml")),
    *("--config", str(ROOT / "conf" / "fine_tune.yaml"), "--config", "moments.yaml", "--data.root", "data"),
    *("--data.num_workers", "2", "--data.batch_size", "16", "--trainer.accelerator", "cpu"),
    *("--trainer.enable_progress_bar", "false", "--trainer.log_every_n_steps", "1", "--last.every_n_steps", "2"),
]
MOMENTS = "trainer:\n  callbacks+:\n    - class_path: kill_and_resume.Moments\n"
STAGES = {
    "setup": "setting up",
    "on_train_start": "before the first batch",
    "on_train_batch_start": "before a batch",
    "on_before_backward": "in a batch",
    "on_before_optimizer_step": "in an optimiser's step",
    "on_train_batch_end": "after a batch",
    "on_validation_start": "before a validation",
    "on_validation_batch_start": "in a validation",
    "on_validation_end": "after a validation",
    "on_train_epoch_end": "at an epoch's end",
    "on_save_checkpoint": "gathering a checkpoint",
    "on_train_end": "at the end",
}
_WIDTH = 64
_MOST_NOTES = 36  # between two kills: some eight steps
_MOST_IMPORT_S = 4.0


class Moments(Callback):
    """Keep in a file how much was done and which step and stage the training is in, for whoever kills it."""

    def __init__(self) -> None:
        self.notes = 0
        self.file = os.open("moment", os.O_CREAT | os.O_WRONLY)
        for hook, stage in STAGES.items():
            setattr(self, hook, self._noting(stage))

    def _noting(self, stage: str):  # noqa: ANN202 - a hook of any signature
        def hook(trainer: Trainer, *_: object, **__: object) -> None:
            self.notes += 1
            text = f"{self.notes}: step {trainer.global_step}, {stage}"
            os.pwrite(self.file, text.ljust(_WIDTH).encode(), 0)

        return hook


def main() -> int:
    """Run both, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True, help="an empty one, for data and runs")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    os.chdir(arguments.folder)
    Path("moments.yaml").write_text(MOMENTS, encoding="utf-8")
    config = str(ROOT / "conf" / "pascal_sample.yaml")
    subprocess.run([*COMMAND[:3], "prepare", "--config", config, "--data.root", "data"], check=True)
    started = time.monotonic()
    run("whole").wait()
    whole_s = time.monotonic() - started
    print(f"never killed: {whole_s:.0f} s, {step_of('whole')} steps")

    draw, kills = random.Random(arguments.seed), 0
    while True:
        Path("begun").touch()
        Path("moment").write_text("0: importing", encoding="utf-8")
        process = run("killed", *(["--ckpt_path", "last"] if checkpoint("killed").is_file() else []))
        if kills == arguments.kills:
            process.wait()
            break
        if kills % 10 == 0:
            wait(process, 0, draw.uniform(0, _MOST_IMPORT_S), in_a_write=False)
        else:
            wait(process, draw.randint(1, _MOST_NOTES), draw.uniform(0, 0.05), in_a_write=kills % 2 == 1)
        if process.poll() is not None:
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
        print(f"kill {kills:>2}: {moment()}; resumes from step {step_of('killed')}", flush=True)
    same = compare()
    print(f"{kills} kills; {'the same to the last bit' if same else 'NOT THE SAME'}")
    return 0 if same and kills == arguments.kills and process.returncode == 0 else 1


def wait(process: "subprocess.Popen[bytes]", notes: int, seconds: float, *, in_a_write: bool) -> None:
    """Wait until so much was done, then so long, then, if wanted, for a checkpoint's write; or for the end."""
    while process.poll() is None and int(noted()[0]) < notes:
        time.sleep(0.001)
    time.sleep(seconds)
    while process.poll() is None and in_a_write and not half_written():
        time.sleep(0.0005)


def half_written() -> dict[str, int]:
    """The checkpoints that are being written, with their bytes; what an earlier kill left is older than the process."""
    begun, sizes = Path("begun").stat().st_mtime, {}
    for path in newest("killed").glob("checkpoints/.new-*/*.ckpt") if Path("runs", "killed").is_dir() else ():
        with contextlib.suppress(FileNotFoundError):  # it has just become whole
            found = path.stat()
            if found.st_mtime > begun:
                sizes[path.stem] = found.st_size
    return sizes


def noted() -> tuple[str, str]:
    """Return how much was done, and what was being done."""
    count, _, what = Path("moment").read_text(encoding="utf-8").partition(": ")
    return count, what.strip()


def moment() -> str:
    """Return what the process was doing, which is no more."""
    writes = "".join(f", {name} half-written ({size:,} bytes)" for name, size in half_written().items())
    return noted()[1] + writes


def run(name: str, *more: str) -> "subprocess.Popen[bytes]":
    """Start a training in a process group of its own."""
    with Path(f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            [*COMMAND, "--run_name", name, *more],
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}"},
        )


def newest(name: str) -> Path:
    """The folder of the newest run; killed before its first checkpoint, a run leaves one that is not resumed."""
    return max(Path("runs", name).glob("version_*"), key=lambda path: int(path.name.removeprefix("version_")))


def checkpoint(name: str) -> Path:
    """Where the run's last checkpoint is, if there is a run."""
    return newest(name) / "checkpoints" / "last.ckpt" if Path("runs", name).is_dir() else Path("none")


def step_of(name: str) -> int:
    """Return the step of the last checkpoint; 0 where there is none."""
    path = checkpoint(name)
    return int(torch.load(path, weights_only=True, mmap=True)["global_step"]) if path.is_file() else 0


def compare() -> bool:
    """Whether weights, optimiser and metrics.csv are equal."""
    metrics = [(newest(name) / "metrics.csv").read_bytes() for name in ("whole", "killed")]
    one, other = (torch.load(checkpoint(name), weights_only=True) for name in ("whole", "killed"))
    weights = all(torch.equal(value, other["state_dict"][key]) for key, value in one["state_dict"].items())
    states = [run["optimizer_states"][0]["state"] for run in (one, other)]
    moments = all(
        torch.equal(value, states[1][key][name]) for key, state in states[0].items() for name, value in state.items()
    )
    print(f"weights equal: {weights}; optimiser equal: {moments}; metrics.csv equal: {metrics[0] == metrics[1]}")
    return weights and moments and metrics[0] == metrics[1]


if __name__ == "__main__":
    sys.exit(main())
