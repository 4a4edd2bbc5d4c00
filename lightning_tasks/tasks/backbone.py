"""A timm backbone with its own normalisation."""

import contextlib
import difflib
import itertools
import math
import sys
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, cast

import timm
import torch
from safetensors import SafetensorError
from timm.models import group_parameters, load_state_dict
from torch import Tensor, nn

from lightning_tasks.errors import TORCH_FILE_ERRORS, BackboneError, what_is_wrong
from lightning_tasks.filesystem import expanded, is_file, why_missing
from lightning_tasks.tasks.depthwise import float32_depthwise

# Average and maximum, concatenated. The `fast` form takes the maximum with amax: AdaptiveMaxPool2d has no
# deterministic CUDA backward.
_CONCAT_POOL = "fastcatavgmax"
_UNREADABLE: tuple[type[Exception], ...] = (SafetensorError, *TORCH_FILE_ERRORS)  # of weights files
_DOES_NOT_BUILD = (AssertionError, RuntimeError, TypeError, ValueError)  # what timm raises for sizes and pools
_COMMON_SIZES = (96, 112, 128, 160, 192, 224, 240, 256, 288, 320, 384, 448, 512)
_FITTING_LISTED = 4
_weights_follow = ContextVar("weights_follow", default=False)


@contextlib.contextmanager
def weights_follow() -> Iterator[None]:
    """Build backbones that a checkpoint's weights, mean and standard deviation are loaded into next.

    A tag that this timm does not know any more is no error then: only where the weights came from is lost. Pictures are
    normalised to NaN until the checkpoint has said by what.
    """
    token = _weights_follow.set(True)
    try:
        yield
    finally:
        _weights_follow.reset(token)


