"""The DataModule for images with exactly one label each, from anybody's csv."""

from pathlib import Path

import numpy as np
import pandas as pd

from lightning_tasks.data.tables.csv_table import cell_at
from lightning_tasks.data.tables.splits import Rows
from lightning_tasks.data.tables.table_checks import Problem, raise_or_warn
from lightning_tasks.tasks.multilabel.datamodule import MultiLabelDataModule
from lightning_tasks.tasks.multilabel.table import FEW

_ANY_NUMBER = "or take MultiLabelDataModule and MultiLabelClassifier, where an image may have any number of labels."


class MultiClassDataModule(MultiLabelDataModule):
    """Images with exactly one label each, from a csv `fname,labels[,group][,is_valid][,split]`.

    Arguments: see `MultiLabelDataModule`. A row without a label, or with several, is an error.
    """

    def find_problems(self, table: pd.DataFrame, train: Rows, valid: Rows, min_positives: int = FEW) -> list[Problem]:
        """Return what is wrong with a table as a whole; see `MultiLabelDataModule`."""
        wrong = one_label_problems(table, np.union1d(train, valid), self.csv)
        return wrong + super().find_problems(table, train, valid, min_positives)

    def find_test_problems(self, table: pd.DataFrame) -> list[Problem]:
        """Return what is wrong with the test table as a whole; see `MultiLabelDataModule`."""
        assert self.test_csv is not None
        return one_label_problems(table, self.test_rows(table), self.test_csv) + super().find_test_problems(table)


def one_label_problems(table: pd.DataFrame, rows: Rows, source: Path) -> list[Problem]:
    """Return which of the rows have not exactly one label, and that labels may be difficult, each an error."""
    if "difficult" in table.columns:
        way_out = f"Take the column 'difficult' out, {_ANY_NUMBER}"
        message = f"{source}: row 1: cross-entropy knows no difficult labels"
        return [Problem("one label", message, None, True, way_out)]
    problems = []
    for row, labels in zip(rows, table["labels"].iloc[rows], strict=True):
        if len(labels) != 1:
            n = f"{len(labels) or 'no'} label{'s' * (len(labels) != 1)}"
            message = f"{cell_at(source, int(row), 'labels')}: {n}; cross-entropy wants exactly one an image"
            problems.append(Problem("one label", message, int(row), True, f"Correct the row, {_ANY_NUMBER}"))
    return problems


def check_one_label(datamodule: MultiLabelDataModule) -> None:
    """Raise TableError where a row of the tables that a data module has read so far has not exactly one label."""
    for source, table, rows in datamodule.tables_read:
        raise_or_warn(one_label_problems(table, rows, source))
