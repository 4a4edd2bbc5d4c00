"""What is there: GPU, driver, versions."""

import importlib.metadata
import platform
import shutil
import subprocess

import torch
from benchmarking.summary import hardware

from gpu_checking.step import Check, run

_PACKAGES = (
    *("torch", "torchvision", "pytorch-lightning", "timm", "torchmetrics", "albumentations", "numpy", "pandas"),
    *("opencv-python-headless", "pillow", "onnx", "onnxruntime", "jsonargparse", "matplotlib", "tensorboard"),
)
_ASKED = "name,driver_version,memory.total,clocks.max.sm"


def machine(check: Check) -> None:
    """Note it."""
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    check.note(versions=versions, hardware=hardware())
    if check.device == "cuda":
        found = torch.cuda.get_device_properties(0)
        check.note(
            cuda=torch.version.cuda,
            cudnn=torch.backends.cudnn.version(),
            capability=[found.major, found.minor],
            memory_gb=round(found.total_memory / 1e9, 1),
        )
    if shutil.which("nvidia-smi"):
        command = ["nvidia-smi", f"--query-gpu={_ASKED}", "--format=csv,noheader"]
        check.note(nvidia_smi=subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())


if __name__ == "__main__":
    run(machine)
