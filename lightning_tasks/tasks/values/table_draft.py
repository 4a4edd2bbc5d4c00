"""The table of numbers that is written from anybody's annotations."""

from lightning_tasks.data.tables.formats.annotations import Annotations
from lightning_tasks.errors import TableError
from lightning_tasks.tasks.table_draft import TableDraft, with_row_columns
from lightning_tasks.tasks.values.table import is_taken


def draft_values_table(annotations: Annotations) -> TableDraft:
    """Return `fname[,group][,split],<name>,...`; an unknown number is an empty cell.

    Where the annotations are meant as something else, the numbers are all that images have. TableError: there is none.
    """
    found = dict.fromkeys(name for image in annotations.images for name in image.values)
    names = annotations.value_names or tuple(found)
    if not found:
        raise TableError(f"{annotations.found}: no image has a number. Add some, or name the task with --task.")
    columns = [f"{name}_number" if is_taken(name) else name for name in names]
    draft = with_row_columns(annotations, columns, lambda image: [image.values.get(name, "") for name in names])
    renamed = [f"{name} is in {column}" for name, column in zip(names, columns, strict=True) if name != column]
    draft.notes += [f"columns of labels and points are called otherwise: {', '.join(renamed)}"] if renamed else []
    return draft
