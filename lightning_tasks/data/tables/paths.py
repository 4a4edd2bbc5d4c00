"""The files of a data set."""

from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray


class Paths(Sequence[Path]):
    """N files, held in one array: half a million Path objects would take as many megabytes in each worker.

    Args:
        folder: that the names start from.
        names: N names.
    """

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
