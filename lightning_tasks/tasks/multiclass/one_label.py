"""Does each row of a table have exactly one label?"""

from pathlib import Path

import pandas as pd

from lightning_tasks.data.tables.csv_table import cell_at
from lightning_tasks.data.tables.splits import Rows
from lightning_tasks.data.tables.table_checks import Problem, raise_or_warn
from lightning_tasks.tasks.multilabel.datamodule import MultiLabelDataModule

_ANY_NUMBER = "or take MultiLabelDataModule and MultiLabelClassifier, where an image may have any number of labels."


def one_label_problems(table: pd.DataFrame, rows: Rows, source: Path) -> list[Problem]:
    """Return the rows that have not exactly one label, and that labels may be difficult, each an error.

    Args:
        table: of labels.
        rows: that count.
        source: the table's file.
    """
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
    """Check the tables that a data module has read so far, which itself allows any number of labels.

    Raises:
        TableError: a row of them has not exactly one label.
    """
    for source, table, rows in datamodule.tables_read:
        raise_or_warn(one_label_problems(table, rows, source))
