"""A run that is killed by SIGKILL and resumed, beside one that never was: equal to the bit?"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from gpu_checking.step import Check, run

_KILLED_AT = 9
_RUN = (
    *("--trainer.max_epochs", "2", "--trainer.limit_train_batches", "6", "--trainer.limit_val_batches", "2"),
    *("--trainer.deterministic", "true", "--last.every_n_steps", "2"),
)


class Kill(Callback):
    """End this process by SIGKILL at a step."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        """End it."""
        if trainer.global_step == _KILLED_AT:
            os.kill(os.getpid(), signal.SIGKILL)


def resume(check: Check) -> None:
    """Train three times, and compare the ends."""
    check.command(*check.arguments("fit", "labels", "whole", *_RUN))
    kill = check.work / "kill.yaml"
    kill.write_text("trainer:\n  callbacks+:\n    - class_path: gpu_checking.resume.Kill\n", encoding="utf-8")
    command = check.arguments("fit", "labels", "killed", *_RUN, "--config", str(kill))
    ended = subprocess.run([sys.executable, "-m", "lightning_tasks", *command], check=False)
    check.note(killed_with=ended.returncode)
    if ended.returncode != -signal.SIGKILL:
        raise SystemExit(f"it ended with {ended.returncode} before it could be killed")
    said = check.command(*check.arguments("fit", "labels", "killed", *_RUN, "--ckpt_path", "last"))
    check.note(said=said.strip().splitlines()[:1])
    one, other = (state(check.checkpoint(name).with_name("last.ckpt")) for name in ("whole", "killed"))
    differ = [name for name, value in one.items() if not torch.equal(value, other[name])]
    check.note(
        end="equal to the bit" if not differ else f"{len(differ)} of {len(one)} tensors differ, {differ[:3]} among them"
    )
    if differ:
        raise SystemExit(1)


def state(path: Path) -> dict[str, torch.Tensor]:
    """Return weights and the optimiser's state by name."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    states = content["optimizer_states"][0]["state"]
    moments = {f"{key} {name}": value for key, each in states.items() for name, value in each.items()}
    return {**content["state_dict"], **moments}


if __name__ == "__main__":
    run(resume)
