"""Several checkpoints as one predictor, and what loads any of them."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from torch import Tensor

from lightning_tasks.data.images.decode import MAX_PIXELS
from lightning_tasks.data.images.depth import FULL
from lightning_tasks.deploy.predictor import Predictor, load_one
from lightning_tasks.errors import ConfigError
from lightning_tasks.folds import fold_checkpoints, is_crossval


class Ensemble(Predictor):
    """The mean of what several checkpoints predict, by `OutputFormat.combine`: of probabilities, points, or numbers.

    Each member sees an image in its own size. A label is predicted above the mean of the members' thresholds.

    Args:
        members: predictors with the same flip, scales and limits, on one device.

    Raises:
        ConfigError: they are not of one task, with the same names in the same order, and one white.
    """

    def __init__(self, members: Sequence[Predictor]) -> None:
        first, *others = members
        merged = first.output_format.merged([other.output_format for other in others])
        limits = (first.flip, first.scales, first.allow_pixels, first.white_level)
        super().__init__(first.module, merged, first.device, *limits)
        white = {member.white_level or FULL for member in members}
        if len(white) > 1:
            told = " and ".join(str(level) for level in sorted(white))
            raise ConfigError(f"The checkpoints take {told} for white in images of more than 8 bits. Give white_level.")
        self.members = tuple(members)
        # An image is prepared once for all who see it in one way, as a cross-validation's folds do.
        kinds = [
            [(*step.window.size, step.window.val_xtra, step.side) for step in member.preprocess_at]
            for member in members
        ]
        steps = {kind: step for own, member in zip(kinds, members, strict=True)
                 for kind, step in zip(own, member.preprocess_at, strict=True)}  # fmt: skip
        self.preprocess_at = list(steps.values())
        self._inputs_of = [[list(steps).index(kind) for kind in own] for own in kinds]

    def outputs(self, inputs: Sequence[Sequence[Tensor]]) -> Tensor:
        """Return the mean of the members' outputs (B, ...), on the CPU; see `Predictor`."""
        each = [
            self.output_format.convert(
                member.outputs([[image[i] for i in own] for image in inputs]), member.output_format
            )
            for member, own in zip(self.members, self._inputs_of, strict=True)
        ]
        return self.output_format.combine(each)


def load(
    checkpoint: str | Path | Sequence[str | Path],
    device: str = "auto",
    *,
    threshold: float | None = None,
    flip: bool = False,
    scales: tuple[float, ...] = (1.0,),
    allow_pixels: int = MAX_PIXELS,
    white_level: int | None = None,
    keep_freed_memory: bool = True,
) -> Predictor:
    """Return a predictor for images: paths, files' bytes, arrays or PIL images.

    Images go through the default validation transform; one of your own (`valid_transform`) is not in a checkpoint.
    Processes that are forked from this one afterwards (`multiprocessing.Pool`, `gunicorn --preload`) predict on one
    thread each; on an accelerator each must load for itself.

    Args:
        checkpoint: of one of our tasks. Several, or a cross-validation's folder, which stands for its folds' (see
            `fold_checkpoints`): the mean of what they predict.
        device: `cpu`, `cuda`, `cuda:1`, `mps`; `auto`: an accelerator where there is one.
        threshold: for all labels, in place of those in the checkpoint.
        flip: also predict the mirrored image, and average.
        scales: predict each image at these multiples of the model's size, and average.
        allow_pixels: a file with more is not read. Above the default it raises Pillow's own limit of the process too.
        white_level: which value is white in images of more than 8 bits, in place of the checkpoint's.
        keep_freed_memory: on the CPU, let this whole process keep what it frees, up to its peak, rather than ask the
            system for it again with each batch: a third faster. False: leave that as it is.

    Raises:
        CheckpointError: one cannot be read, or is not of such a model.
        ConfigError: the settings do not work, or several checkpoints do not predict the same; see `Ensemble`.
    """
    given = [checkpoint] if isinstance(checkpoint, str | Path) else checkpoint
    load_member = partial(
        load_one,
        device=device,
        threshold=threshold,
        flip=flip,
        scales=scales,
        allow_pixels=allow_pixels,
        white_level=white_level,
        keep_freed_memory=keep_freed_memory,
    )
    members = [load_member(path) for name in given for path in _checkpoints_of(Path(name))]
    if not members:
        raise ConfigError("There is no checkpoint to load: the list is empty.")
    return members[0] if len(members) == 1 else Ensemble(members)


def _checkpoints_of(path: Path) -> list[Path]:
    return fold_checkpoints(path) if is_crossval(path) else [path]
