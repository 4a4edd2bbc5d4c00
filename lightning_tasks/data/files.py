"""From the names in a table to the files that they mean."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_tasks.data.paths import Paths
from lightning_tasks.data.tables import cell_at
from lightning_tasks.errors import DatasetNotFoundError, TableError
from lightning_tasks.filesystem import is_file


class Confines:
    """The folders that a table's names must not lead out of.

    Args:
        folders: what the user named: the data's root, and the folder of its pictures.
    """

    def __init__(self, *folders: Path) -> None:
        self._folders = tuple(os.path.realpath(folder) for folder in folders)
        self._parents: dict[Path, bool] = {}  # a data set has few folders and many files

    def hold(self, path: Path) -> bool:
        """Return whether a path ends in one of the folders, once its links and `..` are followed."""
        try:
            if path.is_symlink() or path.name == "..":
                return self._inside(path)
            if path.parent not in self._parents:
                self._parents[path.parent] = self._inside(path.parent)
            return self._parents[path.parent]
        except (
            OSError,
            ValueError,
        ):  # a name too long, or with a zero byte: no file has it, in the folder or out of it
            return True

    def _inside(self, path: Path) -> bool:
        real = os.path.realpath(path)
        return any(real == folder or real.startswith(folder.rstrip(os.sep) + os.sep) for folder in self._folders)


def check_files(
    table: pd.DataFrame, rows: NDArray[np.int64], folder: Path, source: Path, confines: Confines | None
) -> Paths:
    """Return the pictures of `rows`.

    Args:
        table: with a column `fname`.
        rows: which of its rows.
        folder: that the names start from.
        source: the table's file, for messages.
        confines: names must not lead out of them; None: they may.

    Raises:
        TableError: a name leads out of the data's folders.
        DatasetNotFoundError: a picture is missing; names the first one's row and says how many there are.
    """
    fnames = table["fname"].tolist()
    paths = Paths(folder, [fnames[row] for row in rows])
    missing = []
    for i, path in enumerate(paths):
        if confines is not None and not confines.hold(path):
            raise TableError(
                f"{cell_at(source, int(rows[i]), 'fname')}: {fnames[rows[i]]!r} leads out of the data's folder. "
                "Correct it; or, if you trust the table, --data.allow_outside true."
            )
        if not is_file(path):
            missing.append(i)
    if missing:
        others = f" {len(missing) - 1:,} more are missing." if len(missing) > 1 else ""
        raise DatasetNotFoundError(
            f"{cell_at(source, int(rows[missing[0]]), 'fname')}: there is no picture {paths[missing[0]]}.{others} File "
            f"names are looked up in {folder}: check data.images, or take the row out."
        )
    return paths
