"""A network as a program of torch.export, or as weights with a JSON file; and what every export says of itself."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save
from torch import nn
from torch.export import Dim, ExportedProgram

import lightning_tasks
from lightning_tasks.atomic_write import write_whole
from lightning_tasks.checkpoint import read_checkpoint
from lightning_tasks.deploy.predictor import Predictor, predictor_of
from lightning_tasks.errors import ConfigError, what_is_wrong

# What every exported file is: (B, H, W, 3) uint8 RGB → outputs (B, ...)
Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def metadata(predictor: Predictor, checkpoint: Path) -> dict[str, str]:
    """Return names, thresholds, sizes, versions and origin, each as text; lists and numbers as JSON."""
    with checkpoint.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    described: dict[str, Any] = {
        "input": "images: (B, H, W, 3) uint8 RGB of any size, as stored, EXIF orientation applied",
        # Of images of more than 8 bits, whose values v become 256 · v // (white_level + 1); null: 65535 of 16 bits.
        "white_level": predictor.white_level,
        "image_size": list(predictor.module.preprocess.window.size),
        "backbone": read_checkpoint(checkpoint).get("hyper_parameters", {}).get("backbone"),
        "checkpoint_sha256": sha256,
        "lightning_tasks": lightning_tasks.__version__,
        "torch": torch.__version__,
        "timm": timm.__version__,
        **predictor.output_format.metadata(),
    }
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in described.items()}


def runner_of(module: nn.Module) -> Run:
    """Return a function that runs a module on the CPU."""

    def run(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(module(torch.from_numpy(images)))

    return run


def program(network: nn.Module) -> ExportedProgram:
    """Return the network for (B, H, W, 3) uint8 of any sizes; ConfigError where it cannot be traced."""
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
    return runner_of(torch.export.load(path).module())


def write_weights(checkpoint: Path, path: Path, metadata: dict[str, str]) -> None:
    """Write a checkpoint's weights under their own names, and how to build the network into a JSON file beside them."""
    content = read_checkpoint(checkpoint)
    state = {name: tensor.contiguous() for name, tensor in content["state_dict"].items()}
    path.write_bytes(save(state, metadata))  # its own `save_file` lets nobody else read the file
    build: dict[str, Any] = {"metadata": metadata}
    for key in ("hyper_parameters", "datamodule_hyper_parameters"):
        build[key] = {name: value for name, value in content.get(key, {}).items() if not name.startswith("_")}
    text = json.dumps(build, indent=1, ensure_ascii=False)
    write_whole(json_beside(path), lambda new: new.write_text(text + "\n", encoding="utf-8"))


def open_weights(path: Path) -> Run:
    """Return a function that runs the network which a weights file and its JSON file describe."""
    build = json.loads(json_beside(path).read_text(encoding="utf-8"))
    return runner_of(predictor_of({**build, "state_dict": load_file(path)}, path, "cpu").module)


def json_beside(path: Path) -> Path:
    """Return where the JSON file of a weights file is."""
    return path.with_suffix(".json")
