"""What is written beside the weights, so that whoever has the file knows what it says."""

import hashlib
import json
from pathlib import Path
from typing import Any

import timm
import torch

import lightning_tasks
from lightning_tasks.checkpoint import read_checkpoint
from lightning_tasks.deploy.predictor import Points, Predictor


def metadata(predictor: Predictor, checkpoint: Path) -> dict[str, str]:
    """Return names, thresholds, sizes, versions and origin, each as text; lists and numbers as JSON."""
    window = predictor.network.preprocess.window
    hyper_parameters = read_checkpoint(checkpoint).get("hyper_parameters", {})
    found: dict[str, Any] = {
        "input": "images: (B, H, W, 3) uint8 RGB of any size, as stored, EXIF orientation applied",
        # Of images of more than 8 bits, whose values v become 256 · v // (white_level + 1); null: 65535 of 16 bits.
        "white_level": predictor.white_level,
        "image_size": list(window.size),
        "backbone": hyper_parameters.get("backbone"),
        "checkpoint_sha256": _sha256(checkpoint),
        "lightning_tasks": lightning_tasks.__version__,
        "torch": torch.__version__,
        "timm": timm.__version__,
    }
    if isinstance(predictor.names, Points):
        found |= {
            "task": "keypoints",
            "output": "points: (B, P, 2) float32, x and y in the image's pixels; the top-left one's centre is (0, 0)",
            "point_names": list(predictor.names.names),
        }
    else:
        limits = predictor.names.thresholds
        found |= {
            "task": "labels",
            "output": "probabilities: (B, C) float32",
            "vocab": list(predictor.names.vocab),
            "temperature": hyper_parameters.get("temperature", 1.0),
            # A label is chosen where its probability is greater; null: exactly one, the likeliest.
            "thresholds": None if limits is None else [float(limit) for limit in limits],
        }
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in found.items()}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
