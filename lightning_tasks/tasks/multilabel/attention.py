"""Labels where they are: a map of features, a classifier at each of its places, and each label's own attention."""

from typing import Any

import torch
from torch import Tensor, nn

from lightning_tasks.errors import BackboneError
from lightning_tasks.models.backbone import Backbone, probe_output_shape
from lightning_tasks.models.heads import prior_logit


class LastMap(Backbone):
    """Images to the last map of features, of `channels`, of any timm model that has one; for the rest see `Backbone`.

    Raises:
        BackboneError: see `Backbone`; or what the model makes of an image is no map.
    """

    def __init__(self, name: str, image_size: tuple[int, int], **source: Any) -> None:  # noqa: ANN401 - the parent's
        super().__init__(name, image_size, **source, leave_out=_leave_out)
        self.channels = int(self.body.num_features)  # type: ignore[arg-type]  # taken for a tensor
        shape = probe_output_shape(self, image_size)
        if len(shape) != 4 or shape[1] != self.channels:
            raise BackboneError(
                f"Attention needs a map of features; {name!r} gives {shape[1:]}. Choose a convolutional "
                "backbone, such as resnet18.tv_in1k, or --model.head fastai."
            )

    def forward(self, images: Tensor) -> Tensor:
        """Return a map (B, C, h, w) for (B, 3, H, W) RGB from 0 to 255."""
        features: Tensor = self.body.forward_features(self._normalise(images))  # type: ignore[operator]  # likewise
        return features


def _leave_out(body: nn.Module) -> None:
    """Remove what lies behind the map: DDP would wait for its gradients."""
    if hasattr(body, "prune_intermediate_layers"):
        body.prune_intermediate_layers([-1], prune_norm=False, prune_head=True)  # type: ignore[operator]  # taken for a tensor


class ClassAttentionHead(nn.Module):
    """Maps of features to logits: the mean over a label's scores at all places, and a share of the highest.

    Source: Zhu, Wu, "Residual Attention: A Simple but Effective Method for Multi-Label Recognition", 2021, with one
    head of infinite temperature.

    Args:
        channels: of the map.
        labels: how many.
        attention: the highest score's share, the paper's λ.
        dropout: of whole channels.
    """

    per_output = ("scores.weight", "bias")

    def __init__(self, channels: int, labels: int, attention: float = 0.5, dropout: float = 0.25) -> None:
        super().__init__()
        self.attention = attention
        self.standardise = nn.BatchNorm2d(channels, affine=False)
        self.dropout = nn.Dropout2d(dropout)
        self.scores = nn.Conv2d(channels, labels, 1, bias=False)
        self.bias = nn.Parameter(torch.full((labels,), prior_logit(labels)))
        nn.init.zeros_(self.scores.weight)
        self.to(memory_format=torch.channels_last)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (B, labels) for maps (B, channels, h, w)."""
        scores = self.scores(self.dropout(self.standardise(features))).flatten(2)
        logits: Tensor = scores.mean(2) + self.attention * scores.amax(2) + self.bias
        return logits
