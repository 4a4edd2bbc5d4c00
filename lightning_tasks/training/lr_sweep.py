"""The mock training behind the learning-rate finder. It leaves everything as it was."""

import contextlib
import copy
import itertools
from collections.abc import Generator, Iterator
from typing import Any, NamedTuple
from unittest import mock

import torch
from lightning_fabric.utilities.seed import _collect_rng_states, _set_rng_states
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities.signature_utils import is_param_in_hook_signature
from torch import Tensor
from torch.utils.data import DataLoader
from torchmetrics import Metric
from tqdm import tqdm

from lightning_tasks.errors import ConfigError

_RUNS_AWAY = 4.0  # times the best smoothed loss


class Sweep(NamedTuple):
    """What a sweep saw: one entry a step."""

    lrs: list[float]
    losses: list[float]
    smoothed: list[float]


class SmoothedLoss:
    """fastai's smoothed loss: an exponential moving average, divided by the weight that it has gathered."""

    beta = 0.98

    def __init__(self) -> None:
        self._average = 0.0
        self._count = 0

    def update(self, loss: float) -> float:
        """Return the average with one more loss."""
        self._count += 1
        self._average = loss + self.beta * (self._average - loss)
        return self._average / (1 - self.beta**self._count)


def lr_sweep(trainer: Trainer, pl_module: LightningModule, min_lr: float, max_lr: float, steps: int) -> Sweep:
    """Train for up to `steps` steps at rates that rise from `min_lr` towards `max_lr`, then put everything back.

    Every group has the same rate; whatever is frozen stays frozen; precision, gradient clipping, accumulation and the
    averaging over processes are the run's own. It goes through the training data as often as it takes, without
    validation, and ends early when the smoothed loss, of all processes, exceeds four times its best. Weights, buffers,
    optimiser, loss scale, samplers and random states are put back bit for bit, also after an error or Ctrl-C.

    To be called from a hook of a running `fit`, before its first batch. Source: fastai's `LRFinder`.

    Raises:
        ConfigError: there is not one optimiser and one loader, or the bounds are not in order.
    """
    if not 0 < min_lr < max_lr or steps < 1:
        raise ConfigError(f"The learning-rate finder's bounds {min_lr} and {max_lr} must rise from above 0.")
    if len(trainer.optimizers) != 1:
        raise ConfigError(f"The learning-rate finder needs one optimiser; {len(trainer.optimizers)} were configured.")
    if not pl_module.automatic_optimization:
        raise ConfigError("The learning-rate finder makes the optimiser's steps itself: not for manual optimisation.")
    disable = True if trainer.progress_bar_callback is None else None  # None: where there is no terminal
    bar = tqdm(total=steps, desc="lr_find", leave=False, disable=disable)
    sweep, smoothed_loss = Sweep([], [], []), SmoothedLoss()
    with bar, _put_back(trainer, pl_module), _batches(trainer, pl_module) as batches:
        for step in range(steps):
            lr = min_lr * (max_lr / min_lr) ** (step / steps)
            for group in trainer.optimizers[0].param_groups:
                group["lr"] = lr
            loss = _train(trainer, pl_module, batches, step)
            for values, value in zip(sweep, (lr, loss, smoothed_loss.update(loss)), strict=True):
                values.append(value)
            bar.update()
            if sweep.smoothed[-1] > _RUNS_AWAY * min(sweep.smoothed):
                break
    return sweep


def _train(trainer: Trainer, pl_module: LightningModule, batches: Iterator[Any], step: int) -> float:
    """Make one optimiser step and return the loss, averaged over accumulated batches and processes."""
    optimizer = trainer.optimizers[0]
    more = (step,) if is_param_in_hook_signature(pl_module.training_step, "batch_idx", min_args=2) else ()
    losses: list[Tensor] = []

    def closure() -> Tensor:
        optimizer.zero_grad()
        for _ in range(trainer.accumulate_grad_batches):
            output = trainer.strategy.training_step(next(batches), *more)
            loss = output["loss"] if isinstance(output, dict) else output
            if not isinstance(loss, Tensor):
                raise ConfigError("The learning-rate finder needs a training_step that returns a loss for each batch.")
            losses.append(loss.detach())
            trainer.strategy.backward(loss / trainer.accumulate_grad_batches, optimizer)
        return losses[-1]

    trainer.strategy.optimizer_step(optimizer, closure, model=pl_module)
    return float(trainer.strategy.reduce(torch.stack(losses).mean(), reduce_op="mean"))


@contextlib.contextmanager
def _batches(trainer: Trainer, pl_module: LightningModule) -> Iterator[Iterator[Any]]:
    """Yield training batches on the device, for ever, from a loader of the sweep's own over the run's data."""
    if not isinstance(trainer.train_dataloader, DataLoader):
        raise ConfigError("The learning-rate finder needs one training DataLoader.")
    loader = copy.copy(trainer.train_dataloader)
    loader._iterator = None  # or persistent workers would be taken from the run that is about to begin
    epoch_before = getattr(loader.sampler, "epoch", None)
    set_epoch = getattr(loader.sampler, "set_epoch", None) if epoch_before is not None else None
    drawn_from = (loader, loader.sampler, getattr(loader.batch_sampler, "sampler", None))
    states = [(g, g.get_state()) for part in drawn_from if (g := getattr(part, "generator", None)) is not None]

    def endless() -> Generator[Any]:
        for epoch in itertools.count(trainer.current_epoch):
            if set_epoch is not None:
                set_epoch(epoch)
            for batch in loader:
                batch = trainer.precision_plugin.convert_input(batch)
                batch = pl_module._on_before_batch_transfer(batch, dataloader_idx=0)
                yield trainer.strategy.batch_to_device(batch, dataloader_idx=0)

    batches = endless()
    try:
        yield batches
    finally:
        batches.close()
        for generator, state in states:
            generator.set_state(state)
        if set_epoch is not None:
            set_epoch(epoch_before)


@contextlib.contextmanager
def _put_back(trainer: Trainer, pl_module: LightningModule) -> Iterator[None]:
    """Put all that training changes back as it was, and log nothing."""
    optimizer = trainer.optimizers[0]
    buffers = [(module, dict(module._buffers)) for module in pl_module.modules()]  # a step may put others there
    tensors = [(tensor, tensor.detach().clone()) for tensor in (*pl_module.parameters(), *pl_module.buffers())]
    states = [(part, copy.deepcopy(part.state_dict())) for part in (optimizer, trainer.precision_plugin)]
    random_before = _collect_rng_states()  # Lightning's `isolate_rng` does not put them back after an error
    try:
        with mock.patch.object(pl_module, "log", lambda *_, **__: None):  # noqa: PT008 - a Mock would keep what it is given
            yield
    finally:
        _set_rng_states(random_before)
        for module, its_own in buffers:
            module._buffers.update(its_own)
        with torch.no_grad():
            for tensor, value in tensors:
                tensor.copy_(value)
        optimizer.zero_grad()
        for part, state in states:
            part.load_state_dict(state)
        for module in pl_module.modules():
            if isinstance(module, Metric):  # its state lies in no buffer
                module.reset()
