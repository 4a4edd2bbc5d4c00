"""The table of numbers that is written from anybody's annotations."""

from lightning_tasks.data.tables.formats.annotations import Annotations
from lightning_tasks.errors import TableError
from lightning_tasks.tasks.table_draft import TableDraft, with_row_columns


def draft_values_table(annotations: Annotations) -> TableDraft:
    """Return `fname[,group][,split],<name>,...`; an unknown number is an empty cell. TableError: there is none."""
    names = annotations.value_names
    if not any(image.values for image in annotations.images):
        raise TableError(f"{annotations.found}: no image has a number. Add some, or name the task with --task.")
    return with_row_columns(annotations, names, lambda image: [image.values.get(name, "") for name in names])
