"""What is written beside the weights, so that whoever has the file knows what it predicts."""

import hashlib
import json
from pathlib import Path
from typing import Any

import timm
import torch

import lightning_tasks
from lightning_tasks.checkpoint import read_checkpoint
from lightning_tasks.deploy.predictor import Predictor


def metadata(predictor: Predictor, checkpoint: Path) -> dict[str, str]:
    """Return names, thresholds, sizes, versions and origin, each as text; lists and numbers as JSON."""
    window = predictor.module.preprocess.window
    hyper_parameters = read_checkpoint(checkpoint).get("hyper_parameters", {})
    described: dict[str, Any] = {
        "input": "images: (B, H, W, 3) uint8 RGB of any size, as stored, EXIF orientation applied",
        # Of images of more than 8 bits, whose values v become 256 · v // (white_level + 1); null: 65535 of 16 bits.
        "white_level": predictor.white_level,
        "image_size": list(window.size),
        "backbone": hyper_parameters.get("backbone"),
        "checkpoint_sha256": _sha256(checkpoint),
        "lightning_tasks": lightning_tasks.__version__,
        "torch": torch.__version__,
        "timm": timm.__version__,
        **predictor.output_format.metadata(),
    }
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in described.items()}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
