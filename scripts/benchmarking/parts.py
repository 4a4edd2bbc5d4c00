"""What one process measures: an epoch of `fit`, the bare model's ceiling, or the loader alone.

    python -m benchmarking.parts epoch OUT.json fit --config ...
    python -m benchmarking.parts ceiling OUT.json fit --config ...
    python -m benchmarking.parts loader OUT.json fit --config ...

All three take the command line of `lightning-tasks fit`, so that model, data and precision are what it makes of it.
"""

import argparse
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import timm
import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader

from benchmarking.clock import Measured, now_s
from lightning_tasks import cli
from lightning_tasks.data.loading.dataset import EpochSampler
from lightning_tasks.tasks import KeypointDataModule, KeypointRegressor, MultiLabelClassifier, MultiLabelDataModule
from lightning_tasks.tasks.keypoints.scores import masked_mse

_DISTINCT = 4  # batches in turn: more than one, so that no cache holds the only one, and few enough for the memory
_WARM_UP = 3  # steps; the first creates the optimiser's state, and each shape has its kernels chosen once
_AUTOCAST = {"16-mixed": torch.float16, "bf16-mixed": torch.bfloat16}
_WHOLE = {"32-true": torch.float32, "bf16-true": torch.bfloat16, "16-true": torch.float16}


class NotRun(cli.TaskCLI):
    """The command line's model, data and trainer, and nothing done with them."""

    def _run_subcommand(self, subcommand: str) -> None:
        pass


class Batch(NamedTuple):
    """Images and what to learn of them, on the device."""

    images: Tensor  # (B, 3, H, W) uint8, channels_last
    targets: Tensor  # (B, C) of 0 and 1, or (B, P, 2) from −1 to 1; float32


class Plan(NamedTuple):
    """The lengths of an epoch's batches, in images."""

    train: list[int]
    valid: list[int]


class Speeds(NamedTuple):
    """How fast an epoch's worth of batches went through a network."""

    train_s: float
    valid_s: float
    train_images_s: float
    valid_images_s: float


DataModule = MultiLabelDataModule | KeypointDataModule
Loss = Callable[[Tensor, Tensor], Tensor]


def main(args: list[str] | None = None) -> None:
    """Measure one part and write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("part", choices=["epoch", "ceiling", "loader"])
    parser.add_argument("output", type=Path)
    parser.add_argument("--steps", type=int, help="of the ceiling's training and evaluation; default: an epoch's")
    parser.add_argument("--compiled", action="store_true", help="measure the ceiling of the compiled module too")
    arguments, fit = parser.parse_known_args(args)
    if arguments.part == "epoch":
        epoch(fit)
        return
    made = NotRun(fit)
    made.datamodule.prepare_data()
    made.datamodule.setup("fit")
    if arguments.part == "loader":
        record: dict[str, object] = {"loader_s": loader_s(made.datamodule)}
    else:
        plan = plan_of(made.datamodule, arguments.steps)
        record = ceiling(made, plan, compiled=arguments.compiled)
    arguments.output.write_text(json.dumps(record), encoding="utf-8")


def epoch(fit: list[str]) -> None:
    """Train with the command line itself until its clock, which writes, has seen enough."""
    try:
        cli.main(fit)
    except Measured:
        return
    raise SystemExit("The training ended before its measured epoch did.")


def loader_s(data: DataModule) -> float:
    """Return the seconds of one pass over the training and one over the validation loader, after one to warm up."""
    loaders: list[DataLoader[Any]] = [data.train_dataloader(), data.val_dataloader()]
    for epoch in range(2):
        started_s = now_s()
        for loader in loaders:
            assert isinstance(loader.sampler, EpochSampler)
            loader.sampler.set_epoch(epoch)  # or the second pass would augment as the first did
            for _ in loader:
                pass
    return now_s() - started_s


def plan_of(data: DataModule, steps: int | None) -> Plan:
    """Return the batches of an epoch as the loaders would cut it; or `steps` full ones of each kind."""
    batch_size = data.batch_size
    n, n_valid = len(data.train_set), len(data.valid_set)
    if steps is not None:
        return Plan([batch_size] * steps, [batch_size] * steps)
    whole, rest = divmod(n_valid, batch_size)
    train = [batch_size] * (n // batch_size) or [n]
    return Plan(train, [batch_size] * whole + [rest] * (rest > 0))


def ceiling(made: NotRun, plan: Plan, *, compiled: bool) -> dict[str, object]:
    """Return the speeds of our module without Lightning, compiled if asked for, and of timm's network as it comes."""
    model, device, precision = made.model, made.trainer.strategy.root_device, str(made.trainer.precision)
    torch.backends.cudnn.benchmark = True  # a ceiling takes the fastest kernels that there are
    loss = loss_of(model)
    batches = make_batches(model, max(plan.train + plan.valid), made.datamodule.image_size, device)
    record: dict[str, object] = {"precision": precision}
    record["ceiling"] = speeds(model, loss, batches, plan, precision)._asdict()
    if compiled:
        network: nn.Module = torch.compile(model)  # type: ignore[assignment]  # of a module it makes a module
        record["compiled"] = speeds(network, loss, batches, plan, precision)._asdict()
    plain = Plain(model.hparams["backbone"], batches[0].targets[0].numel(), made.datamodule.image_size)
    plain_loss = _bce if isinstance(model, MultiLabelClassifier) else _mse
    record["plain"] = speeds(plain, plain_loss, [flat(batch) for batch in batches], plan, precision)._asdict()
    return record


