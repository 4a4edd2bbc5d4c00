"""What a training recipe is made of, and the choices that all tasks make alike, each with its reason."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import timm

from lightning_tasks.data.images.decode import Size
from lightning_tasks.data.tables.splits import marked_test
from lightning_tasks.devices import Machine
from lightning_tasks.errors import ConfigError
from lightning_tasks.filesystem import expand_path, is_file, why_missing
from lightning_tasks.models.architecture import find_architecture
from lightning_tasks.models.weights_file import read_weights

Preset = Literal["balanced", "fast", "best", "fastai"]

_FASTAI_BACKBONE = "resnet18.tv_in1k"
_SMALLEST_SIDE = 32  # which backbones shrink to one place
_VALID_SHARE = 0.2  # that is drawn where no column says which rows are for validation
_MOST_EPOCHS = 60
_MOST_SHOWN = 250_000  # images in a training of more than one epoch
_FEWEST_IN_BATCH, _MOST_IN_BATCH = 8, 256  # of fewer, a batch's statistics say little
_BYTES_A_PIXEL = 1_000  # of a batch in training: resnet50 took 12.2 GB for 256 images of 224 pixels
_FREE_SHARE = 0.5  # of a GPU's memory: other backbones and heads take more


class Setting(NamedTuple):
    """What a config says of a field, and why."""

    value: Any
    why: str = ""


Settings = dict[str, Setting]
_ON_CPU = Setting(
    "tf_efficientnet_lite0.in1k", "the one that the figures are of; a larger one was not measured, and costs time"
)
_ON_GPU = Setting(
    "tf_efficientnetv2_s.in21k_ft_in1k",
    "larger than the tf_efficientnet_lite0 of the figures, as there is a GPU: not measured here",
)


class Component(NamedTuple):
    """An object that a config names by its class."""

    class_path: str
    settings: Settings = {}  # noqa: RUF012 - nobody changes it


@dataclass
class Recipe:
    """How a model is trained: what a config says besides where the data is."""

    model: Settings = field(default_factory=dict)
    data: Settings = field(default_factory=dict)
    trainer: Settings = field(default_factory=lambda: {"max_epochs": Setting(5)})
    callbacks: list[Component] = field(default_factory=lambda: [Component("OneCycle")])
    about: list[str] = field(default_factory=list)  # lines above all of it


@dataclass(frozen=True)
class Wishes:
    """What somebody asks of a recipe, and the machine that is to carry it out."""

    preset: Preset = "balanced"
    backbone: str | None = None  # None: the machine decides
    weights: str | None = None  # a file with the backbone's; None: they are fetched
    machine: Machine = field(default_factory=Machine)
    why_backbone: str = "--backbone"  # who named it


def check_wishes(wishes: Wishes) -> Wishes:
    """Return wishes with the backbone that a weights file is of, where none is named.

    A file of timm's is called after it; one of our checkpoints or exports says it. What can be told without a network
    is told at once.

    Raises:
        ConfigError: there is no such weights file, or there are no weights to fetch.
        BackboneError: timm has no such backbone, or the weights file cannot be read.
    """
    weights, name = wishes.weights, wishes.backbone
    if weights is not None and not is_file(path := Path(expand_path(weights))):
        raise ConfigError(f"There is no weights file {weights}{why_missing(path)} (--weights).")
    if weights is not None and name is None and (name := _backbone_of(weights)) is not None:
        wishes = replace(wishes, backbone=name, why_backbone="the one that the weights are of")
    if name is None or ":" in name or "/" in name:  # of a hub or a folder, which may be out of reach here
        return wishes
    if not find_architecture(name, None, weights_follow=False).has_weights and weights is None:
        raise ConfigError(f"timm has no pretrained weights of {name}. Name a file of them with --weights.")
    return wishes


def _backbone_of(weights: str) -> str | None:
    if timm.is_model((stem := Path(weights).stem).partition(".")[0]):
        return stem
    name = read_weights(weights).settings.get("backbone")
    return name if isinstance(name, str) else None


def choose_backbone(wishes: Wishes) -> Settings:
    """Return the fields `backbone` and `pretrained` or `weights`; the backbone is one of two unless it was named."""
    chosen = _ON_CPU if wishes.machine.gpu is None else _ON_GPU
    if wishes.backbone is not None:
        chosen = Setting(wishes.backbone, f"{wishes.why_backbone}; without it, {chosen.value}: {chosen.why}")
    if wishes.weights is not None:
        return {"backbone": chosen, "weights": Setting(wishes.weights, "--weights: this file's, so no hub is asked")}
    why = "fetched from timm's hub; where it cannot be reached, init --weights FILE. From nothing, take --preset fastai"
    return {"backbone": chosen, "pretrained": Setting(True, why)}


def fastai_backbone(wishes: Wishes) -> Settings:
    """Return the fields of `choose_backbone` for fastai's chapter."""
    why = "the chapter's for points; any other of timm's will do"
    chosen = (
        Setting(_FASTAI_BACKBONE, why) if wishes.backbone is None else Setting(wishes.backbone, wishes.why_backbone)
    )
    if wishes.weights is not None:
        return {"backbone": chosen, "weights": Setting(wishes.weights, "--weights: this file's, so no hub is asked")}
    why = "fetched from timm's hub; where it cannot be reached, --model.weights FILE, or --model.pretrained false"
    return {"backbone": chosen, "pretrained": Setting(True, why)}


