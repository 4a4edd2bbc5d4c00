"""What a new head takes from one that was trained: what all outputs share, and the rows of those that both know.

A head names in `per_output` the tensors that have a row, or equally many rows, for each output, in the outputs' order.
"""

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lightning_tasks.models.names import composed, first_of
from lightning_tasks.models.weights import mismatch
from lightning_tasks.models.weights_file import State

_LISTED = 8  # names in a message


class KnownOutputs(NamedTuple):
    """Which outputs of a new head a trained one has, by their names."""

    names: Sequence[str]  # of the new head's outputs
    stored: Sequence[str]  # of the trained one's

    def rows(self) -> dict[int, int]:
        """Return the position among the trained head's outputs, by that among the new one's."""
        position = {name: index for index, name in enumerate(composed(self.stored))}
        return {index: position[name] for index, name in enumerate(composed(self.names)) if name in position}

    def tell(self, noun: str) -> str:
        """Return how many are taken, which are new, and which are not taken."""
        rows = self.rows()
        used = {*rows.values()}
        new = [name for index, name in enumerate(self.names) if index not in rows]
        unused = [name for index, name in enumerate(self.stored) if index not in used]
        told = f"{len(rows)} of {len(self.names)} {noun} taken"
        told += f", new: {first_of(new, _LISTED)}" if new else ""
        return told + (f"; not taken: {first_of(unused, _LISTED)}" if unused else "")


@torch.no_grad()
def load_known(head: nn.Module, state: State, known: KnownOutputs) -> str | None:
    """Load into a head what `state`, that of a trained one, has of it; if it does not fit, say why and load nothing.

    New outputs stay as they are.
    """
    per_output: Sequence[str] = getattr(head, "per_output", ())
    if not per_output and composed(known.names) != composed(known.stored):
        return "it does not say which of its tensors are of which output"
    trained = copy.deepcopy(head)
    for name in per_output:
        _resize(trained, name, len(known.names), len(known.stored))
    try:
        trained.load_state_dict(state)
    except RuntimeError as error:
        return mismatch(error)
    own, rows = head.state_dict(), known.rows()
    new, old = (torch.tensor([*positions], dtype=torch.long) for positions in (rows, rows.values()))
    for name, found in trained.state_dict().items():
        if name in per_output:
            _by_output(own[name], len(known.names))[new] = _by_output(found, len(known.stored))[old]
        else:
            own[name].copy_(found)
    return None


def _by_output(tensor: Tensor, outputs: int) -> Tensor:
    """Return a view of (outputs · k, ...) as (outputs, k, ...)."""
    return torch.unflatten(tensor, 0, (outputs, -1))


def _resize(head: nn.Module, name: str, outputs: int, wanted: int) -> None:
    """Give one of a head's tensors rows for another number of outputs."""
    owner, _, own_name = name.rpartition(".")
    module = head.get_submodule(owner)
    tensor: Tensor = getattr(module, own_name)
    resized = tensor.new_empty(len(tensor) // outputs * wanted, *tensor.shape[1:])
    setattr(module, own_name, nn.Parameter(resized) if isinstance(tensor, nn.Parameter) else resized)
