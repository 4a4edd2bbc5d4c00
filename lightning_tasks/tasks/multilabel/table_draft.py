"""The table of labels that is written from anybody's annotations."""

import json
from collections.abc import Iterable, Sequence

from lightning_tasks.data.tables.cells import normalize, stands_for_nothing
from lightning_tasks.data.tables.formats.annotations import AnnotatedImage, Annotations
from lightning_tasks.data.tables.label_cells import looks_like_a_list
from lightning_tasks.errors import TableError
from lightning_tasks.tasks.table_draft import TableDraft, with_row_columns

_SEPARATOR = ";"


def has_labels(annotations: Annotations) -> bool:
    """Return whether annotations are meant as labels: of images, or of objects that have no points."""
    return annotations.has_image_labels or (annotations.has_object_labels and not annotations.point_names)


def draft_labels(annotations: Annotations) -> TableDraft:
    """Return `fname[,group][,split],labels[,difficult]`; the labels of an image are its own and its objects'.

    In `difficult` stands what is not known.

    Raises:
        TableError: there is not a single label.
    """
    of_images = [_labels_of(image) for image in annotations.images]
    every = {label for labels, unknown in of_images for label in (*labels, *unknown)}
    if not any(labels for labels, _ in of_images):
        raise TableError(f"{annotations.found}: no image has a label. Add some, or name the task with --task.")
    join = _joined if _can_be_joined(every) else _as_list
    has_unknown = any(unknown for _, unknown in of_images)
    cells = {id(image): of_image for image, of_image in zip(annotations.images, of_images, strict=True)}

    def cells_of(image: AnnotatedImage) -> list[str]:
        labels, unknown = cells[id(image)]
        return [join(labels), join(unknown)] if has_unknown else [join(labels)]

    draft = with_row_columns(annotations, ["labels", *["difficult"] * has_unknown], cells_of)
    draft.label_separator = _SEPARATOR
    never = [label for label in annotations.vocab if normalize(label) not in every]
    if never:
        draft.notes.append(f"{len(never):,} of the {len(annotations.vocab):,} declared labels occur in no image")
    if any(map(stands_for_nothing, every)):
        draft.vocab = sorted(every)
    return draft


def _labels_of(image: AnnotatedImage) -> tuple[list[str], list[str]]:
    labels = _distinct([*image.labels, *(thing.label for thing in image.objects)])
    return labels, [label for label in _distinct(image.unknown) if label not in labels]


def _distinct(labels: Iterable[str]) -> list[str]:
    return [label for label in dict.fromkeys(map(normalize, labels)) if label]


def _can_be_joined(labels: Iterable[str]) -> bool:
    return not any(_SEPARATOR in label or looks_like_a_list(label) for label in labels)


def _joined(labels: Sequence[str]) -> str:
    return _SEPARATOR.join(labels)


def _as_list(labels: Sequence[str]) -> str:
    return json.dumps(labels, ensure_ascii=False) if labels else ""