def training_rows(table: pd.DataFrame) -> int:
    """Return how many rows of a checked table will train, where nothing but its own columns says which."""
    rows = ~marked_test(table)
    if "is_valid" in table.columns:
        return max(1, int((rows & ~table["is_valid"].to_numpy(dtype=bool)).sum()))
    return max(1, round(float(rows.sum()) * (1 - _VALID_SHARE)))


def choose_epochs(rows: int, shown: int, fewest: int) -> int:
    """Return how many epochs show about `shown` images, at least `fewest`, but few of a very large set.

    A small set needs more epochs for as many steps; of a large one each costs hours.
    """
    wanted = max(fewest, min(_MOST_EPOCHS, -(-shown // rows)))
    return max(1, min(wanted, _MOST_SHOWN // rows))


def choose_batch(rows: int, epochs: int, at_most: int, steps: int) -> int:
    """Return the largest power of two up to `at_most` with which the training has about `steps` steps, if any has."""
    batch = _FEWEST_IN_BATCH
    while 2 * batch <= at_most and rows * epochs // (2 * batch) >= steps:
        batch *= 2
    return batch


def batch_limit(machine: Machine, pixels: int, on_cpu: int) -> int:
    """Return the largest power of two of images of so many pixels that a GPU holds in a batch; `on_cpu` without one."""
    if machine.gpu is None:
        return on_cpu
    room = machine.gpu_memory_gb * 1e9 * _FREE_SHARE / (pixels * _BYTES_A_PIXEL)
    return int(min(_MOST_IN_BATCH, 2 ** np.floor(np.log2(max(room, _FEWEST_IN_BATCH)))))


def rate_setting(batch: int, lr: float, measured: int, why: str) -> Setting:
    """Return the rate for a batch larger than the one that `lr` was measured with: by the root of how much larger."""
    why += ". Higher by the root of the batch's size, which was not measured" * (batch > measured)
    return Setting(float(f"{lr * max(1.0, batch / measured) ** 0.5:.2g}"), why)


def median_size(sizes: Sequence[Size]) -> Size | None:
    """Return the median height and width of images; None: of none."""
    if not sizes:
        return None
    height, width = np.median(np.array(sizes), axis=0)
    return int(height), int(width)


def square_side(size: Size | None, largest: int, step: int = 32) -> int:
    """Return the side of a square for such images, in steps that networks shrink by; no larger than their shorter."""
    shorter = largest if size is None else min(size)
    return int(min(largest, max(_SMALLEST_SIDE, round(shorter / step) * step)))


def own_shape(size: Size | None, usual: Size, step: int) -> list[int]:
    """Return such images' own height and width, in steps, reduced to as many pixels as `usual` has."""
    height, width = size or usual
    scale = min(1.0, (usual[0] * usual[1] / (height * width)) ** 0.5)
    return [max(_SMALLEST_SIDE, round(side * scale / step) * step) for side in (height, width)]


def about_figures(wishes: Wishes, figures: str) -> list[str]:
    """Return lines above a recipe whose comments have figures: what these are of, and whether they are its own."""
    if wishes.preset == "balanced":
        return [figures]
    return [figures, f"They are of --preset balanced; {wishes.preset} was not measured as a whole."]


def precision_setting(machine: Machine) -> Setting:
    """Return the trainer's precision: left to the machine that trains, which may be another."""
    here = "float32" if machine.precision in (None, "32-true") else machine.precision
    return Setting(None, f"null: what the machine that trains is fastest in, here {here}; bf16-mixed cost no accuracy")
