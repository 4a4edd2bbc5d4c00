"""Reading and writing a checkpoint: plain values and tensors, never code; the whole file or none of it."""

import contextlib
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from lightning_fabric.plugins.io import TorchCheckpointIO

from lightning_tasks.atomic_write import make_whole
from lightning_tasks.errors import TORCH_FILE_ERRORS, CheckpointError, what_is_wrong
from lightning_tasks.filesystem import as_text, is_file, is_folder, why_file_has_no_content, why_missing
from lightning_tasks.renamed_options import with_new_hyper_parameters, with_settings_before

_IN_FOLDERS = ("best.ckpt", "checkpoints/best.ckpt", "*.ckpt", "checkpoints/*.ckpt", "fold_*/checkpoints/*.ckpt")


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write a training's checkpoints whole or not at all.

    Lightning's own writes to the system's temporary folder, and a kill while it copies from there leaves half a file.

    Attributes:
        in_background: let a thread wait for the disk and put the complete file in its place, while the training goes
            ahead. `settle` waits for it; so do the next save to the same place, and the trainer when it has ended.
    """

    in_background = False

    def __init__(self) -> None:
        super().__init__()
        self._thread: ThreadPoolExecutor | None = None
        self._unsettled: dict[Path, Future[None]] = {}

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None) -> None:
        """Write `checkpoint` to `path`, whose folder is made if need be; CheckpointError where it cannot be."""
        path = Path(path)
        for before in [before for before, put in self._unsettled.items() if before == path or put.done()]:
            self._settle(before)
        with _told_as_checkpoint(path):
            put = make_checkpoint(checkpoint, path)
            if not self.in_background:
                put()
                return
        self._thread = self._thread or ThreadPoolExecutor(1, "checkpoints")
        self._unsettled[path] = self._thread.submit(put)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a file, when all that was saved before, such as a better one, is on the disk."""
        self.settle()
        super().remove_checkpoint(path)

    def load_checkpoint(self, path: str | Path, *args: Any, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401 - Lightning's
        """Read a file, when it lies in its place."""
        self._settle(Path(path))
        return super().load_checkpoint(path, *args, **kwargs)

    def settle(self) -> None:
        """Wait until what was saved lies in its place and on the disk; CheckpointError where it cannot be."""
        for path in list(self._unsettled):
            self._settle(path)

    def teardown(self) -> None:
        """Settle, and end the thread."""
        try:
            self.settle()
        finally:
            self.in_background = False
            if self._thread is not None:
                self._thread.shutdown()
            self._thread = None

    def _settle(self, path: Path) -> None:
        if (put := self._unsettled.pop(path, None)) is not None:
            with _told_as_checkpoint(path):
                put.result()


@contextlib.contextmanager
def _told_as_checkpoint(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        before = " What it held before is intact." if is_file(path) else ""
        raise CheckpointError(
            f"{path} cannot be written ({error.strerror}).{before} Make room, then resume with --ckpt_path last."
        ) from error


def write_checkpoint(checkpoint: dict[str, Any], path: Path) -> None:
    """Put a complete checkpoint in the old one's place. OSError: it cannot be written; the old one is as it was."""
    make_checkpoint(checkpoint, path)()


def make_checkpoint(checkpoint: dict[str, Any], path: Path) -> Callable[[], None]:
    """Make a complete checkpoint beside its place, and return what puts it there; see `make_whole`."""

    def write(new: Path) -> None:
        with new.open("wb") as file:
            torch.save(checkpoint, file)

    try:
        return make_whole(path, write)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None  # torch, which closes its archive all the same, hides why it could not
        raise


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return a checkpoint's content; CheckpointError: there is no file, or none of tensors and plain values alone."""
    if not is_file(path):
        raise CheckpointError(f"There is no checkpoint {path}{why_missing(path)} (--ckpt_path).{_one_inside(path)}")
    instead = why_file_has_no_content(path)
    if instead is not None:
        raise CheckpointError(f"{path} is not a checkpoint but {instead}. Fetch or copy it again, or take another.")
    try:
        checkpoint: dict[str, Any] = _load(path)
    except TORCH_FILE_ERRORS as error:
        reason = what_is_wrong(error)
        raise CheckpointError(
            f"{path} is not a checkpoint of tensors and plain values, or is cut short ({reason}). Copy it again, or "
            "take another."
        ) from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError(f"{path} holds a {type(checkpoint).__name__}, not a checkpoint. Take another file.")
    return with_new_hyper_parameters(checkpoint, path)


def _one_inside(path: Path) -> str:
    """Return, after a space, which checkpoint of a folder may be meant."""
    places = _IN_FOLDERS if is_folder(path) else ()
    return next((f" Take one in it, such as {found}." for place in places for found in sorted(path.glob(place))), "")


def data_settings(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of the data that a checkpoint's content was trained on, to make the same data again."""
    stored = checkpoint.get("datamodule_hyper_parameters")
    return with_settings_before(stored) if isinstance(stored, dict) else {}


def _load(path: Path) -> Any:  # noqa: ANN401 - whatever was written
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):  # torch would speak of its own settings
            raise UnpicklingError("torch writes zip files, whose directory is at their end; this one has none")
    if as_text(path) == str(path):
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    with path.open("rb") as file:  # torch maps a file by a name in UTF-8 alone
        return torch.load(file, map_location="cpu", weights_only=True)


def store_hyper_parameters(path: Path, output: Path, values: dict[str, Any]) -> None:
    """Write a checkpoint to `output`, maybe the same, with these hyper-parameters; CheckpointError: it cannot be."""
    checkpoint = read_checkpoint(path)
    checkpoint["hyper_parameters"] = {**checkpoint.get("hyper_parameters", {}), **values}
    try:
        write_checkpoint(checkpoint, output)
    except OSError as error:
        raise CheckpointError(f"{output} cannot be written ({error.strerror}). {path} is as it was.") from error
