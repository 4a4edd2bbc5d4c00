"""A timm backbone with its own normalisation."""

import contextlib
import copy
import itertools
import math
import types
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import torch
from timm.models import group_parameters
from torch import Tensor, nn

from lightning_tasks.errors import BackboneError
from lightning_tasks.models.architecture import Architecture, find_architecture, why_not_had
from lightning_tasks.models.weights import describes, load_weights
from lightning_tasks.models.weights_file import WeightsFile, read_weights

# Average and maximum, concatenated. The `fast` form takes the maximum with amax: AdaptiveMaxPool2d has no
# deterministic CUDA backward.
_CONCAT_POOL = "fastcatavgmax"
_DOES_NOT_BUILD = (AssertionError, RuntimeError, TypeError, ValueError)  # what timm raises for sizes and pools
_COMMON_SIZES = (96, 112, 128, 160, 192, 224, 240, 256, 288, 320, 384, 448, 512)
_FITTING_LISTED = 4
_weights_follow = ContextVar("weights_follow", default=False)
are_weights_following = _weights_follow.get  # whether this is within `weights_follow`


@contextlib.contextmanager
def weights_follow() -> Iterator[None]:
    """Build backbones that a checkpoint's weights, mean and standard deviation are loaded into next.

    A tag that this timm does not know any more is no error then, and nothing is fetched. Where only the checkpoint can
    say how images are normalised, they become NaN until it has.
    """
    token = _weights_follow.set(True)
    try:
        yield
    finally:
        _weights_follow.reset(token)


