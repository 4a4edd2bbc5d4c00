"""Trainings for images with labels: the best that is known, shorter and longer ones, and fastai's chapter's.

The figures are in the README, "How far the images go".
"""

from lightning_tasks.data.images.decode import Size
from lightning_tasks.devices import Machine
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
    precision_setting,
    rate_setting,
    square_side,
)

_FIGURES = (
    "Gains are mAP on a fold of PASCAL VOC 2007, 2,000 images, of tf_efficientnet_lite0: README, How far the images go"
)
_BATCH, _LR = 64, 1e-3  # that the figures are of
_STEPS = 190  # likewise, in all
_MIN_SCALE = 0.5
# Preset → the largest side, how many images are shown in all, and the fewest epochs.
_SCALES: dict[Preset, tuple[int, int, int]] = {
    "fast": (192, 7_500, 3),
    "balanced": (256, 12_500, 5),
    "best": (384, 20_000, 8),
}


def label_recipe(wishes: Wishes, rows: int, size: Size | None) -> Recipe:
    """Return how to train on `rows` images of a median size: a linear head on a frozen body, or fastai's chapter."""
    if wishes.preset == "fastai":
        why = "the chapter's; larger images cost time by their area, 256 px four times this"
        return Recipe(fastai_backbone(wishes), {"size": Setting(128, why)})
    largest, shown, fewest = _SCALES[wishes.preset]
    side, epochs = square_side(size, largest), choose_epochs(rows, shown, fewest)
    batch = choose_batch(rows, epochs, batch_limit(wishes.machine, side * side, _BATCH), _STEPS)
    head = "one layer on standardised features: +0.028 over fastai's two; attention: -0.025"
    rate = "rises for a quarter of the steps, then falls; 3e-3 that rises to the end lost 0.022"
    flip_tta = "true, the mean with the mirrored image's prediction, gained 0.000 for twice the time of a validation"
    return Recipe(
        {
            **choose_backbone(wishes),
            "head": Setting("linear", head),
            "lr": rate_setting(batch, _LR, _BATCH, rate),
            "flip_tta": Setting(False, flip_tta),
        },
        {
            "size": Setting(side, _why_size(side, size)),
            "batch_size": Setting(batch, _why_batch(batch, max(1, rows // batch) * epochs, wishes.machine)),
            "min_scale": _min_scale(size),
            "flip_p": Setting(
                0.5, "half of the training images are mirrored; 0 where left and right matter, as in writing"
            ),
            "val_xtra": Setting(0.0, "whole images in validation; the chapter's 0.14 sees their centre alone"),
        },
        {
            "max_epochs": Setting(None, "null: what the plan below adds up to"),
            "precision": precision_setting(wishes.machine),
        },
        [_linear_probe(epochs, rows)],
        about_figures(wishes, _FIGURES),
    )


def _why_size(side: int, size: Size | None) -> str:
    if size is not None and side < _SCALES["balanced"][0] and side >= min(size) - 16:
        return "as large as the images: enlarging them was not measured, and costs time by the area"
    return {
        192: "256 gains 0.029 for 1.8 times the time; 128 loses 0.078",
        256: "192 loses 0.029 for 0.56 of the time, 128 loses 0.107 for a quarter; these images had no more",
    }.get(
        side, f"more than 256 was not measured; 192 to 256 gained 0.029; {side**2 / 256**2:.2g} times the time of 256"
    )


def _why_batch(batch: int, steps: int, machine: Machine) -> str:
    if batch < _BATCH:
        return f"smaller than the usual {_BATCH}, for {steps:,} steps; the figures are of 155"
    on_gpu = "; where there are images enough for as many steps, an H200 trains 256 three to four times as fast"
    return f"{steps:,} steps in all; another size wants another rate{on_gpu * (machine.gpu is not None)}"


def _min_scale(size: Size | None) -> Setting:
    """Return the smallest share of an image that a crop shows; of a long one less, as crops are no longer than 4:3."""
    long = 1.0 if size is None else max(size) / min(size)
    if long <= 1 / _MIN_SCALE:
        return Setting(_MIN_SCALE, "crops of half the image and more, or the chapter's 0.35: no difference (one run)")
    why = f"the images are {long:.1f} times as long as high, and crops at most 4:3: larger ones would all be the centre"
    return Setting(float(f"{1 / long:.2g}"), why)


def _linear_probe(epochs: int, rows: int) -> Component:
    shown = f"{epochs * rows:,} images in all; the figures are of five epochs of 2,000, more or fewer was not measured"
    norm = "the body's batch statistics too: a frozen body gained 0.157 over the chapter's training, at 128 px"
    return Component(
        "FineTune",
        {
            "freeze_epochs": Setting(epochs, shown),
            "epochs": Setting(0, "with nothing frozen, after those: two lost 0.033"),
            "freeze_norm": Setting(True, norm),
            "freeze_pct_start": Setting(0.25, "the share of the steps in which the rate rises"),
        },
    )
