"""The line that says what runs where."""

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader


class StartLine(Callback):
    """Print, before the first batch, what was chosen for this machine."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print it."""
        data = getattr(trainer, "datamodule", None)
        loader = trainer.train_dataloader
        parts = [
            f"{type(pl_module).__name__} on {type(data or loader).__name__}: {_device(trainer)}, {trainer.precision}",
            "channels_last",
            *(_optimizer(optimizer) for optimizer in trainer.optimizers),
        ]
        if isinstance(loader, DataLoader):
            parts.append(f"{loader.num_workers} workers loading" if loader.num_workers else "loading by itself")
        if note := getattr(getattr(data, "loading", None), "note", ""):
            parts.append(note)
        if left_out := getattr(data, "left_out_note", ""):
            parts.append(left_out)
        trainer.print(", ".join(parts))


def _device(trainer: Trainer) -> str:
    device = trainer.strategy.root_device
    if device.type == "cuda":
        return f"{trainer.world_size} × {torch.cuda.get_device_name(device)}"
    return f"{device.type} ({torch.get_num_threads()} threads)"


def _optimizer(optimizer: torch.optim.Optimizer) -> str:
    inner = getattr(optimizer, "optimizer", optimizer)
    return f"{'fused ' if inner.defaults.get('fused') else ''}{type(inner).__name__}"