class Backbone(nn.Module):
    """Images to pooled features by any timm model.

    Convolutional models are pooled by average and maximum, concatenated; others (ViT, ConvNeXt) in their own way.

    Args:
        name: a timm model, best with the tag of its weights (`resnet50.tv_in1k`), or another; see `find_architecture`.
        image_size: height and width of the images.
        pretrained: fetch the tag's weights from timm's hub (or its cache).
        weights: a file to take them from instead: timm's, or one of our checkpoints or exports; see `load_weights`.
        stored: what a checkpoint keeps of a hub's backbone, to be built without the hub: another one's `to_store`.
        leave_out: removes layers that are not needed from the body; a weights file need not have them.

    Attributes:
        told: what a user should know of what was taken from the file; nothing where there is nothing to know.

    Raises:
        BackboneError: the name, the size or the weights do not work, or the hub cannot be reached.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        image_size: tuple[int, int],
        pretrained: bool = False,
        weights: str | WeightsFile | None = None,
        stored: Mapping[str, Any] | None = None,
        leave_out: Callable[[nn.Module], None] | None = None,
    ) -> None:
        super().__init__()
        follow = are_weights_following()
        file = None if follow else read_weights(weights) if isinstance(weights, str) else weights
        if file is not None and describes(file, name):
            architecture = find_architecture(name, file.settings.get("architecture"), weights_follow=True)
        else:
            architecture = find_architecture(name, stored, follow)
        self.to_store = architecture.to_store  # what a checkpoint should keep of it beside its name, if anything
        pretrained = pretrained and weights is None and not follow
        self.body, self.num_features = _build(architecture, name, image_size, pretrained)
        config: Any = {} if architecture.says_nothing else self.body.pretrained_cfg
        mean, std = (torch.tensor(config.get(part, [math.nan] * 3)).view(1, 3, 1, 1) * 255 for part in ("mean", "std"))
        self.told = ""
        if file is not None:
            normalisation, self.told = load_weights(self.body, name, file, _needed_keys(self.body, leave_out))
            mean, std = normalisation or (mean, std)
        if leave_out is not None:
            leave_out(self.body)
        self.body.to(memory_format=torch.channels_last)
        float32_depthwise(self.body)
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, num_features) for (B, 3, H, W) RGB from 0 to 255."""
        features: Tensor = self.body(self._normalise(images))
        return features

    def _normalise(self, images: Tensor) -> Tensor:
        scale = 1 / self.std.float()
        normalised = torch.addcmul(-self.mean * scale, images.float(), scale)  # (x − mean) / std in one pass
        return normalised.to(next(self.body.parameters()).dtype)  # bf16-true has no autocast

    def require_size(self, size: tuple[int, int], option: str) -> None:
        """Raise BackboneError unless images of another size, which an option asked for, go through too."""
        try:
            probe_output_shape(self, size)
        except _DOES_NOT_BUILD as error:
            raise BackboneError(
                f"The backbone takes images of one size alone, not also of {size[0]}×{size[1]} ({option}). "
                f"Leave {option} out, or choose a convolutional backbone."
            ) from error

    def parameter_halves(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Return the early and the late parameters, split by depth as timm groups them.

        For resnets: stem, layer1, layer2; layer3, layer4.
        """
        stages = self.stages()
        half = (len(stages) + 1) // 2
        early, late = (list(itertools.chain(*part)) for part in (stages[:half], stages[half:]))
        return early, late

    def stages(self) -> list[list[nn.Parameter]]:
        """Return the parameters by depth, the earliest first, as timm groups them.

        For resnets: stem, layer1 to layer4; for EfficientNets: stem and seven blocks, the last with the final layer.
        """
        parameters = dict(self.body.named_parameters())
        try:
            by_depth = group_parameters(self.body, self.body.group_matcher(coarse=True))  # type: ignore[operator]  # Any
            stages = [names for _, names in sorted(by_depth.items())]
        except (AttributeError, AssertionError):  # a few families have none: they are cut in the order of registration
            stages = [[parameter] for parameter in parameters]
        return [[parameters[name] for name in names] for names in stages]


def _needed_keys(body: nn.Module, leave_out: Callable[[nn.Module], None] | None) -> set[str]:
    if leave_out is not None:
        body = copy.deepcopy(body)
        leave_out(body)
    return set(body.state_dict())


def _build(
    architecture: Architecture, name: str, image_size: tuple[int, int], pretrained: bool
) -> tuple[nn.Module, int]:
    # Convolutional models know no img_size, others are of a fixed size without it.
    sizes: tuple[dict[str, Any], ...] = ({}, {"img_size": image_size})
    pools: tuple[dict[str, Any], ...] = ({"global_pool": _CONCAT_POOL}, {})
    for size, pool in itertools.product(sizes, pools):
        built = _try_to_build(architecture, image_size, {**size, **pool})
        if built is not None:
            return (_build_pretrained(architecture, name, {**size, **pool}) if pretrained else built[0]), built[1]
    raise BackboneError(
        f"The backbone {name!r} does not take images of {image_size[0]}×{image_size[1]}. Sizes that work: "
        f"{_fitting_sizes(architecture, image_size)}. Set data.size to one, or choose another backbone."
    )


def _try_to_build(
    architecture: Architecture, image_size: tuple[int, int], options: dict[str, Any]
) -> tuple[nn.Module, int] | None:
    """Return the body and how many features it pools of such images; None: it takes none, or does not pool."""
    try:
        body = architecture.build(**options)
        shape = probe_output_shape(body, image_size)
    except _DOES_NOT_BUILD:
        return None
    return (body, shape[1]) if len(shape) == 2 else None


@torch.no_grad()
def probe_output_shape(body: nn.Module, image_size: tuple[int, int]) -> tuple[int, ...]:
    """Return the shape (1, ...) of a network's output for one black image; of the first where there are several.

    The network stays in the mode that it is in. MemoryError says nothing of the size.
    """
    training, device = body.training, next(body.parameters()).device
    try:
        output: Tensor | list[Tensor] = body.eval()(torch.zeros(1, 3, *image_size, device=device))
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error):
            raise MemoryError(str(error)) from error
        raise
    finally:
        body.train(training)
    return tuple(output.shape if isinstance(output, Tensor) else output[0].shape)


def _fitting_sizes(architecture: Architecture, image_size: tuple[int, int]) -> str:
    nearest = sorted(_COMMON_SIZES, key=lambda size: abs(size - max(image_size)))
    fitting = (s for s in nearest if any(_try_to_build(architecture, (s, s), o) for o in ({}, {"img_size": (s, s)})))
    return ", ".join(map(str, sorted(itertools.islice(fitting, _FITTING_LISTED)))) or "none of the usual ones"


def _build_pretrained(architecture: Architecture, name: str, options: dict[str, Any]) -> nn.Module:
    ways_out = (
        "Fetch the weights on a machine that reaches the hub and name the file (--model.weights FILE.safetensors), or "
        "start from nothing (--model.pretrained false)."
    )
    if not architecture.has_weights:
        raise BackboneError(f"timm has no pretrained weights for {name!r}. {ways_out}")
    try:
        return architecture.build(pretrained=True, **options)
    except Exception as error:  # the network's errors differ with the HTTP library below the hub's client
        reason = why_not_had(error, name)
        raise BackboneError(f"The weights of {name!r} cannot be fetched: {reason} {ways_out}") from error


def float32_depthwise(body: nn.Module) -> None:
    """Let the body's slow depthwise convolutions train in float32 under a CPU's bfloat16 autocast; all else stays.

    oneDNN computes the gradients of 3×3 depthwise convolutions of stride 1 fast in bfloat16; those of other strides
    and sizes fall back to code up to five times slower than float32's. With those alone in float32, EfficientNet-lite0
    trained 1.4 to 1.6 times faster than in bfloat16 throughout (two cores with AVX512-bf16, torch 2.15),
    MobileNetV4-small 2.5 times, ConvNeXt-atto 1.1 times, and each faster than in float32 throughout.
    """
    for module in body.modules():
        if isinstance(module, nn.Conv2d) and _is_slow(module):
            # On the instance: the class, which may be one of timm's own, and the weights' names stay what they are.
            module.forward = types.MethodType(_forward_in_float32, module)  # type: ignore[method-assign]  # as meant


def _is_slow(convolution: nn.Conv2d) -> bool:
    depthwise = convolution.groups == convolution.in_channels > 1
    return depthwise and (convolution.kernel_size != (3, 3) or convolution.stride != (1, 1))


def _forward_in_float32(convolution: nn.Conv2d, images: Tensor) -> Tensor:
    plain = type(convolution).forward
    on_cpu = images.device.type == "cpu" and torch.is_autocast_enabled("cpu")
    trained = torch.is_grad_enabled() and (images.requires_grad or convolution.weight.requires_grad)
    if not (on_cpu and torch.get_autocast_dtype("cpu") == torch.bfloat16 and trained):
        return plain(convolution, images)
    with torch.autocast("cpu", enabled=False):
        return plain(convolution, images.float()).bfloat16()
