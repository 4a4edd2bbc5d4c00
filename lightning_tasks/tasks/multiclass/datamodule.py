"""The DataModule for images with exactly one label each, from anybody's csv."""

import numpy as np
import pandas as pd

from lightning_tasks.data.tables.splits import Rows
from lightning_tasks.data.tables.table_checks import Problem
from lightning_tasks.tasks.multiclass.one_label import one_label_problems
from lightning_tasks.tasks.multilabel.datamodule import MultiLabelDataModule
from lightning_tasks.tasks.multilabel.label_checks import FEW


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
