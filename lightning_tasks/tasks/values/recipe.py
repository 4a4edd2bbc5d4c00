"""Trainings for images with numbers: the best that is known, shorter and longer ones, and fastai's chapter's.

The figures are in the README, "How far the images go".
"""

from lightning_tasks.data.images.decode import Size
from lightning_tasks.tasks.recipe import (
    Component,
    Preset,
    Recipe,
    Setting,
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

_FIGURES = (
    "Figures: squared errors in standard deviations, two angles of 1,860 heads (Pointing'04), tf_efficientnet_lite0"
)
_FLIP = Setting(0.5, "half of the training images are mirrored; 0 where left and right matter, such as a position")
_BATCH, _LR = 64, 1e-2  # that the figures are of
_STEPS = 140  # likewise, in all
# Preset → the height and width of as many pixels, how many images are shown in all, and the fewest epochs.
_SCALES: dict[Preset, tuple[Size, int, int]] = {
    "fast": ((96, 96), 5_600, 3),
    "balanced": ((128, 128), 9_300, 5),
    "best": ((192, 192), 18_600, 10),
}


def value_recipe(wishes: Wishes, rows: int, size: Size | None) -> Recipe:
    """Return how to train on `rows` images of a median size: everything in one cycle, as fastai's chapter does."""
    if wishes.preset == "fastai":
        why = "the chapter's for labels; larger images cost time by their area"
        return Recipe(fastai_backbone(wishes), {"size": Setting(128, why), "flip_p": _FLIP})
    area, shown, fewest = _SCALES[wishes.preset]
    seen, epochs = own_shape(size, area, 16), choose_epochs(rows, shown, fewest)
    batch = choose_batch(rows, epochs, batch_limit(wishes.machine, seen[0] * seen[1], _BATCH), _STEPS)
    rate = "the head's; the early body learns at a tenth of it. lr_find suggests others"
    why_size = "the images' own shape, in steps of 16; the figures are of 128×128. Time goes by the area"
    why_batch = f"the figures are of {_BATCH}; another size wants another rate"
    if batch < _BATCH:
        why_batch = f"smaller than the {_BATCH} of the figures, for more steps on few images"
    why_epochs = f"{epochs * rows:,} images in all; the figures are of five of 1,860. Few images need more epochs"
    return Recipe(
        {**choose_backbone(wishes), "lr": rate_setting(batch, _LR, _BATCH, rate)},
        {"size": Setting(seen, why_size), "batch_size": Setting(batch, why_batch), "flip_p": _FLIP},
        {"max_epochs": Setting(epochs, why_epochs), "precision": precision_setting(wishes.machine)},
        [Component("OneCycle")],
        [
            *about_figures(wishes, _FIGURES),
            "Everything trains, in one cycle: 0.122; with the body frozen 0.505. Always the mean: 1",
        ],
    )
