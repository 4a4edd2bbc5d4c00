"""From pooled features to logits."""

import math

import torch
from torch import Tensor, nn


class FeatureHead(nn.Sequential):
    """Layers behind pooled features, of which the last has a row, or equally many, for each output."""

    @property
    def per_output(self) -> tuple[str, ...]:
        """Names of the tensors whose rows are outputs'; see `models/head_rows.py`."""
        return tuple(f"{len(self) - 1}.{name}" for name, _ in self[-1].named_parameters())


def fastai_head(in_features: int, out_features: int, hidden: int = 512, dropout: float = 0.5) -> FeatureHead:
    """Return fastai's head for pooled features: (B, in_features) to (B, out_features) logits.

    Source: `create_head` in fastai 2, chapter 6's default; kaiming-normal linears, half of the dropout first.
    """
    head = FeatureHead(
        nn.BatchNorm1d(in_features),
        nn.Dropout(dropout / 2),
        nn.Linear(in_features, hidden, bias=False),
        nn.ReLU(inplace=True),
        nn.BatchNorm1d(hidden),
        nn.Dropout(dropout),
        nn.Linear(hidden, out_features, bias=False),
    )
    for module in head:
        if isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight)
    return head


def linear_head(in_features: int, out_features: int, dropout: float = 0.25) -> FeatureHead:
    """Return a linear classifier of standardised features: (B, in_features) to (B, out_features) logits.

    It begins with no opinion: each image has, on average, one of the labels.

    Source: the linear probe, as in Kornblith, Shlens, Le, "Do Better ImageNet Models Transfer Better?", 2019; the bias
    is that of Lin et al., "Focal Loss for Dense Object Detection", 2017, section 4.1.
    """
    linear = nn.Linear(in_features, out_features)
    nn.init.zeros_(linear.weight)
    nn.init.constant_(linear.bias, prior_logit(out_features))
    return FeatureHead(nn.BatchNorm1d(in_features, affine=False), nn.Dropout(dropout), linear)


def prior_logit(labels: int) -> float:
    """Return the logit of a label's probability where an image has, on average, one of so many."""
    return -math.log(max(labels - 1, 1))


def sigmoid_range(logits: Tensor, low: float, high: float) -> Tensor:
    """Squeeze any shape of logits between `low` and `high`: `sigmoid(x)·(high − low) + low`."""
    return torch.sigmoid(logits) * (high - low) + low
