"""What a result is worth nothing without: on what, with what, on which split."""

import csv
import hashlib
import os
import platform
import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from lightning_tasks import KeypointDataModule, MultiLabelDataModule

_PACKAGES = ("lightning-tasks", "torch", "pytorch-lightning", "timm", "torchmetrics", "albumentations", "opencv-python")


def machine() -> dict[str, Any]:
    """Return the hardware and the versions."""
    cpuinfo = Path("/proc/cpuinfo")
    found = re.search("model name\\s*: (.*)", cpuinfo.read_text()) if cpuinfo.is_file() else None
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "cpu": found[1] if found else platform.processor(),
        "cores": os.cpu_count(),
        "gpus": gpus,
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
    }


def split_sha256(data: MultiLabelDataModule | KeypointDataModule) -> str:
    """Return a hash of which images train and which validate."""
    names = data.table["fname"].tolist()
    halves = ("\n".join(sorted(names[row] for row in rows)) for rows in data.split)
    return hashlib.sha256("\n\n".join(halves).encode()).hexdigest()


def epochs(metrics: Path, log: str) -> list[dict[str, float]]:
    """Return a row an epoch: what metrics.csv has of it, and the seconds that the log tells."""
    rows: dict[int, dict[str, float]] = {}
    with metrics.open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            for name, value in line.items():
                if value and (name.startswith("val/") or name == "train/loss_epoch"):
                    rows.setdefault(int(line["epoch"]), {})[name] = float(value)
    told = {int(found[1]): float(found[2]) for found in re.finditer(r"(?m)^ +(\d+)  .*?([\d.]+)$", log)}
    return [{**rows[epoch], "seconds": told.get(epoch, float("nan"))} for epoch in sorted(rows)]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the median, the lowest and the highest."""
    ordered = sorted(values)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    return {"median": middle, "lowest": ordered[0], "highest": ordered[-1], "n": len(ordered)}
