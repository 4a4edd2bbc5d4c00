"""Images of exactly one label each, from a table."""

from lightning_tasks.tasks.multilabel.datamodule import MultiLabelDataModule


class MultiClassDataModule(MultiLabelDataModule):
    """`MultiLabelDataModule` for tables in which each image has exactly one label.

    Raises:
        TableError: a row has none, or several.
    """

    def read_sets(self, *stages: str) -> None:
        """Read and check the tables of stages, also for exactly one label a row."""
        super().read_sets(*stages)
        self.require_one_label()
