"""Mixing the images of a batch, with their labels: mixup and CutMix."""

import torch
from torchvision.transforms.v2 import CutMix, MixUp

from lightning_tasks.errors import ConfigError
from lightning_tasks.tasks.multilabel.batch import IGNORED, MultiLabelBatch


def check_mixing(mixup_alpha: float, cutmix_alpha: float) -> None:
    """Raise ConfigError unless both are 0 (off) or above."""
    if min(mixup_alpha, cutmix_alpha) < 0:
        raise ConfigError(
            f"data.mixup_alpha {mixup_alpha} and data.cutmix_alpha {cutmix_alpha} must not be negative; 0 is off."
        )


def mix(batch: MultiLabelBatch, mixup_alpha: float, cutmix_alpha: float, seed: int) -> MultiLabelBatch:
    """Return the batch with each image mixed with its neighbour, and the targets in the same proportion.

    The proportion comes from Beta(alpha, alpha). With both alphas above 0, each batch takes one of the two ways.
    A label that is ignored in one of the two images is ignored in what becomes of them.

    Args:
        batch: B images.
        mixup_alpha: of blending whole images (Zhang et al., "mixup", 2018); 0: never.
        cutmix_alpha: of pasting a rectangle (Yun et al., "CutMix", 2019); 0: never.
        seed: the same seed gives the same mix; torch's own random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reset a GPU's too
        choose_mixup = mixup_alpha > 0 and (cutmix_alpha == 0 or bool(torch.rand(()) < 0.5))
        if choose_mixup:
            images, targets = MixUp(alpha=mixup_alpha)(batch.images.float(), batch.targets)
            images = images.round().to(batch.images.dtype)
        else:
            images, targets = CutMix(alpha=cutmix_alpha)(batch.images, batch.targets)
    ignored = batch.targets == IGNORED
    targets = targets.masked_fill(ignored | ignored.roll(1, 0), IGNORED)  # torchvision mixes with the one before
    return MultiLabelBatch(images, targets, batch.rows)
