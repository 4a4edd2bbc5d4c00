"""Search learning rate, its ratio and weight decay with Optuna, over the command line's own objects.

python scripts/optuna_sweep.py --config pascal_sample --trials 10 --study sqlite:///sweep.db

What stands after `--` goes to each training: `-- --trainer.max_epochs 3 --data.size 96`. The score is what the model
monitors, or the config. Trials that lag behind are pruned after an epoch. A study that is there is resumed; each trial
is a run of its own.
"""

import argparse
import contextlib
import io
import math
import pydoc
import shlex
import sys
from pathlib import Path
from typing import Any

import yaml
from pytorch_lightning import Callback, LightningModule, Trainer

import lightning_tasks
from lightning_tasks.cli import TaskCLI
from lightning_tasks.config_files import find_config
from lightning_tasks.errors import LightningTasksError, users_mistake

try:
    import optuna
except ImportError:
    sys.exit("error: this needs Optuna: pip install 'lightning-tasks[sweep]'")


class Prune(Callback):
    """Report the score of each epoch, and end a trial that lags behind the others.

    Args:
        trial: to report to.
        monitor: the score's name.
    """

    def __init__(self, trial: optuna.Trial, monitor: str) -> None:
        self.trial = trial
        self.monitor = monitor

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report it."""
        self.trial.report(float(trainer.callback_metrics[self.monitor]), trainer.current_epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


class TrialCLI(TaskCLI):
    """The command line with a callback of Optuna's.

    Args:
        args: of `lightning-tasks`.
        trial: to report to.
    """

    def __init__(self, args: list[str], trial: optuna.Trial) -> None:
        self.trial = trial
        super().__init__(args)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:  # noqa: ANN401 - LightningCLI's signature
        """Append the callback."""
        made = super().instantiate_trainer(**kwargs)
        made.callbacks.append(Prune(self.trial, made.checkpoint_callback.monitor))
        return made


def arguments(trial: optuna.Trial) -> list[str]:
    """Draw what a trial tries: change this to search for something else."""
    drawn = {
        "--model.lr": trial.suggest_float("lr", 1e-4, 1e-1, log=True),
        "--model.lr_mult": trial.suggest_float("lr_mult", 1.0, 100.0, log=True),
        "--model.weight_decay": trial.suggest_float("weight_decay", 1e-4, 1e-1, log=True),
    }
    return [word for name, value in drawn.items() for word in (name, f"{value:.6g}")]


def _mode(configs: list[str]) -> str:
    """Return whether more or less of the score is better: the last config that says so decides, else the model."""
    sections = [yaml.safe_load(Path(config).read_text(encoding="utf-8")) for config in reversed(configs)]
    name = next((found["model"]["class_path"] for found in sections if "class_path" in found.get("model", {})), "")
    model = getattr(lightning_tasks, name, None) or pydoc.locate(name)
    modes = [found["checkpoint"]["mode"] for found in sections if "mode" in found.get("checkpoint", {})]
    return str([*modes, getattr(model, "mode", "min")][0])


def main() -> int:
    """Run the study; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", action="append", required=True)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--study", default="sqlite:///sweep.db", help="where the trials are kept")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("more", nargs="*", help="after --: goes to each training")
    given = parser.parse_args()
    files = [find_config(config) for config in given.config]
    base = ["fit", *(word for file in files for word in ("--config", file)), *given.more]

    def objective(trial: optuna.Trial) -> float:
        args = [*base, *arguments(trial), "--trainer.enable_progress_bar", "false"]
        with contextlib.redirect_stdout(io.StringIO()):  # the tables of ten trainings say less than one line of each
            cli = TrialCLI(args, trial)
        checkpoint = cli.trainer.checkpoint_callback
        assert checkpoint is not None
        score = float(checkpoint.best_model_score)
        return score if math.isfinite(score) else math.nan  # a NaN's infinity is no score: Optuna counts it as failed

    study = optuna.create_study(
        study_name=" ".join(given.config),
        storage=given.study,
        load_if_exists=True,
        direction="maximize" if _mode(files) == "max" else "minimize",
        sampler=optuna.samplers.TPESampler(seed=given.seed),
        pruner=optuna.pruners.MedianPruner(n_warmup_steps=1),
    )
    study.optimize(objective, n_trials=given.trials)
    if not study.get_trials(states=[optuna.trial.TrialState.COMPLETE]):
        print(f"{len(study.trials)} trials, and none of them has a score that is a number.")
        return 1
    print(f"{len(study.trials)} trials; the best scored {study.best_value:.4f}. Train it again:")
    values = {name: f"{value:.6g}" for name, value in study.best_params.items()}
    words = [*base, *(word for name, value in values.items() for word in (f"--model.{name}", value))]
    print(f"  lightning-tasks {shlex.join(words)}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (LightningTasksError, ValueError) as error:
        mistake = users_mistake(error)
        if mistake is None:
            raise
        sys.exit(f"error: {mistake}")
