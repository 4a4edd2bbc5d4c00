"""A config for somebody's own table of numbers."""

from lightning_tasks.tasks.config_draft import ConfigDraft, OwnTable, describe_columns
from lightning_tasks.tasks.recipe import training_rows
from lightning_tasks.tasks.values.recipe import value_recipe
from lightning_tasks.tasks.values.summary import count_values
from lightning_tasks.tasks.values.table import read_value_table, target_columns, target_values, value_columns


def draft_values(own: OwnTable) -> ConfigDraft:
    """Return what a config says of a table with numbers.

    Raises:
        LightningTasksError: the table cannot be used.
    """
    table = read_value_table(own.path)
    names = target_columns(table)
    columns = describe_columns(own.path, table, value_columns(table))
    counts = [*count_values(names, target_values(table, names)), "an empty cell is a number that is not known"]
    comments = {"csv": columns, "targets": counts}
    return ConfigDraft({"targets": names}, comments, value_recipe(own.wishes, training_rows(table), own.size))
