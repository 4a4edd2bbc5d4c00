"""A linear probe: the frozen backbone's features, and the head that suits them; an ordinary run comes of it."""

from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.cli import SaveConfigCallback
from pytorch_lightning.utilities.exceptions import _TunerExitException

from lightning_tasks.callbacks.linear_probe import LRS, WEIGHT_DECAYS, LinearProbe, require_probe
from lightning_tasks.errors import ConfigError
from lightning_tasks.filesystem import is_file
from lightning_tasks.models.base import ImageModel
from lightning_tasks.probe.report import Compared, comparison_lines, write_comparison
from lightning_tasks.probe.search import better
from lightning_tasks.reports.terminal import tell_skipped
from lightning_tasks.training.run_paths import run_folder


def run(
    trainer: pl.Trainer,
    model: pl.LightningModule,
    datamodule: pl.LightningDataModule,
    views: int = 2,
    folds: int = 5,
    weight_decays: list[float] = list(WEIGHT_DECAYS),  # noqa: B006 - nobody changes it; what `--help` shows
    lrs: list[float] = list(LRS),  # noqa: B006 - likewise
    backbones: list[str] | None = None,
    keep_gb: float = 4.0,
) -> LinearProbe:
    """Fit the head to features of the frozen backbone, and leave a run's folder, checkpoints and scores.

    Args:
        views: of each training image that the backbone sees: as it is validated, then as it is augmented.
        folds: of the cross-validation that chooses weight decay and rate.
        weight_decays: the grid's.
        lrs: the grid's highest rates.
        backbones: several to compare, in place of the model's own; the one that cross-validates best is the run's.
            Their weights are those that `model.pretrained` fetches, or of the folder `model.weights`.
        keep_gb: features of all runs together take no more on the disk; 0: they are not kept.
    """
    require_probe(trainer, model, datamodule)  # before images are decoded
    assert isinstance(model, ImageModel)
    if backbones:
        best = _compare(trainer, model, datamodule, backbones, (views, folds, weight_decays, lrs, keep_gb))
        model, (weight_decay, lr) = model.with_backbone(best.backbone), best.chosen.setting
        weight_decays, lrs = [weight_decay], [lr]
        for callback in _callbacks(trainer):
            if isinstance(callback, SaveConfigCallback):
                callback.config.model.init_args.backbone = best.backbone
    probe = LinearProbe(views, folds, weight_decays, lrs, keep_gb=keep_gb, only=True)
    _callbacks(trainer).insert(0, probe)
    trainer.fit(model, datamodule=datamodule)
    tell_skipped(trainer.train_dataloader)
    return probe


class _Scores(LinearProbe):
    """A probe that ends with its scores, and writes nothing."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End."""
        raise _TunerExitException  # Lightning's own way to end a fit early and in order


def _compare(
    trainer: pl.Trainer,
    model: ImageModel,
    datamodule: pl.LightningDataModule,
    backbones: list[str],
    options: tuple[int, int, list[float], list[float], float],
) -> Compared:
    """Probe each backbone, print a table of them, and return the best by cross-validation."""
    weights = model.weights_from
    if len(backbones) > 1 and weights is not None and is_file(Path(weights)):
        raise ConfigError(
            f"--model.weights {weights} is a file of one backbone, and {len(backbones)} are to be compared. Name a "
            "folder with <backbone>.safetensors of each, or leave it out and give --model.pretrained true."
        )
    views, folds, weight_decays, lrs, keep_gb = options
    models = {name: model.with_backbone(name) for name in dict.fromkeys(backbones)}  # all, before the first is run
    all_callbacks = list(_callbacks(trainer))
    compared = []
    for name in models:
        probe = _Scores(views, folds, weight_decays, lrs, keep_gb=keep_gb)
        _callbacks(trainer)[:] = [probe, *(c for c in all_callbacks if not isinstance(c, SaveConfigCallback))]
        trainer.print(f"backbone         {name}")
        trainer.fit(models[name], datamodule=datamodule)
        assert probe.chosen is not None
        assert probe.features is not None
        size = sum(parameter.numel() for parameter in models[name].backbone.parameters())
        compared.append(Compared(name, size, probe.chosen, probe.scores[model.monitor], probe.features))
        models[name] = model  # its weights need not be held any more
    _callbacks(trainer)[:] = all_callbacks
    best = compared[better([one.chosen.mean for one in compared], model.mode)]
    for line in comparison_lines(model.monitor, compared, best):
        trainer.print(line)
    write_comparison(run_folder(trainer) / "backbones.csv", model.monitor, compared, best)
    trainer.print(f"{best.backbone} becomes the run: it is the best by cross-validation")
    return best


def _callbacks(trainer: pl.Trainer) -> list[pl.Callback]:
    found: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # Lightning sets it at run time
    return found
