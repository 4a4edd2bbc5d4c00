"""Heads fitted to features: several settings in lockstep, on the same batches."""

import copy
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from lightning_tasks.data.loading.oversampling import RepeatFactors, draw_rows

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]  # outputs (B, ...), targets (B, T), rows (B,) → a scalar
_RISE = 0.1  # the share of the steps in which the rate rises
_CHUNK = 1024  # rows that go through a head at once


class Setting(NamedTuple):
    """What a head is fitted with."""

    weight_decay: float  # half of it times the squared norm of the matrices is added to the loss
    lr: float  # the highest


class Table(NamedTuple):
    """Features, what is true of each, and where they come from."""

    features: Tensor  # (N, F) float16
    targets: Tensor  # (N, T) float32
    rows: Tensor  # (N,) int64, which samples of the data set they are of

    def take(self, where: Tensor | NDArray[np.bool_]) -> "Table":
        """Return some of its rows."""
        index = torch.as_tensor(where)
        return Table(*(part[index] for part in self))


def fit_heads(
    head: nn.Module,
    settings: Sequence[Setting],
    table: Table,
    loss: Loss,
    epochs: int,
    batch_size: int,
    seed: int,
    repeat_factors: RepeatFactors | None = None,
) -> list[nn.Module]:
    """Return a copy of `head` for each setting, fitted to the table from where `head` stands.

    Adam minimises the loss, and with it the squared norm of each matrix, at a rate that rises and falls as a cosine.
    All settings see the same batches and drop the same features: what one comes to does not depend on the others. Batch
    normalisation ends with the statistics of the whole table; before the first layer that learns it begins with them,
    and nothing is dropped there: on a linear layer's inputs that is a penalty on its weights, which the grid has
    (Wager, Wang, Liang, "Dropout Training as Adaptive Regularization", 2013). With `repeat_factors` (N,) an epoch has
    some rows more often than others; see `oversampling`.

    The head lies on the device that the batches go to, and is in no particular mode.
    """
    stem, copies = _split(head, len(settings))
    device = next(head.parameters()).device
    optimizers = [torch.optim.Adam(part.parameters(), lr=1.0, betas=(0.9, 0.99), fused=True) for part in copies]
    matrices = [[p for p in part.parameters() if p.ndim > 1] for part in copies]
    n = len(table.rows)
    steps_an_epoch = max(1, min(-(-n // batch_size), n // 2))  # batch normalisation needs two rows at least
    total, step = epochs * steps_an_epoch, 0
    generator, draws = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.inference_mode(False), torch.enable_grad():
        for part in copies:
            part.train()
        _settle_statistics([stem], table, device, seed)
        stem.eval()
        for _ in range(epochs):
            if repeat_factors is None:
                order = torch.randperm(len(table.rows), generator=generator)
            else:
                order = torch.from_numpy(draw_rows(repeat_factors, draws)[0])
            for index in order.tensor_split(steps_an_epoch):
                features, targets, rows = (part[index].to(device) for part in table)
                dropout_seed = int(torch.randint(2**62, (), generator=generator))
                torch.manual_seed(dropout_seed)
                with torch.no_grad():
                    trunk = stem(features.float())
                for part, setting, optimizer, weights in zip(copies, settings, optimizers, matrices, strict=True):
                    torch.manual_seed(dropout_seed)
                    decay = 0.5 * setting.weight_decay * sum(matrix.square().sum() for matrix in weights)
                    optimizer.zero_grad()
                    penalised = loss(part(trunk).float(), targets, rows) + decay
                    penalised.backward()  # type: ignore[no-untyped-call]  # torch's own
                    optimizer.param_groups[0]["lr"] = setting.lr * _rate(step / total)
                    optimizer.step()
                step += 1
        fitted = [_joined(head, stem, part) for part in copies]
        _settle_statistics(fitted, table, device, seed)
    return fitted


def apply_head(head: nn.Module, features: Tensor) -> Tensor:
    """Return a head's outputs (N, ...) float32, on the CPU, of features (N, F), as outside training."""
    weight = next(head.parameters())
    head.eval()
    chunks = features.tensor_split(list(range(_CHUNK, len(features), _CHUNK)))
    with torch.no_grad():
        return torch.cat([head(part.to(weight.device, weight.dtype)).float().cpu() for part in chunks])


def _rate(share: float) -> float:
    """Return the share of the highest rate after a share of the steps."""
    if share < _RISE:
        return 0.04 + 0.96 * share / _RISE
    return 0.5 * (1 + math.cos(math.pi * (share - _RISE) / (1 - _RISE)))


def _split(head: nn.Module, n: int) -> tuple[nn.Module, list[nn.Module]]:
    """Return the layers that a head begins with and that have nothing to learn, and `n` copies of the others."""
    head = copy.deepcopy(head).float().requires_grad_(True)
    layers = list(head) if isinstance(head, nn.Sequential) else [head]
    begin = next((i for i, layer in enumerate(layers) if any(True for _ in layer.parameters())), 0)
    rest = nn.Sequential(*layers[begin:])
    return nn.Sequential(*layers[:begin]), [copy.deepcopy(rest) for _ in range(n)]


def _joined(head: nn.Module, stem: nn.Module, rest: nn.Module) -> nn.Module:
    """Return a copy of `head` with the layers of its parts."""
    joined = copy.deepcopy(head).float()
    layers = [*stem, *rest]  # type: ignore[misc]  # both are sequences
    if isinstance(joined, nn.Sequential):
        for target, source in zip(joined, layers, strict=True):
            target.load_state_dict(source.state_dict())
    else:
        joined.load_state_dict(layers[0].state_dict())
    return joined


def _settle_statistics(heads: Sequence[nn.Module], table: Table, device: torch.device, seed: int) -> None:
    """Let batch normalisation have the statistics of the whole table, and not those of the last batches."""
    chunks = table.features.tensor_split(-(-len(table.features) // _CHUNK))  # of a size: each counts as much
    for head in heads:
        torch.manual_seed(seed)
        update_bn((part.to(device).float() for part in chunks), head)
