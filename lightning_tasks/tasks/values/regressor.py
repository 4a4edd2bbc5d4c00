"""How much? Numbers of an image."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from lightning_tasks.batch import TargetBatch
from lightning_tasks.errors import ConfigError
from lightning_tasks.models.backbone import Backbone
from lightning_tasks.models.base import BackboneSource, ImageModel
from lightning_tasks.models.optimizer import LearningRate
from lightning_tasks.models.start import difference
from lightning_tasks.tasks.values.heads import ValueHead
from lightning_tasks.tasks.values.losses import Loss, masked_loss
from lightning_tasks.tasks.values.scores import GatheredValues, value_scores
from lightning_tasks.tasks.values.statistics import Statistics


class ValueRegressor(ImageModel):
    """Numbers of an image, such as an age, a weight, a count, learnt in standard deviations of the training split.

    Logs `loss` (the mean squared error in standard deviations, whatever the training minimises) and for each target, in
    its own unit, `mae_<name>`, `rmse_<name>`, `r2_<name>`, `spearman_<name>`, and `mae_baseline_<name>` and
    `rmse_baseline_<name>`: what always predicting the training split's median, or mean, scores.

    Args:
        targets: names of the T numbers, in the order of the batches.
        backbone: a timm model by its tagged name, or `hf-hub:USER/NAME` or `local-dir:FOLDER`.
        image_size: height and width of the images.
        loss: `mse`; `huber`: squared below one standard deviation and linear above; `l1`: the median is learnt.
        y_range: all predictions lie between these two, in the targets' unit; None: anywhere.
        lr: the head's highest learning rate; `auto`: the callback LRFinder finds it.
        **kwargs: see `ImageModel`.

    Raises:
        LightningTasksError: backbone, weights or sizes do not work.
    """

    monitor = "val/loss"
    mode = "min"
    names_key = "targets"
    names_noun = "targets"

    head: ValueHead

    def __init__(
        self,
        targets: list[str],
        backbone: str = "resnet18.tv_in1k",
        image_size: tuple[int, int] = (128, 128),
        loss: Loss = "mse",
        y_range: tuple[float, float] | None = None,
        lr: LearningRate = 1e-2,
        **kwargs: Any,  # noqa: ANN401 - of the parent, which the parser resolves
    ) -> None:
        if not targets:
            raise ConfigError("ValueRegressor needs a data module with numbers, such as ValueDataModule; it has none.")
        if y_range is not None and not y_range[0] < y_range[1]:
            raise ConfigError(f"model.y_range is {list(y_range)}; its first number must be below its second.")
        self.targets = targets
        self.loss_name = loss
        self.y_range = y_range
        super().__init__(backbone=backbone, image_size=image_size, lr=lr, **kwargs)

    def configure_models(self, source: BackboneSource) -> None:
        """Make the backbone and the head."""
        self.backbone = Backbone(**source)
        self.head = ValueHead(self.backbone.num_features, len(self.targets), self.y_range)

    def head_difference(self, settings: Mapping[str, Any]) -> str | None:
        """Tell numbers of another range apart: a number means something else in each."""
        return super().head_difference(settings) or difference(self, "y_range", settings)

    def on_head_taken(self, known: Sequence[bool]) -> None:
        """Let the head keep what it predicts for the targets that it knows, whatever their statistics will be."""
        self.head.is_learnt = list(known)

    def configure_metrics(self, stages: tuple[str, ...]) -> None:
        """Make what gathers each stage's numbers."""
        for stage in stages:
            self.metrics[stage] = GatheredValues(len(self.targets))

    def setup(self, stage: str) -> None:
        """Learn the targets' statistics from the training split; a checkpoint brings its own."""
        super().setup(stage)
        statistics: Statistics | None = getattr(getattr(self.trainer, "datamodule", None), "statistics", None)
        if stage == "fit" and statistics is not None:
            self.head.set_statistics(statistics)

    def forward(self, images: Tensor) -> Tensor:
        """Return standardised numbers (B, T) for (B, 3, H, W) RGB from 0 to 255; `decode` gives them their units."""
        outputs: Tensor = self.head(self.backbone(images))
        return outputs

    def decode(self, outputs: Tensor) -> Tensor:
        """Return numbers (B, T) in the targets' units for standardised ones."""
        return self.head.decode(outputs)

    def encode(self, predictions: Tensor) -> Tensor:
        """Return standardised numbers (B, T) for those in the targets' units."""
        return self.head.standardise(predictions)

    def training_loss(self, outputs: Tensor, batch: TargetBatch) -> Tensor:
        """Return the chosen loss of standardised numbers (B, T)."""
        return masked_loss(self.loss_name, outputs, self.encode(batch.targets))

    def evaluation_loss(self, outputs: Tensor, batch: TargetBatch) -> Tensor:
        """Return the mean squared error of standardised numbers (B, T)."""
        return masked_loss("mse", outputs, self.encode(batch.targets))

    def loss_weight(self, batch: TargetBatch) -> Tensor:
        """Return how many numbers are known."""
        return (~batch.targets.isnan()).sum()

    def log_metrics(self, stage: str, predictions: Tensor, batch: TargetBatch) -> None:
        """Gather the numbers, whose scores are logged at the epoch's end."""
        self._gathered(stage).update(predictions, batch.targets)

    def on_validation_epoch_end(self) -> None:
        """Log the scores."""
        self._log_scores("val")

    def on_test_epoch_end(self) -> None:
        """Log the scores."""
        self._log_scores("test")

    def _log_scores(self, stage: str) -> None:
        metric = self._gathered(stage)
        scores = value_scores(*metric.compute(), self.targets, self.head.mean, self.head.median)
        values = {
            f"{stage}/{kind}_{name}": value
            for name, of_target in scores.items()
            for kind, value in vars(of_target).items()
            if kind != "n"
        }
        self.log_dict(values, sync_dist=True)  # they are those of all processes already; Lightning warns otherwise
        metric.reset()

    def _gathered(self, stage: str) -> GatheredValues:
        gathered = self.metrics[stage]
        assert isinstance(gathered, GatheredValues)
        return gathered
