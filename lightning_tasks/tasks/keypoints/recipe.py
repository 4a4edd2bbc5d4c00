"""The best training that is known for images with points, and others; README, "How far the images go"."""

import torch

from lightning_tasks.data.images.decode import Size
from lightning_tasks.models.architecture import find_architecture
from lightning_tasks.tasks.keypoints.heads import has_fine_maps
from lightning_tasks.tasks.recipe import (
    CPU_BACKBONE,
    GPU_BACKBONE,
    Component,
    Preset,
    Recipe,
    Setting,
    Settings,
    Wishes,
    batch_limit,
    choose_backbone,
    choose_batch,
    choose_epochs,
    fastai_backbone,
    own_shape,
    precision_setting,
    rate_for,
)

_ONE = "Errors are medians in pixels on the heads of Pointing'04, 384×288, 1,860 images, with tf_efficientnet_lite0"
_MANY = "Errors are shares of the eyes' distance, 68 points on 304 faces, with tf_efficientnet_lite0"
_BATCH, _LR, _LR_MULT = 16, 5e-3, 3.0  # that the figures are of
_BATCH_ON_GPU = 64
_STEPS = 250  # about as many, in all
_FEW = 4  # points: more of them want features that see most of the image
_LIKE_CHAPTER = (240, 320)
# Preset → the height and width of as many pixels, how many images are shown in all, and the fewest epochs.
_SCALES: dict[Preset, tuple[Size, int, int]] = {
    "fast": ((96, 128), 3_700, 2),
    "balanced": ((144, 192), 4_600, 3),
    "best": ((192, 256), 9_200, 6),
}
_SQUARE = {"fast": 112, "balanced": 160, "best": 224}  # likewise of many points, whose side is a multiple of 32


def point_recipe(wishes: Wishes, rows: int, size: Size | None, points: int, mirrors: bool) -> Recipe:
    """Return how to train on `rows` images of a median size with some points: heatmaps, or fastai's chapter.

    `mirrors`: it is known which points change places in a mirrored image.
    """
    if wishes.preset == "fastai" or not _has_maps(wishes):
        return _chapter(wishes, size)
    few, (area, shown, fewest) = points <= _FEW, _SCALES[wishes.preset]
    square = _SQUARE[wishes.preset]
    seen = own_shape(size, area, 16) if few else own_shape(size, (square, square), 32)
    epochs = choose_epochs(rows, shown, fewest)
    at_most = min(_BATCH_ON_GPU, batch_limit(wishes.machine, seen[0] * seen[1], _BATCH))
    batch = choose_batch(rows, epochs, at_most, _STEPS)
    return Recipe(
        {**_backbone(wishes), **_head(few, rate_for(batch, _LR, _BATCH), batch, mirrors)},
        {"size": Setting(seen, _why_size(few, wishes.preset)), "batch_size": Setting(batch, _why_batch(batch))},
        {
            "max_epochs": Setting(epochs, _why_epochs(epochs, rows, few)),
            "precision": precision_setting(wishes.machine),
        },
        [Component("OneCycle")],
        [f"{_ONE if few else _MANY}: README, How far the images go"],
    )


def _chapter(wishes: Wishes, size: Size | None) -> Recipe:
    shorter = min(_LIKE_CHAPTER) / min(size or _LIKE_CHAPTER)
    usual = [round(side * min(1, shorter)) for side in size or _LIKE_CHAPTER]
    seen = own_shape(size, (usual[0], usual[1]), 16)
    why = "the images' own shape, in steps of 16; the chapter's shorter side of 240"
    model, head = fastai_backbone(wishes), {}
    if wishes.preset != "fastai":
        why_head = f"{wishes.backbone} has no features at a stride of 8 pixels, of which heatmaps are made"
        head = {"head": Setting("regression", why_head)}
    return Recipe({**model, **head}, {"size": Setting(seen, why)})


def _has_maps(wishes: Wishes) -> bool:
    """Return whether the backbone that was named can have heatmaps; one of a hub is taken for one that can."""
    name = wishes.backbone
    if name is None or ":" in name or "/" in name:
        return True
    with torch.device("meta"):  # no weights are made
        return has_fine_maps(find_architecture(name, None, weights_follow=False).build())


def _backbone(wishes: Wishes) -> Settings:
    cpu = "the one that the figures are of; larger ones cost time by their size"
    gpu = "for a GPU: its makers' ImageNet scores are above lite0's; not measured here"
    return choose_backbone(wishes, Setting(CPU_BACKBONE, cpu), Setting(GPU_BACKBONE, gpu))


def _head(few: bool, lr: float, batch: int, mirrors: bool) -> Settings:
    stride = "features at a stride of 8 alone see enough for few points: 4.8; with 16 too 5.0, and more time"
    if not few:
        stride = "features that see most of the image: 0.085; to 16 alone 0.094, to 8 0.141, for less time"
    rate = "the head's; of a heatmap, and of all the body too: see lr_mult; lr_find suggests others"
    rate += ". Higher by the root of the batch's size, which was not measured" * (batch > _BATCH)
    flip = "each prediction outside training is the mean with the mirrored image's, for twice the time: "
    flip += "4.8 becomes 4.7" if few else "0.085 becomes 0.082"
    if not mirrors:
        flip = "true asks for data.swap_pairs: the mean with the mirrored image's prediction gains some 3 %"
    return {
        "head": Setting("heatmap", "fastai's regression of pooled features ends at 44.7 where heatmaps end at 5.0"),
        "max_stride": Setting(8 if few else 32, stride),
        "lr": Setting(lr, rate),
        "lr_mult": Setting(_LR_MULT, "the early body learns at a third of the rate; a fifteenth was no better"),
        "flip_tta": Setting(mirrors, flip),
    }


def _why_size(few: bool, preset: Preset) -> str:
    if not few:
        return "height and width: 160×160 is measured; others were not, and cost time by their area"
    if preset == "best":
        return "height and width; with twice the epochs 4.4 where 144×192 had 4.3: no better, in 3.5 times the time"
    return "height and width; 192×256 and twice the epochs: no better in 3.5 times the time"


def _why_batch(batch: int) -> str:
    if batch < _BATCH:
        return "fewer than the usual 16, for steps enough on so few images"
    return "larger batches take fewer steps, and want the rate looked at again"


def _why_epochs(epochs: int, rows: int, few: bool) -> str:
    shown = f"{epochs * rows:,} images in all"
    if few:
        return f"{shown}; the figures are of three on 1,860. Small sets need more epochs, large ones fewer"
    return f"{shown}; the figures are of twelve on 304. Small sets need more epochs, large ones fewer"
