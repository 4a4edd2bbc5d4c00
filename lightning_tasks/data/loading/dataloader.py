"""From a dataset to a DataLoader: the same few decisions for every task."""

import atexit
import contextlib
import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from pickle import PicklingError
from typing import Any
from weakref import WeakSet

import torch
from pytorch_lightning import Trainer
from torch.utils.data import DataLoader, Dataset

from lightning_tasks.cores import usable_cores
from lightning_tasks.data.images.opencv import cv2
from lightning_tasks.data.loading.dataset import EpochSampler
from lightning_tasks.data.loading.oversampling import RepeatFactors
from lightning_tasks.errors import ConfigError, what_is_wrong

_MOST_WORKERS = 8  # images this small do not keep more busy
_FEW_CORES = 2
_CORES_FOR_A_WORKER = 8
_TERMINATION_SIGNALS = {signal.SIGINT, signal.SIGTERM}
_workers: WeakSet[multiprocessing.process.BaseProcess] = WeakSet()  # multiprocessing keeps those that live


def make_loader(
    dataset: Dataset[Any],
    collate: Callable[[Any], Any],
    *,
    n: int,
    training: bool,
    batch_size: int,
    num_workers: int,
    seed: int,
    rank: int,
    world_size: int,
    repeat_factors: RepeatFactors | None = None,
) -> DataLoader[Any]:
    """Return a loader of the dataset's `n` samples.

    Training is shuffled and drops the last, partial batch (unless it is the only one), and has some samples more often
    than others by their `repeat_factors` (n,), see `oversampling`; otherwise the order stays and nothing is dropped.
    The samples, by EpochIndex, are shared by `world_size` processes, of which this is `rank`; raise ConfigError where a
    batch would be too small.
    """
    if n < world_size:
        raise ConfigError(
            f"{n} images in the {'training' if training else 'validation or test'} split for {world_size} processes: "
            "each needs one. Use fewer devices, or add images."
        )
    sampler = EpochSampler(n, training, seed, rank, world_size, repeat_factors)
    if batch_size < 1 or (training and min(batch_size, len(sampler)) < 2):
        raise ConfigError(
            f"Batches of {batch_size} from {len(sampler)} images: training needs at least 2 in a batch, as batch "
            "normalisation does. Set data.batch_size, or add images to the split."
        )
    return _Loader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        collate_fn=collate,
        drop_last=training and len(sampler) >= batch_size,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_init_worker,
    )


def workers_for(trainer: Trainer | None) -> int:
    """Return how many processes should load for each process of a trainer; see `default_workers`."""
    if trainer is None:
        return default_workers(torch.cuda.is_available(), 1)
    return default_workers(trainer.strategy.root_device.type != "cpu", max(1, trainer.num_devices))


def default_workers(on_gpu: bool, processes: int) -> int:
    """Return how many processes should load for each of the processes of this machine that train.

    A GPU is fed by as many as there are cores, up to eight. On a CPU an image costs the model ten to a hundred times
    what it costs to load, on the same cores: one worker for eight of them is enough. On two cores a worker would only
    take turns with the model's two threads, which wait for each other: there the training process loads by itself.
    """
    cores = usable_cores() // processes
    if on_gpu:
        return max(1, min(_MOST_WORKERS, cores))
    return 0 if cores <= _FEW_CORES else min(_MOST_WORKERS, max(1, cores // _CORES_FOR_A_WORKER))


class _Loader(DataLoader[Any]):
    """A DataLoader whose workers ignore SIGINT and SIGTERM: the parent handles them, and ends the workers in order.

    (Should it die, they notice; one that is stuck in a read afterwards.)
    """

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # torch's is of a private class
        batches = self._start_workers()  # at once: what follows is made when it is asked for
        return (batch for batch in batches if batch is not None)  # see collate_readable

    def _start_workers(self) -> Iterator[Any]:
        if not self.num_workers or self._iterator is not None or not hasattr(signal, "pthread_sigmask"):
            return super().__iter__()  # none is started
        others = multiprocessing.active_children()
        with _block_signals():
            try:
                return super().__iter__()
            except (PicklingError, AttributeError, TypeError) as error:  # what pickle raises
                method = (self.multiprocessing_context or multiprocessing).get_start_method()
                if method == "fork":
                    raise
                raise ConfigError(
                    f"What loads the images cannot be sent to the processes that are to load them, which Python starts "
                    f"by {method} ({what_is_wrong(error)}). Put functions and classes of your own into a module, or "
                    "set data.num_workers to 0."
                ) from error
            finally:
                _workers.update(process for process in multiprocessing.active_children() if process not in others)


@contextlib.contextmanager
def _block_signals() -> Iterator[None]:
    """Block termination signals in the workers that are started, and in this process until it knows of all of them.

    The mask is inherited, until they ignore the signals. But it is this thread's alone: another may take one, and
    Python then runs the handler in the main thread.
    """
    caught: list[int] = []
    handlers = {}
    if threading.current_thread() is threading.main_thread():  # no other may set handlers, nor runs them
        found = {number: signal.getsignal(number) for number in _TERMINATION_SIGNALS}
        handlers = {number: handler for number, handler in found.items() if handler is not None}  # None: not Python's
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _TERMINATION_SIGNALS)
    try:
        for number in handlers:
            signal.signal(number, lambda number, _: caught.append(number))
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for caught_number in caught:
            signal.raise_signal(caught_number)


def _init_worker(_: int) -> None:
    cv2.setNumThreads(0)  # or the workers fight for the cores
    warnings.filterwarnings("ignore", module=r"PIL\.")  # as the command line does: a worker may have been spawned
    for number in _TERMINATION_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid != os.getppid():  # which is all that torch looks at
        threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()


def _leave_with(parent: Any) -> None:  # noqa: ANN401 - multiprocessing's own
    """End this process when the one that it loads for is gone: the fork server, which began it, waits for it."""
    parent.join()
    os._exit(1)


@atexit.register  # so before multiprocessing's own, which ends children by the SIGTERM that these ignore, and waits
def _kill_workers() -> None:
    if _workers and hasattr(signal, "SIGCHLD"):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler would raise
    for process in _workers:
        process.kill()
