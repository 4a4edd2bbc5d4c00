"""A network as a program of torch.export: no code of ours is needed to run it."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.export import Dim, ExportedProgram

from lightning_tasks.deploy.exports.run import Run
from lightning_tasks.errors import ConfigError, what_is_wrong


def program(network: nn.Module) -> ExportedProgram:
    """Return the network for (B, H, W, 3) uint8 of any B, H and W.

    Raises:
        ConfigError: the backbone does what cannot be traced.
    """
    example = torch.zeros(2, 200, 300, 3, dtype=torch.uint8)  # three different sizes: equal ones would be tied together
    sizes = {0: Dim("batch"), 1: Dim("height"), 2: Dim("width")}
    try:
        return torch.export.export(network, (example,), dynamic_shapes=(sizes,))
    except Exception as error:  # torch raises many kinds, its own and Python's
        raise ConfigError(
            f"torch.export cannot trace this backbone ({what_is_wrong(error)}). --format safetensors writes its "
            "weights."
        ) from error


def write_program(network: nn.Module, path: Path, metadata: dict[str, str]) -> None:
    """Write the program; the metadata lie in it as files of that name."""
    torch.export.save(program(network), path, extra_files=dict(metadata))


def open_program(path: Path) -> Run:
    """Return a function that runs the program of a file."""
    module = torch.export.load(path).module()

    def run(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(module(torch.from_numpy(images)))

    return run
