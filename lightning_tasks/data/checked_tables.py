"""The tables of a data module: read, checked, and split into training and validation."""

import contextlib
import io
import warnings
from abc import abstractmethod
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
import pandas as pd
import torch
from lightning_fabric.utilities.cloud_io import _load as load_file
from numpy.typing import NDArray
from pytorch_lightning import LightningDataModule

from lightning_tasks.data.loading.oversampling import RepeatFactors, warned_factors
from lightning_tasks.data.tables.csv_table import OnError, is_image_set, raise_error, require_folder
from lightning_tasks.data.tables.file_checks import LocatedTable, locate, require_files
from lightning_tasks.data.tables.paths import Confines
from lightning_tasks.data.tables.splits import Rows, Splitter, count_images, marked_test, split_table
from lightning_tasks.data.tables.stratify import Strata
from lightning_tasks.data.tables.table_checks import (
    OF_TRAINING,
    Problem,
    TaskColumns,
    raise_or_warn,
    respelt,
    same_image,
    shared_groups,
    trained_on,
    unused_columns,
)
from lightning_tasks.data.trained_on import trained_on_valid
from lightning_tasks.errors import ConfigError, LightningTasksError, LightningTasksWarning
from lightning_tasks.filesystem import expand_path, is_file
from lightning_tasks.renamed_options import with_new_hyper_parameters, with_settings_before

_OF_MODEL = ("state_dict", "optimizer_states", "lr_schedulers", "loops", "callbacks")  # in a checkpoint: large


