"""The best training that is known for images with numbers, and others."""

from lightning_tasks.data.images.decode import Size
from lightning_tasks.tasks.recipe import (
    CPU_BACKBONE,
    GPU_BACKBONE,
    Component,
    Preset,
    Recipe,
    Setting,
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

_FLIP = Setting(0.5, "half of the training images are mirrored; 0 where left and right matter, such as a position")
_BATCH, _LR, _STEPS = 64, 1e-2, 140
_SCALES: dict[Preset, tuple[Size, int, int]] = {
    "fast": ((112, 112), 5_600, 3),
    "balanced": ((128, 128), 9_300, 5),
    "best": ((224, 224), 18_600, 10),
}


def value_recipe(wishes: Wishes, rows: int, size: Size | None) -> Recipe:
    """Return how to train on `rows` images of a median size: everything in one cycle, as fastai's chapter does."""
    if wishes.preset == "fastai":
        why = "the chapter's for labels; larger images cost time by their area"
        return Recipe(fastai_backbone(wishes), {"size": Setting(128, why), "flip_p": _FLIP})
    area, shown, fewest = _SCALES[wishes.preset]
    seen, epochs = own_shape(size, area, 32), choose_epochs(rows, shown, fewest)
    batch = choose_batch(rows, epochs, batch_limit(wishes.machine, seen[0] * seen[1], _BATCH), _STEPS)
    return Recipe(
        {
            **choose_backbone(wishes, Setting(CPU_BACKBONE, "x"), Setting(GPU_BACKBONE, "x")),
            "lr": Setting(rate_for(batch, _LR, _BATCH), "x"),
        },
        {"size": Setting(seen, "x"), "batch_size": Setting(batch, "x"), "flip_p": _FLIP},
        {"max_epochs": Setting(epochs, "x"), "precision": precision_setting(wishes.machine)},
        [Component("OneCycle")],
        ["x"],
    )
