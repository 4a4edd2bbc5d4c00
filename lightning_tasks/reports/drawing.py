"""Figures of a training, drawn and encoded beside it: matplotlib takes as long as a small epoch's steps."""

import gc
import multiprocessing
import os
import pickle
import signal
import sys
import tempfile
import time
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from pytorch_lightning import Callback, LightningModule, Trainer

from lightning_tasks.errors import LightningTasksWarning
from lightning_tasks.reports.canvas import letter_figure
from lightning_tasks.reports.figure_file import write_figure

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_NICE = 10  # the training goes first where they share a core
_MOST_WAITING = 16  # figures; their images are kept until they are drawn
_PATIENCE_S = 60.0  # for a process; then the figures are drawn here
_PAUSE_S = 0.005
_TERMINATION_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Job(NamedTuple):
    """`work` is done in the process; `deliver` takes what it returns, in the training."""

    work: Callable[[], bytes]
    deliver: Callable[[bytes], object]


class _Outcome(NamedTuple):
    """What came of a job that was done: its result, and what it has warned of."""

    result: bytes
    told: list[tuple[str, type[Warning]]]


class _Running(NamedTuple):
    """A process, its jobs, and the file in which it leaves their outcomes."""

    pid: int
    jobs: list[_Job]
    outcomes: IO[bytes]


