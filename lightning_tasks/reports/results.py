"""Targets beside predictions, drawn on the pictures as the model saw them."""

from pathlib import Path

import torch
from matplotlib.figure import Figure
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import TensorBoardLogger

from lightning_tasks.batch import KeypointBatch, MultiLabelBatch
from lightning_tasks.reports.grid import GREEN, RED, draw_points, grid, pictures

_MOST = 9
_MOST_LABELS = 4


class ResultsPicture(Callback):
    """Write `results.png` into the run's folder, and show it in TensorBoard, when training ends."""

    def __init__(self) -> None:
        self._batch: MultiLabelBatch | KeypointBatch | None = None

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the first pictures."""
        if batch_idx == 0 and isinstance(batch, (MultiLabelBatch, KeypointBatch)):
            self._batch = type(batch)(*(tensor[:_MOST] for tensor in batch))

    @torch.no_grad()
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Predict and draw them."""
        if self._batch is None or not trainer.is_global_zero:
            return
        modes = [module.training for module in pl_module.modules()]
        pl_module.eval()
        predictions = pl_module.predict_step(self._batch).float().cpu()
        for module, training in zip(pl_module.modules(), modes, strict=True):
            module.training = training
        batch = type(self._batch)(*(tensor.cpu() for tensor in self._batch))
        if isinstance(batch, MultiLabelBatch):
            figure = multilabel_results(batch, predictions, pl_module.vocab, pl_module.predicted(predictions))  # type: ignore[operator,arg-type]  # a Module's attributes are untyped
        else:
            figure = keypoint_results(batch, predictions)
        figure.savefig(Path(trainer.default_root_dir) / "results.png", dpi=110)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_figure("results", figure, trainer.global_step)


def multilabel_results(
    batch: MultiLabelBatch, probabilities: torch.Tensor, vocab: list[str], predicted: torch.Tensor
) -> Figure:
    """Draw each picture with its labels above and the predicted ones below, green where both agree.

    Args:
        batch: B pictures and their targets.
        probabilities: (B, C).
        vocab: C labels.
        predicted: (B, C) bool.
    """
    figure, axes = grid(pictures(batch.images), text_inches=0.9)
    for ax, target, probability, chosen in zip(axes, batch.targets, probabilities, predicted, strict=True):
        wanted = [label for label, on in zip(vocab, target > 0, strict=True) if on]
        found = [(vocab[c], float(probability[c])) for c in chosen.nonzero().flatten().tolist()]
        ax.set_title(", ".join(wanted) or "no label", fontsize=9)
        right = {label for label, _ in found} == set(wanted)
        found.sort(key=lambda pair: -pair[1])
        text = "\n".join(f"{label} {p:.2f}" for label, p in found[:_MOST_LABELS]) or "nothing found"
        ax.set_xlabel(text, fontsize=8, color=GREEN if right else RED)
    return figure


def keypoint_results(batch: KeypointBatch, predicted_norm: torch.Tensor) -> Figure:
    """Draw each picture with its visible points as green circles and the predicted ones as red diamonds.

    Args:
        batch: B pictures and their P points.
        predicted_norm: (B, P, 2) on the −1..1 scale.
    """
    figure, axes = grid(pictures(batch.images), text_inches=0.3)
    size = torch.tensor([batch.images.shape[-1], batch.images.shape[-2]])
    errors = (predicted_norm - batch.points_norm) * batch.original_size_px[:, None] / 2
    for i, ax in enumerate(axes):
        visible = batch.visible[i]
        for points, colour, marker in ((batch.points_norm[i], GREEN, "o"), (predicted_norm[i], RED, "D")):
            draw_points(ax, (points[visible] + 1) * size / 2, colour, marker)
        error = errors[i][visible].norm(dim=-1)
        ax.set_xlabel(f"{error.mean():.1f} px off" if len(error) else "no point", fontsize=8)
    figure.suptitle("green circles: annotated    red diamonds: predicted", fontsize=9)
    return figure
