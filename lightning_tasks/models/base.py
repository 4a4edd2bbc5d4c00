"""What the models of every task share: one step, scores, the optimiser, checkpoints."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self, TypedDict

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor, nn

from lightning_tasks.errors import CheckpointError
from lightning_tasks.models.backbone import Backbone, are_weights_following, weights_follow
from lightning_tasks.models.means import WeightedMean, mean_of_views
from lightning_tasks.models.names import composed, first_of
from lightning_tasks.models.optimizer import LR_MULT, LearningRate, adamw, can_fuse, require_groups
from lightning_tasks.models.start import difference, start_from
from lightning_tasks.models.weights_file import WeightsFile, read_weights, weights_for

_STAGES = ("val", "test")


class BackboneSource(TypedDict):
    """The arguments of `Backbone`."""

    name: str
    image_size: tuple[int, int]
    pretrained: bool
    weights: WeightsFile | None
    stored: dict[str, Any] | None


class ImageModel(LightningModule, ABC):
    """A timm backbone and a head, and what it takes to train, score and keep them.

    A task's model keeps its own settings, then calls this constructor, which asks it for `configure_models`,
    `configure_losses` and `configure_metrics`, one after the other. `outputs` are what the losses take; `predictions`,
    what `decode` makes of them: probabilities of logits, say.

    Logs `train/loss_step`, `train/loss_epoch`, `val/loss`, `test/loss`, and what `log_metrics` does.

    Attributes:
        monitor: the score that tells which checkpoint is the best: read by checkpoints, early stopping and sweeps.
        mode: whether it is to be low or high; of the others `mode_of` says it.
        names_key: the hyper-parameter (and attribute) that holds the names of the outputs.
        names_noun: what they are called in messages.
        by_stage: whether each of the body's stages is a group of the optimiser: FineTune asks for it.
        settings_before: hyper-parameters that older checkpoints do not have, with what they were.
        not_kept: arguments that a checkpoint does not keep. It brings its own weights: where the first ones came from
            must not be fetched again. How fast it ran says nothing of the machine that reads it.

    Args:
        backbone: a timm model by its tagged name, or `hf-hub:USER/NAME` or `local-dir:FOLDER`.
        image_size: height and width of the images.
        lr: the head's highest learning rate; `auto`: the callback LRFinder finds it.
        pretrained: fetch the tag's weights.
        weights: a .safetensors or .pth file with the backbone's weights, in place of fetched ones; or a folder with
            `<backbone>.safetensors` in it. Of a checkpoint of ours, or what `export` wrote as safetensors, the head's
            are taken too, as far as the names of its outputs are known here; none of its settings.
        lr_mult: the head's rate over the early body's. Another than this counts in the callback FineTune too.
        weight_decay: of AdamW, for matrices.
        flip_tta: outside training, predictions are the mean of the image's and the mirrored one's. Of this run alone:
            not kept in checkpoints (`predict --flip` is its like).
        compile: let torch.compile make the backbone's kernels: slow to start, faster after.
        architecture: what a checkpoint keeps of a backbone of the Hugging Face hub or a folder, to be loaded without;
            not to be set.

    Raises:
        LightningTasksError: backbone, weights or sizes do not work.
    """

    monitor: ClassVar[str]
    mode: ClassVar[Literal["min", "max"]]
    names_key: ClassVar[str]
    names_noun: ClassVar[str]
    settings_before: ClassVar[dict[str, Any]] = {}
    not_kept: ClassVar[tuple[str, ...]] = ("pretrained", "weights", "compile", "flip_tta", "architecture")

    backbone: Backbone
    head: nn.Module
    by_stage = False

    def __init__(
        self,
        backbone: str,
        image_size: tuple[int, int],
        lr: LearningRate,
        pretrained: bool = False,
        weights: str | None = None,
        lr_mult: float = LR_MULT,
        weight_decay: float = 0.01,
        flip_tta: bool = False,
        compile: bool = False,
        architecture: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=list(self.not_kept))
        self.lr, self.lr_mult, self.weight_decay = lr, lr_mult, weight_decay
        self.flip_tta = flip_tta
        self._of_this_run = {"pretrained": pretrained, "weights": weights, "compile": compile, "flip_tta": flip_tta}
        file = None if weights is None or are_weights_following() else read_weights(weights_for(weights, backbone))
        self.configure_models(
            BackboneSource(
                name=backbone, image_size=image_size, pretrained=pretrained, weights=file, stored=architecture
            )
        )
        if file is not None:
            start_from(file, self)
        if self.backbone.to_store is not None:
            self.hparams["architecture"] = self.backbone.to_store
        if compile:
            self.backbone.compile()  # in place: the weights' names stay
        self.configure_losses()
        self.train_loss = WeightedMean()
        self.losses = nn.ModuleDict({stage: WeightedMean() for stage in _STAGES})
        self.metrics = nn.ModuleDict()
        self.configure_metrics(_STAGES)

    @classmethod
    def load_from_checkpoint(cls, *args: Any, **kwargs: Any) -> Self:  # noqa: ANN401 - Lightning's own
        """Do as Lightning's, whatever became of the name that the first weights had; see `weights_follow`."""
        with weights_follow():
            return super().load_from_checkpoint(*args, **kwargs)

    @classmethod
    def mode_of(cls, score: str) -> Literal["min", "max"]:
        """Return whether a score that is logged, such as `val/accuracy`, is to be low or high."""
        return "min" if score.endswith("/loss") else cls.mode

    @property
    def given_lr_mult(self) -> float | None:
        """The head's rate over the early body's, where it is not the default: for schedules with another default."""
        return None if self.lr_mult == LR_MULT else self.lr_mult

    @property
    def weights_from(self) -> str | None:
        """The file, or the folder of files, that `weights` named."""
        found: Any = self._of_this_run["weights"]
        return None if found is None else str(found)

    def with_backbone(self, name: str) -> Self:
        """Return a new model of the same settings with another backbone, its weights from where this one's came from.

        Raises:
            LightningTasksError: the backbone or its weights do not work.
        """
        kept = {key: value for key, value in self.hparams.items() if not key.startswith("_")}
        settings = {key: value for key, value in kept.items() if key != "architecture"}  # of this backbone
        return type(self)(**{**settings, **self._of_this_run, "backbone": name})

    @property
    def why_no_probe(self) -> str | None:
        """Why the head cannot be fitted to features that were computed before, and what to do; None: it can."""
        return None

    def head_difference(self, settings: Mapping[str, Any]) -> str | None:
        """Return why a head that was trained with these hyper-parameters means something else; None: it does not.

        What its tensors' names and shapes tell need not be told here.
        """
        return difference(self, "head", settings)

    def on_head_taken(self, known: Sequence[bool]) -> None:
        """Let the head's new outputs begin beside those that were taken; `known` says which these are."""

    @abstractmethod
    def configure_models(self, source: BackboneSource) -> None:
        """Set `backbone`, from `Backbone(**source)` or a subclass of it, then `head`."""

    def configure_losses(self) -> None:
        """Make what `training_loss` and `evaluation_loss` need, if anything."""

    @abstractmethod
    def configure_metrics(self, stages: tuple[str, ...]) -> None:
        """Put the metrics of each stage into `self.metrics`."""

    @abstractmethod
    def training_loss(self, outputs: Tensor, batch: Any) -> Tensor:  # noqa: ANN401 - the task's
        """Return what training minimises, a scalar, of outputs (B, ...)."""

    @abstractmethod
    def evaluation_loss(self, outputs: Tensor, batch: Any) -> Tensor:  # noqa: ANN401 - likewise
        """Return the loss that is logged outside training: a mean, of one meaning whatever the training minimises."""

    @abstractmethod
    def loss_weight(self, batch: Any) -> int | Tensor:  # noqa: ANN401 - likewise
        """Return over how many things `evaluation_loss` is the mean, for the mean over the whole set to be right."""

    @abstractmethod
    def log_metrics(self, stage: str, predictions: Tensor, batch: Any) -> None:  # noqa: ANN401 - likewise
        """Gather and log the metrics of a batch, of `val` or `test`."""

    def calibrate(self, outputs: Tensor) -> Tensor:
        """Return outputs (B, ...) as they are used outside training."""
        return outputs

    def decode(self, outputs: Tensor) -> Tensor:
        """Return predictions (B, ...) for outputs (B, ...)."""
        return outputs

    def encode(self, predictions: Tensor) -> Tensor:
        """Return outputs (B, ...) whose predictions these are: the inverse of `decode`."""
        return predictions

    def unmirror(self, predictions: Tensor, width_px: int) -> Tensor:
        """Return predictions (B, ...) of images for those of the mirrored images, `width_px` wide."""
        return predictions

    def setup(self, stage: str) -> None:
        """Refuse training sizes that the body cannot take."""
        sizes = getattr(getattr(self.trainer, "datamodule", None), "train_sizes", None)  # of a user's own: none
        if stage != "fit" or sizes is None:
            return
        if sizes.start is not None:
            self.backbone.require_size((sizes.start, sizes.start), "data.start_size")
        if sizes.last != sizes.full:
            self.backbone.require_size(sizes.last, "data.train_size")

    def _predict(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs and predictions (B, ...) in float32, as outside training, for (B, 3, H, W) RGB 0 to 255."""
        outputs = self.calibrate(self(images).float())
        if not self.flip_tta:
            return outputs, self.decode(outputs)
        mirrored = self.decode(self.calibrate(self(images.flip(3)).float()))
        predictions = mean_of_views([self.decode(outputs), self.unmirror(mirrored, images.shape[3])])
        return self.encode(predictions), predictions

    def _shared_step(self, batch: Any) -> tuple[Tensor, Tensor]:  # noqa: ANN401 - the task's
        """Return the loss and the predictions (B, ...), both in float32 under any precision."""
        if self.training:
            outputs = self(batch.images).float()
            return self.training_loss(outputs, batch), self.decode(outputs)
        outputs, predictions = self._predict(batch.images)
        return self.evaluation_loss(outputs, batch), predictions

    def training_step(self, batch: Any) -> Tensor:  # noqa: ANN401 - the task's
        """Return the loss of a batch."""
        loss, _ = self._shared_step(batch)
        self.train_loss.update(loss, len(batch.images))
        self.log("train/loss_step", loss)
        self.log("train/loss_epoch", self.train_loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: Any) -> Tensor:  # noqa: ANN401 - the task's
        """Gather metrics; return the predictions (B, ...)."""
        return self._evaluate(batch, "val")

    def test_step(self, batch: Any) -> Tensor:  # noqa: ANN401 - the task's
        """Gather metrics; return the predictions (B, ...)."""
        return self._evaluate(batch, "test")

    def predict_step(self, batch: Any) -> Tensor:  # noqa: ANN401 - the task's
        """Return the predictions (B, ...)."""
        return self._predict(batch.images)[1]

    def _evaluate(self, batch: Any, stage: str) -> Tensor:  # noqa: ANN401 - the task's
        loss, predictions = self._shared_step(batch)
        self.gather(stage, loss, predictions, batch)
        return predictions

    def gather(self, stage: str, loss: Tensor, predictions: Tensor, batch: Any) -> None:  # noqa: ANN401 - the task's
        """Gather and log the loss and the metrics of a batch, of `val` or `test`."""
        mean_loss: Any = self.losses[stage]
        mean_loss.update(loss, self.loss_weight(batch))
        self.log(f"{stage}/loss", mean_loss, batch_size=len(batch.images))
        self.log_metrics(stage, predictions, batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return fastai's AdamW over early body, late body and head, or over each stage and the head."""
        fused = can_fuse(self)
        return adamw(self.backbone, self.head, self.lr, self.lr_mult, self.weight_decay, fused, self.by_stage)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Raise CheckpointError unless the checkpoint has the same names, in the same order, and is of this network.

        With as many other labels the weights would load, and every prediction would carry the wrong name. What a
        training goes on from must have had the optimiser's groups that it has, too.
        """
        if self._trainer is not None and self._trainer.state.fn == TrainerFn.FITTING:
            require_groups(checkpoint, self.by_stage)
        settings = checkpoint.get("hyper_parameters", {})
        for setting in ("backbone", "head", "max_stride"):
            wanted = self.hparams.get(setting)
            found = settings.get(setting, self.settings_before.get(setting, wanted))
            if wanted is not None and found != wanted:
                raise CheckpointError(
                    f"The checkpoint's {setting} is {found!r}, the model's {wanted!r}. Give the config that it was "
                    f"trained with, or --model.{setting} {found}"
                )
        names, stored = getattr(self, self.names_key), settings.get(self.names_key)
        if stored is not None and composed(stored) != composed(names):
            raise CheckpointError(
                f"The checkpoint knows {len(stored)} {self.names_noun} ({first_of(stored, 4)}), the data has "
                f"{len(names)} ({first_of(names, 4)}). Use the data that it was trained on, or a table with the same "
                "names."
            )
        ask = getattr(getattr(self._trainer, "datamodule", None), "doubt_split", None)  # of a user's own: nothing
        if ask is not None and self.trainer.state.fn != "test":
            ask(checkpoint)