class Drawing(Callback):
    """Draw what others `add` in a process of its own, one after the other; what is drawn is written in order.

    The process is forked for all that waits, as the workers of a DataLoader are, so that it has everything at hand; it
    inherits no duty of the training's and changes nothing in it. Its warnings are given in the training. When the
    training has ended, or was interrupted, everything is drawn. Where there is no fork that is safe, with several
    processes that train together, figures are drawn at once instead. So is what such a process does not draw: because
    it died, or cannot (a GPU is out of its reach), or because of an error, which is then raised in the training.
    """

    def __init__(self) -> None:
        self._waiting: deque[_Job] = deque()
        self._running: _Running | None = None

    def add(self, trainer: Trainer, work: Callable[[], bytes], deliver: Callable[[bytes], object]) -> None:
        """Do `work` at once, or soon and elsewhere, and hand what it returns to `deliver` here.

        Args:
            trainer: whose training may have to wait, where more is asked for than can be drawn.
            work: draws; of what it refers to it may change nothing that others see.
            deliver: writes, quickly.
        """
        self._waiting.append(_Job(work, deliver))
        if not _can_fork(trainer):
            self._draw_here()
        elif len(self._waiting) > _MOST_WAITING:
            self.wait()

    def wait(self) -> None:
        """Wait for the process, if there is one, and write what it has drawn."""
        if (running := self._running) is not None:
            until_s = time.monotonic() + _PATIENCE_S
            while not _has_ended(running.pid):
                time.sleep(_PAUSE_S)
                if time.monotonic() > until_s:
                    os.kill(running.pid, signal.SIGKILL)
            self._take(running)
        self._advance()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin with what waits; the other callbacks have added theirs."""
        self._advance()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Likewise."""
        self._advance()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        """Write what is drawn, and begin with what waits."""
        self._advance()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Wait for all."""
        self._finish()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Likewise, where a callback has ended the training before its end."""
        self._finish()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Likewise; the error that ends the training is not hidden by another."""
        try:
            self._finish()
        except Exception as error:  # of any drawing, a user's own too
            warnings.warn(f"A figure could not be drawn: {error}", LightningTasksWarning, stacklevel=2)
        self._waiting.clear()

    def _advance(self) -> None:
        if self._running is not None and _has_ended(self._running.pid):
            self._take(self._running)
        if self._running is None and self._waiting:
            self._running = _start(list(self._waiting))
            if self._running is None:
                self._draw_here()
            self._waiting.clear()

    def _finish(self) -> None:
        waiting, self._waiting = list(self._waiting), deque()
        done = [job.work() for job in waiting]  # the process is busy with what was added before
        self.wait()
        for job, result in zip(waiting, done, strict=True):
            job.deliver(result)

    def _take(self, running: _Running) -> None:
        self._running = None
        with running.outcomes as file:
            file.seek(0)
            try:
                outcomes: list[_Outcome] = pickle.load(file)
            except (EOFError, pickle.UnpicklingError):  # it was killed: there is no memory, say
                outcomes = []
        for job, outcome in zip(running.jobs, outcomes, strict=False):
            for text, category in outcome.told:
                warnings.warn(text, category, stacklevel=2)
            job.deliver(outcome.result)
        if missing := running.jobs[len(outcomes) :]:
            self._waiting.extendleft(reversed(missing))
            self._draw_here()

    def _draw_here(self) -> None:
        while self._waiting:
            job = self._waiting.popleft()
            job.deliver(job.work())


def add_figure(trainer: Trainer, writer: "SummaryWriter", tag: str, draw: Callable[[], Figure], step: int) -> None:
    """Give TensorBoard a figure; where the trainer has a `Drawing`, `draw` is called there, maybe some epochs later."""
    drawing = _drawing_of(trainer)
    if drawing is None:
        writer.add_figure(tag, letter_figure(draw()), step)
        return
    drawing.add(trainer, partial(_figure_summary, tag, draw), partial(_add_summary, writer, step, time.time()))


def add_figure_file(trainer: Trainer, path: Path, draw: Callable[[], Figure]) -> None:
    """Write a figure as `write_figure` does; where the trainer has a `Drawing`, by the end of its training."""
    drawing = _drawing_of(trainer)
    if drawing is None:
        write_figure(path, draw())
        return
    drawing.add(trainer, partial(_write_file, path, draw), lambda nothing: None)


def _write_file(path: Path, draw: Callable[[], Figure]) -> bytes:
    write_figure(path, draw())
    return b""


def _drawing_of(trainer: Trainer) -> Drawing | None:
    return next((callback for callback in getattr(trainer, "callbacks", ()) if isinstance(callback, Drawing)), None)


def _figure_summary(tag: str, draw: Callable[[], Figure]) -> bytes:
    """Return a figure as TensorBoard keeps it, as SummaryWriter.add_figure makes it of one."""
    from torch.utils.tensorboard.summary import image

    canvas = FigureCanvasAgg(letter_figure(draw()))
    canvas.draw()  # type: ignore[no-untyped-call]  # matplotlib's own
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]  # likewise
    summary: bytes = image(tag, pixels, dataformats="HWC").SerializeToString()  # type: ignore[no-untyped-call]  # torch's own
    return summary


def _add_summary(writer: "SummaryWriter", step: int, time_s: float, summary: bytes) -> None:
    from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]  # it has no stubs

    writer._get_file_writer().add_summary(Summary.FromString(summary), step, time_s)  # type: ignore[no-untyped-call]  # torch's own


def _can_fork(trainer: Trainer) -> bool:
    """Return whether a process can be forked from this one as DataLoader's are.

    Not where it is one of several that train together: what connects them may not survive it.
    """
    chosen = multiprocessing.get_start_method(allow_none=True) or "fork"
    return sys.platform == "linux" and chosen == "fork" and trainer.world_size == 1


def _start(jobs: Sequence[_Job]) -> _Running | None:
    """Fork the process; None: the system has no room for one."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _TERMINATION_SIGNALS)  # until it ignores them
    try:
        outcomes = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed once it is read
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # this process has threads: it is never without
            pid = os.fork()  # none of multiprocessing's children, among which loaders look for theirs
        if not pid:
            try:
                _work(jobs, outcomes)
            finally:
                os._exit(0)
    except OSError:
        return None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return _Running(pid, list(jobs), outcomes)


def _has_ended(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:  # the program has its ends waited for by another
        return True


def _work(jobs: Sequence[_Job], outcomes: IO[bytes]) -> None:
    """Draw, in the process; its parent decides when it ends."""
    for number in _TERMINATION_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    os.nice(_NICE)
    gc.disable()  # what it inherits is not its own to tear down, and is shared as long as nobody touches it
    torch.set_num_threads(1)  # those of the pool have not come along
    done = []
    for job in jobs:
        try:
            done.append(_outcome(job))
        except Exception:  # the training draws it again, and has the error
            break
    pickle.dump(done, outcomes)
    outcomes.flush()


def _outcome(job: _Job) -> _Outcome:
    with warnings.catch_warnings(record=True) as caught:
        result = job.work()
    return _Outcome(result, [(str(warning.message), warning.category) for warning in caught])