def _bce(logits: Tensor, targets: Tensor) -> Tensor:
    return nn.functional.binary_cross_entropy_with_logits(logits.float(), targets)


def _mse(points: Tensor, targets: Tensor) -> Tensor:
    return nn.functional.mse_loss(points.float(), targets)


class Plain(nn.Module):
    """timm's own network, unchanged, on plainly normalised images."""

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, num_classes: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        self.network: Any
        try:
            self.network = timm.create_model(name, num_classes=num_classes)
            self.network.eval()(torch.zeros(1, 3, *image_size))
        except (AssertionError, RuntimeError, ValueError):  # a transformer, made for one size
            self.network = timm.create_model(name, num_classes=num_classes, img_size=image_size)
        config: dict[str, Any] = self.network.pretrained_cfg
        for statistic in ("mean", "std"):
            values = torch.tensor(config[statistic]).view(1, 3, 1, 1)
            self.register_buffer(statistic, values * 255)

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, num_classes) for (B, 3, H, W) RGB from 0 to 255."""
        normalised = (images.float() - self.mean) / self.std
        output: Tensor = self.network(normalised.to(next(self.network.parameters()).dtype))
        return output


def loss_of(model: LightningModule) -> Loss:
    """Return the module's own training loss, from what it puts out and the targets."""
    if isinstance(model, MultiLabelClassifier):
        return lambda logits, targets: model.training_loss(logits.float(), Batch(logits, targets))
    if isinstance(model, KeypointRegressor):
        return lambda points, targets: masked_mse(points, targets, torch.ones_like(targets[..., 0], dtype=torch.bool))
    raise TypeError(type(model).__name__)


def make_batches(model: LightningModule, batch_size: int, size: tuple[int, int], device: torch.device) -> list[Batch]:
    """Return a few batches of random pixels and targets, which cost a network what true ones do."""
    draw = torch.Generator().manual_seed(0)
    batches = []
    for _ in range(_DISTINCT):
        pixels = torch.randint(0, 256, (batch_size, *size, 3), dtype=torch.uint8, generator=draw)
        if isinstance(model, MultiLabelClassifier):
            targets = torch.randint(0, 2, (batch_size, len(model.vocab)), generator=draw).float()
        else:
            assert isinstance(model, KeypointRegressor)
            targets = torch.rand(batch_size, len(model.point_names), 2, generator=draw) * 2 - 1
        batches.append(Batch(pixels.to(device).permute(0, 3, 1, 2), targets.to(device)))
    return batches


def flat(batch: Batch) -> Batch:
    """Return the batch with its targets as (B, numbers), as a network without our head puts them out."""
    return Batch(batch.images, batch.targets.flatten(1))


def speeds(network: nn.Module, loss: Loss, batches: Sequence[Batch], plan: Plan, precision: str) -> Speeds:
    """Run an epoch's batches through `network` in a plain loop: forward, backward, step; then forward alone.

    Args:
        network: from uint8 images to what `loss` takes.
        loss: from the network's output and the targets.
        batches: taken in turn, cut to the plan's lengths; their device is used.
        plan: how many batches, and how long.
        precision: Lightning's word for it.
    """
    device = batches[0].images.device
    if precision not in {**_AUTOCAST, **_WHOLE}:
        raise SystemExit(f"The ceiling knows no precision {precision!r}.")
    network.to(device, dtype=_WHOLE.get(precision, torch.float32)).to(memory_format=torch.channels_last)
    train_step, valid_step = steps_of(network, loss, device, _AUTOCAST.get(precision), precision == "16-mixed")

    network.train()
    run(train_step, batches, plan.train[:1] * _WARM_UP)
    train_s = run(train_step, batches, plan.train)
    network.eval()
    run(valid_step, batches, [*plan.valid[:1] * _WARM_UP, plan.valid[-1]])
    valid_s = run(valid_step, batches, plan.valid)
    return Speeds(train_s, valid_s, sum(plan.train) / train_s, sum(plan.valid) / valid_s)


def steps_of(
    network: nn.Module, loss: Loss, device: torch.device, dtype: torch.dtype | None, scaled: bool
) -> tuple[Callable[[Batch], None], Callable[[Batch], None]]:
    """Return a step of training and one of evaluation."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5, fused=True)
    scaler = torch.amp.GradScaler(device.type, enabled=scaled)

    def train(batch: Batch) -> None:
        optimizer.zero_grad()
        with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
            value = loss(network(batch.images), batch.targets)
        scaler.scale(value).backward()  # type: ignore[no-untyped-call]  # torch's own
        scaler.step(optimizer)
        scaler.update()

    def valid(batch: Batch) -> None:
        with torch.inference_mode(), torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
            network(batch.images)

    return train, valid


def run(step: Callable[[Batch], None], batches: Sequence[Batch], lengths: Sequence[int]) -> float:
    """Step through batches of these lengths, and return the seconds."""
    started_s = now_s()
    for batch, length in zip(itertools.cycle(batches), lengths, strict=False):
        step(batch if length == len(batch.images) else Batch(batch.images[:length], batch.targets[:length]))
    return now_s() - started_s


if __name__ == "__main__":
    main()
