"""Kill a training at random moments, let it go on each time, and compare its end with a run that was never killed.

    python scripts/kill_and_resume.py --kills 50 --folder /tmp/kills

Trains on drawn pictures, on the CPU. SIGKILL goes to the whole process group after a random time: also while
checkpoints are written, or while Python still imports. Each kill's moment is printed with the step that the run goes on
from. Exits with 1 if weights or metrics.csv differ in a bit.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]
COMMAND = [
    *(sys.executable, "-m", "lightning_tasks", "fit", "--config", str(ROOT / "conf" / "pascal_sample.yaml")),
    *("--config", str(ROOT / "conf" / "fine_tune.yaml"), "--data.root", "data", "--data.num_workers", "2"),
    *("--data.batch_size", "16", "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"),
    *("--trainer.log_every_n_steps", "1", "--last.every_n_steps", "2"),
]


def main() -> int:
    """Run both, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True, help="an empty one, for data and runs")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    os.chdir(arguments.folder)
    config = str(ROOT / "conf" / "pascal_sample.yaml")
    subprocess.run([*COMMAND[:3], "prepare", "--config", config, "--data.root", "data"], check=True)
    started = time.monotonic()
    run("whole").wait()
    whole_s = time.monotonic() - started
    print(f"never killed: {whole_s:.0f} s, {step_of('whole')} steps")

    draw, kills = random.Random(arguments.seed), 0
    while True:
        process = run("killed", *(["--ckpt_path", "last"] if checkpoint("killed").is_file() else []))
        # Mostly soon after the start of the training, so that many kills fit into a run; some before, some late.
        patience_s = draw.uniform(0, 0.6 * whole_s) if kills < arguments.kills else None
        try:
            process.wait(patience_s)
            break
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
            print(f"kill {kills} after {patience_s:.1f} s; goes on from step {step_of('killed')}", flush=True)
    same = compare()
    print(f"{kills} kills; {'the same to the last bit' if same else 'NOT THE SAME'}")
    return 0 if same and process.returncode == 0 else 1


def run(name: str, *more: str) -> "subprocess.Popen[bytes]":
    """Start a training in a process group of its own."""
    with Path(f"{name}.log").open("ab") as log:
        return subprocess.Popen([*COMMAND, "--run_name", name, *more], stdout=log, stderr=log, start_new_session=True)


def newest(name: str) -> Path:
    """The folder of the newest run; killed before its first checkpoint, a run leaves one that is not gone on with."""
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
