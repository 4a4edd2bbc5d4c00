"""The table of points that is written from anybody's annotations."""

from dataclasses import replace
from typing import Any

from lightning_tasks.data.tables.formats.annotations import HIDDEN, AnnotatedImage, Annotations
from lightning_tasks.data.tables.formats.stated_sizes import require_stated_sizes
from lightning_tasks.errors import TableError
from lightning_tasks.tasks.keypoints.table import position_columns
from lightning_tasks.tasks.table_draft import Instances, TableDraft, one_object_each, with_row_columns


def has_points(annotations: Annotations) -> bool:
    """Return whether annotations are meant as points."""
    return bool(annotations.point_names)


def draft_points_table(annotations: Annotations, instances: Instances) -> TableDraft:
    """Return `fname[,group][,split],<point>_x,<point>_y,...[,<point>_visible,...]`; see `one_object_each`.

    A point that is absent has empty cells. The columns of visibility are there where a point is hidden. Images without
    any point are left out.

    Raises:
        TableError: there is not a single point, an image has several objects with points, or another size than the
            annotations say.
    """
    names, chosen = annotations.point_names, one_object_each(annotations, instances)
    objects = {id(annotations.images[i]): thing for i, thing in chosen.items() if any(thing.points[2::3])}
    if not objects:
        raise TableError(f"{annotations.found}: no image has a point. Add some, or name the task with --task.")
    if without := len(annotations.images) - len(objects):
        annotations.left_out["images without a point"] += without
    require_stated_sizes(annotations, [annotations.images[i] for i in chosen])
    with_points = replace(annotations, images=[image for image in annotations.images if id(image) in objects])
    some_hidden = any(HIDDEN in thing.points[2::3] for thing in objects.values())

    def cells_of(image: AnnotatedImage) -> list[Any]:
        points = objects[id(image)].points
        cells: list[Any] = []
        for x, y, visibility in zip(*[iter(points)] * 3, strict=True):
            cells += (x, y) if visibility else ("", "")
        return [*cells, *map(int, points[2::3])] if some_hidden else cells

    visible = [f"{name}_visible" for name in names] if some_hidden else []
    return with_row_columns(with_points, [*position_columns(names), *visible], cells_of)
