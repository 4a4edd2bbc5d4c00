"""A network's weights in a .safetensors file, and how to build the network in a .json file beside it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save

from lightning_tasks.atomic_write import write_whole
from lightning_tasks.checkpoint import read_checkpoint
from lightning_tasks.deploy.exports.run import Run
from lightning_tasks.deploy.load import predictor_of


def write_weights(checkpoint: Path, path: Path, metadata: dict[str, str]) -> None:
    """Write weights under the LightningModule's own names, and the JSON file.

    Args:
        checkpoint: where they are.
        path: of the weights.
        metadata: stands in both files.
    """
    content = read_checkpoint(checkpoint)
    state = {name: tensor.contiguous() for name, tensor in content["state_dict"].items()}
    path.write_bytes(save(state, metadata))  # its own `save_file` lets nobody else read the file
    build = {
        "metadata": metadata,
        "hyper_parameters": _plain(content["hyper_parameters"]),
        "datamodule_hyper_parameters": _plain(content.get("datamodule_hyper_parameters", {})),
    }
    text = json.dumps(build, indent=1, ensure_ascii=False)
    write_whole(json_beside(path), lambda new: new.write_text(text + "\n", encoding="utf-8"))


def open_weights(path: Path) -> Run:
    """Return a function that runs the network which the two files describe."""
    build = json.loads(json_beside(path).read_text(encoding="utf-8"))
    content = {key: build[key] for key in ("hyper_parameters", "datamodule_hyper_parameters")}
    module = predictor_of(content | {"state_dict": load_file(path)}, path, "cpu").module

    def run(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(module(torch.from_numpy(images)))

    return run


def json_beside(path: Path) -> Path:
    """Return where the JSON file of a weights file is."""
    return path.with_suffix(".json")


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return what JSON has words for; tuples become lists."""
    return {key: value for key, value in values.items() if not key.startswith("_")}
