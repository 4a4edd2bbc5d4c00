"""One batch of each task in each precision: loss and gradients, beside the CPU's in float32."""

import copy
from functools import partial
from typing import Any

import torch
from benchmarking.parts import NotRun
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from gpu_checking.step import Check, Kind, each, run
from lightning_tasks.batch import TargetBatch
from lightning_tasks.tasks.keypoints.dataset import KeypointBatch

_PRECISIONS: dict[str, torch.dtype | None] = {
    "32-true": None,
    "16-mixed": torch.float16,
    "bf16-mixed": torch.bfloat16,
}
_BATCH = ("--data.batch_size", "16")  # on the CPU in float32 too, which takes long
_SMALL = ("--data.size", "[120,160]")
_MOST = 0.2  # the largest share by which a loss may differ: rounding explains far less


def batches(check: Check) -> None:
    """Note them, task by task."""
    torch.backends.cudnn.benchmark = False  # for one batch it would take longer than all the rest
    kinds: tuple[Kind, ...] = ("labels", "points", "heatmap")
    each(check, {kind: partial(of_task, check, kind) for kind in kinds})


def of_task(check: Check, kind: Kind) -> dict[str, Any]:
    """Return loss and gradients of a batch in each precision, and their difference from the CPU's."""
    size = () if kind == "labels" or check.tiny else _SMALL
    made = NotRun(check.arguments("fit", kind, f"batch_{kind}", "--trainer.precision", "32-true", *_BATCH, *size))
    made.datamodule.prepare_data()
    batch = made.datamodule.one_batch()
    model = made.model
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # what is dropped is drawn on the device
    loss, gradient = step(copy.deepcopy(model), batch, torch.device("cpu"), None)
    found: dict[str, Any] = {"cpu_loss": float(loss)}
    for precision, dtype in _PRECISIONS.items():
        print(kind, precision, flush=True)
        on_device, its_gradient = step(copy.deepcopy(model), batch, torch.device(check.device), dtype)
        difference = float((its_gradient - gradient).norm() / gradient.norm())
        finite = bool(its_gradient.isfinite().all())
        found[precision] = {"loss": float(on_device), "finite": finite, "gradient_difference": difference}
        if not (finite and abs(on_device - loss) <= _MOST * loss):
            raise ValueError(f"{precision}: not finite, or a loss further than {_MOST:.0%} from the CPU's: {found}")
    return found


def step(
    model: LightningModule, batch: TargetBatch | KeypointBatch, device: torch.device, dtype: torch.dtype | None
) -> tuple[Tensor, Tensor]:
    """Return the loss and all gradients in a row, on the CPU in float64."""
    model.to(device).train()
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16, init_scale=1024.0)
    moved = batch._replace(**{name: value.to(device) for name, value in batch._asdict().items()})
    with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
        loss = model.training_step(moved)
    scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch's own
    scale = scaler.get_scale()
    gradients = [p.grad.flatten().cpu().double() / scale for p in model.parameters() if p.grad is not None]
    return loss.detach().cpu(), torch.cat(gradients)


if __name__ == "__main__":
    run(batches)
