"""Trainings for images with points: the best that is known, shorter and longer ones, and fastai's chapter's.

The figures are in the README, "How far the images go".
"""

import torch

from lightning_tasks.data.images.decode import Size
from lightning_tasks.models.architecture import find_architecture
from lightning_tasks.tasks.keypoints.heads import has_fine_maps
from lightning_tasks.tasks.recipe import (
    Component,
    Preset,
    Recipe,
    Setting,
    Settings,
    Wishes,
    about_figures,
    batch_limit,
    choose_backbone,
    choose_batch,
    choose_epochs,
    fastai_backbone,
    own_shape,
    precision_setting,
    rate_setting,
)

_ONE = "Errors are medians in pixels, of one point on 384×288, 1,488 images of Pointing'04, tf_efficientnet_lite0"
_MANY = "Errors are shares of the eyes' distance, of 68 points on 304 faces, tf_efficientnet_lite0"
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
        {**choose_backbone(wishes), **_head(few, batch, mirrors)},
        {"size": Setting(seen, _why_size(few, wishes.preset)), "batch_size": Setting(batch, _why_batch(batch))},
        {
            "max_epochs": Setting(epochs, _why_epochs(epochs, rows, few)),
            "precision": precision_setting(wishes.machine),
        },
        [Component("OneCycle")],
        about_figures(wishes, f"{_ONE if few else _MANY}: README, How far the images go"),
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


def _head(few: bool, batch: int, mirrors: bool) -> Settings:
    stride = "features at a stride of 8 pixels alone: 4.8; with those at 16 too 5.0, and slower"
    if not few:
        stride = "features up to a stride of 32 see most of the image: 0.085; up to 16 0.094, 8 alone 0.141, faster"
    rate = "the head's; nothing is frozen. lr_find suggests others"
    flip = "each prediction outside training is the mean with the mirrored image's, for twice the time: "
    flip += "4.8 becomes 4.7" if few else "0.085 becomes 0.082"
    if not mirrors:
        flip = "true asks for data.swap_pairs: the mean with the mirrored image's prediction gains some 3 %"
    return {
        "head": Setting(
            "heatmap",
            "a map for each point and its centre; the chapter's regression of pooled features ends "
            + ("at 44.7 where this ends at 5.0" if few else "far behind with one point, 44.7 px for 5.0"),
        ),
        "max_stride": Setting(8 if few else 32, stride),
        "lr": rate_setting(batch, _LR, _BATCH, rate),
        "lr_mult": Setting(_LR_MULT, "the early body learns at a third of the rate; a fifteenth was no better"),
        "flip_tta": Setting(mirrors, flip),
    }


def _why_size(few: bool, preset: Preset) -> str:
    if not few:
        return "height and width; the figures are of 160×160. Others were not measured, and cost time by their area"
    if preset == "fast":
        return "height and width; the figures are of 144×192. Fewer pixels were not measured"
    return "height and width; 192×256 for six epochs takes 3.5 times as long as 144×192 for three, and was no better"


def _why_batch(batch: int) -> str:
    if batch < _BATCH:
        return f"smaller than the {_BATCH} of the figures, for more steps on few images"
    return f"the figures are of {_BATCH}; another size wants another rate"


def _why_epochs(epochs: int, rows: int, few: bool) -> str:
    measured = "three of 1,488" if few else "twelve of 304"
    return f"{epochs * rows:,} images in all; the figures are of {measured}. Few images need more epochs"