class CheckedTables(LightningDataModule):
    """The tables that data modules are made of: one for training and validation, and perhaps one for testing."""

    root: Path
    csv: Path
    images: Path
    test_csv: Path | None
    test_images: Path
    allow_outside: bool
    valid_fraction: float
    fold: int | None
    folds: int
    split_seed: int
    stratify: bool
    train_on_valid: bool
    oversample_threshold: float
    splitter: Splitter | None

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: str | Path | IO[bytes],
        map_location: Any = None,  # noqa: ANN401 - as of torch.load
        hparams_file: str | Path | None = None,
        weights_only: bool | None = None,
        **kwargs: Any,  # noqa: ANN401 - of the class
    ) -> Self:
        """Do as Lightning's; of an older checkpoint, with the options' new names and the split as it was drawn."""
        path = Path(checkpoint_path) if isinstance(checkpoint_path, str | Path) else Path("the checkpoint")
        content = load_file(checkpoint_path, map_location=map_location, weights_only=weights_only)
        content = with_new_hyper_parameters({k: v for k, v in content.items() if k not in _OF_MODEL}, path)
        key = cls.CHECKPOINT_HYPER_PARAMS_KEY
        file = io.BytesIO()
        torch.save({**content, key: with_settings_before(content.get(key, {}))}, file)
        file.seek(0)
        return super().load_from_checkpoint(file, hparams_file=hparams_file, weights_only=weights_only, **kwargs)

    def in_root(self, name: str) -> Path:
        """Return a path that the user gave, which starts from the root unless it is absolute."""
        return self.root / expand_path(name, self.root)

    @abstractmethod
    def read_table(self, path: Path, on_error: OnError = raise_error) -> pd.DataFrame:
        """Return the checked table of a file; `on_error`: what is done about a row that cannot be used."""

    def read_main_table(self, on_error: OnError = raise_error) -> pd.DataFrame:
        """Return the checked table of training and validation; `on_error`: see `read_table`."""
        return self.read_table(self.csv, on_error)

    def read_test_table(self, on_error: OnError = raise_error) -> pd.DataFrame:
        """Return the checked table for testing; `on_error`: see `read_table`."""
        if self.test_csv is None:
            way_out = "it may be that of training, if its column 'split' marks rows test"
            raise ConfigError(f"There is no test table. Name one in root: --data.test_csv test.csv; {way_out}.")
        return self.read_table(self.test_csv, on_error)

    @property
    @abstractmethod
    def one_row_each(self) -> str:
        """What to do about several rows of one image that differ."""

    def find_problems(self, table: pd.DataFrame, train: Rows, valid: Rows) -> list[Problem]:
        """Return what is wrong with a table as a whole, as `locate` returns it, without pixels; a task adds its own."""
        return [
            *self._unused_columns(self.csv, table),
            *same_image(table, train, valid, self.csv, self._of_the_image(table), self.one_row_each),
            *shared_groups(table, train, valid, of_splitter=self.splitter is not None),
        ]

    def find_test_problems(self, table: pd.DataFrame) -> list[Problem]:
        """Return what is wrong with the test table as a whole, as `find_problems` does; a task adds its own."""
        assert self.test_csv is not None
        none, rows = np.empty(0, dtype=np.int64), self.test_rows(table)
        problems = self._unused_columns(self.test_csv, table)
        if "split" in table.columns and not marked_test(table).any():
            message = f"{self.test_csv}: no row is marked test in 'split': all {len(table):,} are tested."
            problems.append(Problem("split", message))
        return problems + same_image(table, none, rows, self.test_csv, self._of_the_image(table), self.one_row_each)

    @abstractmethod
    def task_columns(self, table: pd.DataFrame) -> TaskColumns:
        """Return which columns of a table the task reads."""

    def _of_the_image(self, table: pd.DataFrame) -> list[str]:
        """Return the columns that say something of an image, and not of the row, such as its number, or of a box."""
        return ["group", *self.task_columns(table).annotations]

    def _unused_columns(self, path: Path, table: pd.DataFrame) -> list[Problem]:
        if is_image_set(path) or not is_file(path):  # no header of the user's
            return []
        return unused_columns(path, table.columns, self.task_columns(table), self.splitter is not None)

    def locate(self, table: pd.DataFrame) -> LocatedTable:
        """Return a table like this module's with the files that its names mean."""
        return locate(table, self.csv, self.images, self._confines(self.images))

    def locate_test(self, table: pd.DataFrame) -> LocatedTable:
        """Return a table like that for testing with the files that its names mean."""
        assert self.test_csv is not None
        return locate(table, self.test_csv, self.test_images, self._confines(self.test_images))

    def _confines(self, images: Path) -> Confines | None:
        return None if self.allow_outside else Confines(self.root, images)

    @cached_property
    def located(self) -> LocatedTable:
        """The checked table with its files."""
        require_folder(self.root)
        return self.locate(self.read_main_table())

    @cached_property
    def located_test(self) -> LocatedTable:
        """The checked table for testing with its files."""
        return self.locate_test(self.read_test_table())

    @property
    def tables_read(self) -> list[tuple[Path, pd.DataFrame, Rows]]:
        """The tables that were read so far: their files, themselves, and which rows are used."""
        found = []
        if "located" in self.__dict__:  # a cached_property that was asked for
            found.append((self.csv, self.table, np.union1d(*self.split)))
        if "located_test" in self.__dict__:
            test = self.located_test
            found.append((test.source, test.table, self.test_rows(test.table)))
        return found

    @cached_property
    def table(self) -> pd.DataFrame:
        """The checked table, with file names as they are on disk."""
        return self.located.table

    @cached_property
    def split(self) -> tuple[Rows, Rows]:
        """The rows of training and validation."""
        train, valid = self.split_of(self.table)
        return (np.union1d(train, valid), valid) if self.train_on_valid else (train, valid)

    def how_drawn(self, table: pd.DataFrame) -> str | None:
        """Return, for messages, how such a table is split by lot; None: the user chose each row's side."""
        if self.splitter is not None:
            return None
        if self.fold is not None:
            return f"fold {self.fold} of {self.folds} was drawn"
        return None if "is_valid" in table.columns else "the split was drawn"

    def check_tables(self, *stages: str) -> None:
        """Ask what is wrong with the tables of stages, and with the files that they name; say each doubt once.

        Raises:
            TableError: the numbers would be wrong, or a name leads out of the data's folders.
            DatasetNotFoundError: images are missing.
        """
        needed, problems = [], list[Problem]()
        if stages != ("test",):
            train, valid = self.split
            rows = np.union1d(train, valid) if "fit" in stages else valid
            needed.append((self.located, rows))
            found = self.find_problems(self.table, train, valid[:0] if self.train_on_valid else valid)
            used, left_out = np.isin(np.arange(len(self.table)), rows), () if "fit" in stages else OF_TRAINING
            asked = [problem for problem in found if problem.kind not in left_out]
            problems += [problem for problem in asked if problem.row is None or used[problem.row]]
        if "test" in stages:
            test, rows = self.located_test, self.test_rows(self.located_test.table)
            needed.append((test, rows))
            problems += self.find_test_problems(test.table)
            problems += trained_on(test, rows, *self._known_training_files())
        require_files(needed)
        problems += [problem for located, _ in needed for problem in respelt(located)]
        raise_or_warn([problem for problem in problems if problem.is_error or problem not in self._told])
        self._told.update(problems)

    @cached_property
    def _told(self) -> set[Problem]:
        return set()

    def _known_training_files(self) -> tuple[Path, NDArray[np.int64]]:
        """Return the table that trains and the ids of its files for training: none where a test need not know them."""
        if "located" in self.__dict__ or (self.images == self.test_images and is_file(self.csv)):
            with contextlib.suppress(LightningTasksError):  # a checkpoint is tested without it
                return self.csv, self.located.files.ids[self.split[0]]
        return self.csv, np.empty(0, dtype=np.int64)

    @property
    def left_out_note(self) -> str:
        """How many rows are in neither split, as `split` marks them test, for a person; empty: none."""
        n = int(marked_test(self.table).sum())
        return f"{n:,} rows marked test left out" if n else ""

    def doubt_split(self, checkpoint: dict[str, Any], name: str = "the checkpoint") -> None:
        """Warn where a checkpoint, whose content is given, was trained on rows that are for validation now."""
        trained = trained_on_valid(self, with_settings_before(checkpoint.get(self.CHECKPOINT_HYPER_PARAMS_KEY) or {}))
        if trained is not None:
            message = (
                f"{self.csv}: {name} was trained on {trained}: their scores are too good. Take a checkpoint that was "
                "not, or leave the options of the split as they were when it was trained."
            )
            warnings.warn(message, LightningTasksWarning, stacklevel=2)

    def split_of(self, table: pd.DataFrame) -> tuple[Rows, Rows]:
        """Return the rows of training and validation of a table like this module's, by its settings."""
        return split_table(
            table,
            str(self.csv),
            splitter=self.splitter,
            fold=self.fold,
            folds=self.folds,
            valid_fraction=self.valid_fraction,
            seed=self.split_seed,
            strata=self.strata(table) if self.stratify and self.how_drawn(table) is not None else None,
        )

    def strata(self, table: pd.DataFrame) -> Strata | None:
        """Return which classes the rows of a table have, for a drawn split to share out evenly; None: it has none.

        They follow from the table alone, and not from settings that may change: a checkpoint is scored on its split.
        Images of the rare ones are shown more often where that is asked for.
        """
        return None

    def repeat_factors(self) -> RepeatFactors | None:
        """Return how often each training row is shown, against the others (R,); None: all alike."""
        if self.oversample_threshold == 0:
            return None  # without a look at the classes
        return warned_factors(self.strata(self.table), self.split[0], self.oversample_threshold)

    @property
    def has_test_table(self) -> bool:
        """Whether there is a table for testing."""
        return self.test_csv is not None and is_file(self.test_csv)

    def describe_test(self) -> list[str]:
        """Return a line about the test table; none where there is none. It has been read."""
        if not self.has_test_table:
            return []
        table = self.located_test.table
        return [f"{self.test_csv}: {count_images(table.iloc[self.test_rows(table)])} for testing"]

    @staticmethod
    def test_rows(table: pd.DataFrame) -> Rows:
        """Return the rows that `split` marks for testing, and all where it marks none."""
        marked = marked_test(table)
        return np.flatnonzero(marked | ~marked.any())
