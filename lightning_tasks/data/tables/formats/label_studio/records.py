"""The annotations of Label Studio's exports that count: one for an image."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning_tasks.data.tables.formats.image_names import has_ending, plain_name
from lightning_tasks.data.tables.formats.json_values import as_list, as_name, as_object, refuse, shown

_NOT_ANSWERS = {
    *("id", "inner_id", "project", "task", "annotator", "annotation_id", "created_at", "updated_at", "lead_time"),
    *("agreement", "history", "file_upload"),
}
_ANSWERS = ("choices", "taxonomy", "number", "rating", "text")
_SEVERAL = "annotations beside the ground truth or the last one of the same task"


@dataclass
class Record:
    """An annotation that counts."""

    where: str  # file and entry
    image: str  # as the export names it
    results: list[Any]  # as JSON has them


@dataclass
class Tally:
    """What a person is told of the files."""

    left_out: Counter[str] = field(default_factory=Counter)
    notes: dict[str, None] = field(default_factory=dict)


def records_of_json(path: Path, tasks: Sequence[Any], columns: Mapping[str, str], tally: Tally) -> list[Record]:
    """Return, of each task of JSON that is annotated, the ground truth, else the annotation that was made last.

    TableError: an entry cannot be used.
    """
    records = []
    for i, value in enumerate(tasks):
        where = _where(path, i, value)
        task = as_object(value, where)
        if "predictions" in task and not task.keys() & {"annotations", "completions"}:
            refuse(
                where,
                "it has predictions alone, which nobody has accepted. Import them into Label Studio, and annotate",
            )
        given = as_list(task.get("annotations", task.get("completions")), f"{where}: annotations")
        annotations = [
            (f"{where}: annotations[{j}]", as_object(one, f"{where}: annotations[{j}]")) for j, one in enumerate(given)
        ]
        finished = [(place, one) for place, one in annotations if not (one.get("was_cancelled") or one.get("skipped"))]
        tally.left_out["cancelled annotations"] += len(annotations) - len(finished)
        tally.left_out["predictions"] += len(as_list(task.get("predictions") or [], f"{where}: predictions"))
        if not finished:
            tally.left_out["tasks without an annotation"] += 1
            continue
        truths = [(place, one) for place, one in finished if one.get("ground_truth") is True]
        place, chosen = _last(truths or finished)
        tally.left_out[_SEVERAL] += len(finished) - 1
        image = _image(as_object(task.get("data"), f"{where}: data"), columns.get("fname"), f"{where}: data")
        records.append(Record(f"{place}: result", image, as_list(chosen.get("result"), f"{place}: result")))
    return records


def records_of_json_min(path: Path, entries: Sequence[Any], columns: Mapping[str, str], tally: Tally) -> list[Record]:
    """Return the last annotation of each task of JSON-MIN, its answers as JSON has them; TableError: as above."""
    of_task: dict[Any, list[tuple[str, dict[str, Any]]]] = {}
    for i, value in enumerate(entries):
        where = _where(path, i, value)
        entry = as_object(value, where)
        of_task.setdefault(shown(entry.get("id", i)), []).append((where, entry))
    chosen = [_last(of_one) for of_one in of_task.values()]
    tally.left_out[_SEVERAL] += len(entries) - len(chosen)
    images = [_image(entry, columns.get("fname"), where) for where, entry in chosen]
    choices = _choice_fields(path, chosen, images, columns.get("labels"), tally)
    records = []
    for (where, entry), image in zip(chosen, images, strict=True):
        results: list[dict[str, Any]] = []
        for name, value in entry.items():
            if name in choices and isinstance(value, str):
                results.append({"from_name": name, "value": {"choices": [value]}})
            for answer in value if isinstance(value, list) else [value]:
                if _is_answer(answer):
                    results.append({**answer, "from_name": name, "value": answer})
        records.append(Record(f"{where}: result", image, results))
    return records


def _where(path: Path, i: int, entry: Any) -> str:  # noqa: ANN401 - whatever JSON holds
    return f"{path}: [{i}]" + (f" (id {shown(entry['id'])})" if isinstance(entry, dict) and "id" in entry else "")


def _last(annotations: list[tuple[str, dict[str, Any]]]) -> tuple[str, dict[str, Any]]:
    """Return the annotation that was made last; of those without a date the last one in the file."""
    return max(enumerate(annotations), key=lambda one: (str(one[1][1].get("created_at") or ""), one[0]))[1]


def _image(data: Mapping[str, Any], told: str | None, where: str) -> str:
    """Return what the data name as the image."""
    if told is not None or "image" in data:
        key = told or "image"
    else:
        keys = [key for key, value in data.items() if isinstance(value, str) and has_ending(plain_name(value))]
        if len(keys) != 1:
            way_out = f"--format label-studio --columns 'fname={next(iter(data), 'image')}' says it"
            refuse(where, f"which of {', '.join(data)} is the image? {way_out}")
        key = keys[0]
    if isinstance(data.get(key), list):
        refuse(f"{where}: {key}", "a task of several images")
    return as_name(data.get(key), f"{where}: {key}")


def _choice_fields(
    path: Path, entries: list[tuple[str, dict[str, Any]]], images: list[str], told: str | None, tally: Tally
) -> set[str]:
    """Return the fields whose text is a single choice: JSON-MIN writes one bare, as it does any text of the task."""
    names = dict.fromkeys(
        name
        for (_, entry), image in zip(entries, images, strict=True)
        for name, value in entry.items()
        if isinstance(value, str) and value != image and name not in _NOT_ANSWERS and not has_ending(plain_name(value))
    )
    sure = {name for name in names if any(_has_choices(entry.get(name)) for _, entry in entries)}
    if told is not None:
        return sure | {told}
    unsure = [name for name in names if name not in sure]
    if len(unsure) > 1:
        way_out = f"--format label-studio --columns 'labels={unsure[0]}' says it; the export as JSON does, too"
        refuse(str(path), f"which of {', '.join(unsure)} holds choices? {way_out}")
    if unsure:
        tally.notes[f"{unsure[0]!r} is read as a label: JSON-MIN does not tell choices from other text"] = None
    return sure | set(unsure)


def _has_choices(value: Any) -> bool:  # noqa: ANN401 - JSON
    return any(
        isinstance(answer, dict) and "choices" in answer for answer in (value if isinstance(value, list) else [value])
    )


def _is_answer(value: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(value, dict) and any(key in _ANSWERS or key.endswith("labels") for key in value)