class Backbone(nn.Module):
    """Pictures to pooled features by any timm model.

    Convolutional models are pooled by average and maximum, concatenated; others (ViT, ConvNeXt) in their own way.

    Args:
        name: a timm model, best with the tag of its weights (`resnet50.tv_in1k`).
        image_size: height and width of the pictures.
        pretrained: fetch the tag's weights from timm's hub (or its cache).
        weights: a .safetensors or .pth file to read instead.

    Attributes:
        num_features: the width of what `forward` returns.

    Raises:
        BackboneError: the name, the size or the weights do not work, or the hub cannot be reached.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, name: str, image_size: tuple[int, int], pretrained: bool = False, weights: str | None = None
    ) -> None:
        super().__init__()
        architecture, _, tag = _check_name(name).partition(".")
        lost = bool(tag) and tag not in _tags(architecture)  # see weights_follow
        pretrained = pretrained and weights is None and not lost
        self.body, self.num_features = _build(architecture if lost else name, image_size, pretrained)
        if weights is not None:
            _load_weights(self.body, name, Path(expanded(weights)))
        self.body.to(memory_format=torch.channels_last)
        float32_depthwise(self.body)
        config = {"mean": [math.nan] * 3, "std": [math.nan] * 3} if lost else _config(self.body)
        self.register_buffer("mean", torch.tensor(config["mean"]).view(1, 3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(config["std"]).view(1, 3, 1, 1) * 255)

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, num_features) for (B, 3, H, W) RGB from 0 to 255."""
        features: Tensor = self.body(self._normalised(images))
        return features

    def _normalised(self, images: Tensor) -> Tensor:
        scale = 1 / self.std.float()
        normalised = torch.addcmul(-self.mean * scale, images.float(), scale)  # (x − mean) / std in one pass
        return normalised.to(next(self.body.parameters()).dtype)  # bf16-true has no autocast

    def require_size(self, size: tuple[int, int]) -> None:
        """Raise BackboneError unless pictures of another size go through too."""
        try:
            see_nothing(self, size)
        except _DOES_NOT_BUILD as error:
            raise BackboneError(
                f"The backbone takes pictures of one size alone, not also of {size[0]}×{size[1]} (data.start_size). "
                "Leave data.start_size out, or choose a convolutional backbone."
            ) from error

    def parameter_halves(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Return the early and the late parameters, split by depth as timm groups them.

        For resnets: stem, layer1, layer2; layer3, layer4.
        """
        parameters = dict(self.body.named_parameters())
        try:
            by_depth = group_parameters(self.body, self.body.group_matcher(coarse=True))  # type: ignore[operator]  # Any
            stages = [names for _, names in sorted(by_depth.items())]
        except (AttributeError, AssertionError):  # a few families have none: they are cut in the order of registration
            stages = [[parameter] for parameter in parameters]
        half = (len(stages) + 1) // 2
        early, late = ([parameters[n] for names in part for n in names] for part in (stages[:half], stages[half:]))
        return early, late


def _build(name: str, image_size: tuple[int, int], pretrained: bool) -> tuple[nn.Module, int]:
    # Convolutional models know no img_size, others are of a fixed size without it.
    sizes: tuple[dict[str, Any], ...] = ({}, {"img_size": image_size})
    pools: tuple[dict[str, Any], ...] = ({"global_pool": _CONCAT_POOL}, {})
    for size, pool in itertools.product(sizes, pools):
        try:
            body = timm.create_model(name, num_classes=0, **size, **pool)
            width = _features(body, image_size)
        except _DOES_NOT_BUILD:
            continue
        return (_pretrained(name, {**size, **pool}) if pretrained else body), width
    raise BackboneError(
        f"The backbone {name!r} does not take pictures of {image_size[0]}×{image_size[1]}. Sizes that work: "
        f"{_fitting_sizes(name, image_size)}. Set data.size to one, or choose another backbone."
    )


def _features(body: nn.Module, image_size: tuple[int, int]) -> int:
    features = see_nothing(body, image_size)
    if features.ndim != 2:
        raise ValueError(f"features of shape {tuple(features.shape)} are not pooled")
    return features.shape[1]


@torch.no_grad()
def see_nothing(body: nn.Module, image_size: tuple[int, int]) -> Tensor:
    """Return what a network makes of one black picture, (1, ...); it stays in the mode that it is in.

    Raises:
        MemoryError: there is not enough, which says nothing of the size.
    """
    training = body.training
    device = next(body.parameters()).device
    try:
        features: Tensor = body.eval()(torch.zeros(1, 3, *image_size, device=device))
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error):
            raise MemoryError(str(error)) from error
        raise
    finally:
        body.train(training)
    return features


def _fitting_sizes(name: str, image_size: tuple[int, int]) -> str:
    fitting = []
    for size in sorted(_COMMON_SIZES, key=lambda size: abs(size - max(image_size))):
        options: tuple[dict[str, Any], ...] = ({}, {"img_size": (size, size)})
        if any(_builds(name, option, size) for option in options):
            fitting.append(size)
        if len(fitting) == _FITTING_LISTED:
            break
    return ", ".join(str(size) for size in sorted(fitting)) or "none of the usual ones"


def _builds(name: str, options: dict[str, Any], size: int) -> bool:
    try:
        _features(timm.create_model(name, num_classes=0, **options), (size, size))
    except _DOES_NOT_BUILD:
        return False
    return True


def _check_name(name: str) -> str:
    """Return the name of a backbone that can be built."""
    base, _, tag = name.partition(".")
    if not timm.is_model(base):
        close = difflib.get_close_matches(base, timm.list_models(), n=3)
        hint = f" Did you mean {', '.join(close)}?" if close else ""
        raise BackboneError(f"timm has no backbone {name!r}.{hint} timm.list_models('*name*') lists what there is.")
    tags = _tags(base)
    if tag and tag not in tags and not _weights_follow.get():
        known = f"its tags are {', '.join(tags)}" if tags else "it has no pretrained weights"
        raise BackboneError(f"timm's {base} has no weights tagged {tag!r}: {known}.")
    return name


def _tags(architecture: str) -> list[str]:
    return [entry.partition(".")[2] for entry in timm.list_pretrained(f"{architecture}.*")]


def _pretrained(name: str, options: dict[str, Any]) -> nn.Module:
    ways_out = (
        "Fetch the weights on a machine that reaches the hub and name the file (--model.weights FILE.safetensors), or "
        "start from nothing (--model.pretrained false)."
    )
    config = timm.get_pretrained_cfg(name)
    if config is None or not config.has_weights:
        raise BackboneError(f"timm has no pretrained weights for {name!r}. {ways_out}")
    try:
        body: nn.Module = timm.create_model(name, pretrained=True, num_classes=0, **options)
    except Exception as error:  # the network's errors differ with the HTTP library below the hub's client
        raise BackboneError(f"The weights of {name!r} cannot be fetched: {what_is_wrong(error)} {ways_out}") from error
    return body


def _load_weights(body: nn.Module, name: str, path: Path) -> None:
    """Load a file into the body. A classifier's weights may be in it; nothing of the body may be missing."""
    if not is_file(path):
        raise BackboneError(f"There is no weights file {path}{why_missing(path)} (model.weights).")
    try:
        state = load_state_dict(str(path), weights_only=True)
    except _UNREADABLE as error:
        raise BackboneError(
            f"{path} cannot be read as weights ({what_is_wrong(error)}). It must be a .safetensors file, or a .pth "
            "file of tensors alone."
        ) from error
    # Some families rename old checkpoints' keys or resize position embeddings; timm keeps that beside the model.
    convert = getattr(sys.modules[type(body).__module__], "checkpoint_filter_fn", None)
    classifiers = _as_tuple(_config(body).get("classifier") or ())
    try:
        state = convert(state, body) if convert is not None else state
        result = body.load_state_dict(state, strict=False)
    except (RuntimeError, KeyError, AttributeError, AssertionError) as error:
        raise BackboneError(
            f"{path} does not fit {name!r}: {_mismatch(error)}. Name the backbone it was made for."
        ) from error
    unexpected = [key for key in result.unexpected_keys if not key.startswith(classifiers)]
    if result.missing_keys or unexpected:
        raise BackboneError(
            f"{path} does not fit {name!r}: {len(result.missing_keys)} parameters are missing "
            f"({_listed(result.missing_keys)}) and {len(unexpected)} are unknown ({_listed(unexpected)}). Name the "
            "backbone it was made for."
        )


def _config(body: nn.Module) -> dict[str, Any]:
    return cast("dict[str, Any]", body.pretrained_cfg)


def _as_tuple(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _listed(keys: Sequence[str]) -> str:
    return ", ".join(keys[:3]) + (", ..." if len(keys) > 3 else "") if keys else "none"


def _mismatch(error: Exception) -> str:
    """Return the first of torch's lines that names a parameter; its first line names a class alone."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line.rstrip(".") for line in lines[1:] if line), what_is_wrong(error))
