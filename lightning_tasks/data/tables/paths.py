"""The files of a data set, and the folders that a table's names must not lead out of."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray


class Paths(Sequence[Path]):
    """N files in a folder, held in one array: half a million Path objects take as many megabytes in each worker."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder = folder
        self.names: NDArray[np.str_] = np.array(names, dtype=np.str_)

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, row: int) -> Path: ...

    @overload
    def __getitem__(self, row: slice) -> "Paths": ...

    def __getitem__(self, row: int | slice) -> "Path | Paths":
        if isinstance(row, slice):
            return Paths(self.folder, self.names[row].tolist())
        return self.folder / str(self.names[row])


class RealPaths:
    """Paths with their links and `..` followed; each folder is looked at once."""

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}  # a data set has few folders and many files

    def of(self, path: str) -> str:
        """Return where a path leads; raise OSError or ValueError (a zero byte) where none can be called so."""
        if os.path.basename(path) in ("", ".", "..") or os.path.islink(path):  # noqa: PTH114, PTH119 - of many paths
            return os.path.realpath(path)
        return self.of_no_link(path)

    def of_no_link(self, path: str) -> str:
        """Return where a path leads whose last part is known to be no link; raises as `of` does."""
        folder, name = os.path.split(path)
        real = self._folders.get(folder)
        if real is None:
            real = self._folders[folder] = os.path.realpath(folder)
        return f"{real.rstrip(os.sep)}{os.sep}{name}"


class Confines:
    """The folders that a table's names must not lead out of: the data's root, and the folder of its images."""

    def __init__(self, *folders: Path) -> None:
        self._folders = tuple(os.path.realpath(folder).rstrip(os.sep) for folder in folders)
        self._real = RealPaths()

    def hold(self, path: Path) -> bool:
        """Return whether a path ends in one of the folders, once its links and `..` are followed."""
        try:
            return self.hold_real(self._real.of(os.fspath(path)))
        except (OSError, ValueError):  # no file can be called so, in the folder or out of it
            return True

    def hold_real(self, path: str) -> bool:
        """Return whether a path without links and `..` is one of the folders or lies in one."""
        return any(path.startswith(folder) and path[len(folder) :][:1] in ("", os.sep) for folder in self._folders)
