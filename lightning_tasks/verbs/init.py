"""A commented config for somebody's own table."""

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lightning_tasks import yaml_text
from lightning_tasks.atomic_write import write_whole
from lightning_tasks.data.images.decode import Size, file_size_px
from lightning_tasks.data.tables.csv_table import OTHER_NAMES, near_column, read_cells
from lightning_tasks.data.tables.file_checks import Confines, Files, find_files, respelt_line
from lightning_tasks.data.tables.split_column import marked_test
from lightning_tasks.data.tables.table_checks import raise_or_warn
from lightning_tasks.data.tables.unused_columns import TaskColumns, unused_columns
from lightning_tasks.errors import ConfigError, TableError
from lightning_tasks.filesystem import as_text, exists
from lightning_tasks.tasks.keypoints.point_columns import coordinate_column
from lightning_tasks.tasks.keypoints.table import point_columns, point_names, point_positions, read_keypoint_table
from lightning_tasks.tasks.multilabel.label_cells import AUTO, BLANK
from lightning_tasks.tasks.multilabel.label_doubts import (
    SEPARATORS,
    asked_for,
    names_with_blanks,
    plain_cells,
    separator_problems,
)
from lightning_tasks.tasks.multilabel.table import LABEL_COLUMNS, build_vocab, checked_vocab, read_multilabel_table

_FEW = 10  # positives of a label
_LABELS_LISTED = 100
_SIZES_SEEN = 100
_SHORTER_SIDE = 240  # of BIWI's images in the book
_STEP = 32
_SIDES = (("left", "right"), ("_l", "_r"), ("l_", "r_"))


@dataclass
class _Draft:
    """What a config says of the data, and why."""

    model: str
    module: str
    task: str
    arguments: dict[str, Any]
    monitor: tuple[str, str]
    comments: dict[str, list[str]] = field(default_factory=dict)  # by argument


def init(
    csv: str,
    output: str | None = None,
    images: str = ".",
    label_separator: str = AUTO,
    vocab: list[str] | None = None,
    force: bool = False,
) -> None:
    """Write a commented config for a table of your own.

    Args:
        csv: the table: `fname,labels[,...]`, or `fname,<point>_x,<point>_y[,...]` in pixels.
        output: the config; None: the table's name with .yaml, in the current folder.
        images: the folder that file names start from, seen from the table's folder.
        label_separator: stands between labels in a cell; `none`: each cell is one label; `auto`: guessed, where that is
            possible.
        vocab: all labels; where some read like words for nothing, such as `None` or `NA`.
        force: write over a config that is there.

    Raises:
        LightningTasksError: the table cannot be used, or the config is there already.
    """
    table_path = Path(csv)
    target = Path(output) if output is not None else Path(f"{table_path.stem}.yaml")
    if exists(target) and not force:
        raise ConfigError(f"{target} is there already. Name another with --output, or replace it with --force true.")
    for name in (table_path, target, Path(images)):
        if as_text(name) != str(name):
            raise ConfigError(f"{as_text(name)} is no name in UTF-8, and a config is: rename it.")
    header = [cell.strip() for cell in (read_cells(table_path) or [[]])[0]]
    draft = _labels(table_path, label_separator, vocab) if _is_of_labels(table_path, header) else _points(table_path)
    draft.arguments["images"] = images
    files = _files(table_path, images, header)
    one_row_each = np.sort(np.unique(files.ids, return_index=True)[1])
    n, missing = len(one_row_each), int(files.missing[one_row_each].sum())
    sizes = [size for size in map(file_size_px, _some(files.paths(one_row_each))) if size is not None]
    _choose_size(draft, sizes)
    if missing:
        draft.comments["images"] = [f"{missing:,} of the {n:,} images are not there"]
    text = _written(draft, table_path, target)
    write_whole(target, lambda new: new.write_text(text, encoding="utf-8"))
    print(f"config           {target}  ({draft.task}, {n:,} images{f', {missing:,} missing' * bool(missing)})")
    if files.respelt:
        print(f"names            {respelt_line(table_path, files)}")
    for verb in ("check", "show_batch", "lr_find", "fit"):
        print(f"  lightning-tasks {verb:<10} --config {shlex.quote(str(target))}")


def _is_of_labels(path: Path, header: Sequence[str]) -> bool:
    for wanted in OTHER_NAMES:
        near = near_column(wanted, header)
        has_points = any(name.endswith(("_x", "_y")) for name in header)
        if wanted not in header and near is not None and not (wanted == "labels" and has_points):
            raise TableError(f"{path}: row 1: no column {wanted!r}. Rename {near!r} to it.")
    points = any(name.endswith("_x") for name in header) and any(name.endswith("_y") for name in header)
    if not points and "labels" not in header and any(coordinate_column(name) not in (None, name) for name in header):
        return False  # the table of points tells how to name them
    if ("labels" in header) == points:
        both = "both labels and points" if points else "neither labels nor points"
        raise TableError(
            f"{path}: row 1: the columns are of {both}. A table has `fname,labels`, or `fname,<point>_x,<point>_y`."
        )
    return "labels" in header


def _labels(path: Path, separator: str, known: list[str] | None) -> _Draft:
    table = read_multilabel_table(path, separator, vocab=checked_vocab(known) or ())
    asked = separator
    if separator == AUTO:
        separator = _guessed_separator(path)
        table = read_multilabel_table(path, separator, vocab=checked_vocab(known) or ())
        asked = AUTO if separator == BLANK else separator  # nobody chose the blank
    raise_or_warn(separator_problems(path, asked))
    counts = Counter(label for labels in table["labels"] for label in labels)
    vocab = build_vocab(table["labels"])
    if not vocab:
        raise TableError(f"{path}: no image has a label. Fill the column 'labels'.")
    draft = _Draft(
        "MultiLabelClassifier",
        "MultiLabelDataModule",
        "labels",
        {"label_separator": separator} | ({} if known is None else {"vocab": known}),
        ("val/mAP", "max"),
    )
    lines = [f"{len(vocab):,} labels, {counts.total() / len(table):.2f} an image:"]
    lines += [
        f"  {label}: {counts[label]:,}" + ("  (few)" if counts[label] < _FEW else "")
        for label in vocab[:_LABELS_LISTED]
    ]
    lines += [f"  and {len(vocab) - _LABELS_LISTED:,} more"] if len(vocab) > _LABELS_LISTED else []
    if all(len(labels) == 1 for labels in table["labels"]) and len(vocab) > 1:
        lines.append("each image has exactly one: --model.loss cross_entropy trains a softmax")
    draft.comments["label_separator"] = lines
    draft.comments["csv"] = _columns(path, table, TaskColumns(LABEL_COLUMNS))
    return draft


def _points(path: Path) -> _Draft:
    table = read_keypoint_table(path)
    names = point_names(table)
    annotated = ~np.isnan(point_positions(table)).any(-1)
    draft = _Draft("KeypointRegressor", "KeypointDataModule", "points", {}, ("val/median_px", "min"))
    hidden = "an empty cell, or 0 in <point>_v, is a point that is not annotated"
    counts = f"{len(names):,} points, {annotated.mean():.1%} of them annotated; {hidden}"
    draft.comments["csv"] = [*_columns(path, table, point_columns(table)), counts]
    if len(names) > 1:
        pairs = _pairs(names)
        draft.arguments["swap_pairs"] = pairs or None
        draft.comments["swap_pairs"] = (
            ["points that change places in a mirrored image, by their names: check them, the order matters not"]
            if pairs
            else ["images are not mirrored, as no points are named that would change places: [[left, right], ...]"]
        )
    return draft


def _columns(path: Path, table: pd.DataFrame, of_task: TaskColumns) -> list[str]:
    unused = unused_columns(path, table.columns, of_task, only_near_misses=False)
    lines = [f"{problem.message} {problem.way_out}".strip() for problem in unused]
    if "is_valid" in table.columns:
        column = "val in split" if "split" in table.columns else "is_valid"
        lines.append(f"{int(table['is_valid'].sum()):,} rows are marked {column}: these are for validation")
    else:
        drawn = "a fifth is drawn for validation" + ", in whole groups" * ("group" in table)
        lines.append(f"no column is_valid or split (train, val, test): {drawn}")
    test = int(marked_test(table).sum())
    if test:
        lines.append(f"{test:,} rows are marked test: --data.test_csv {path.name} scores them, nothing else reads them")
    if "group" in table.columns:
        lines.append(f"{table['group'].nunique():,} groups; --data.fold 0 validates on a fifth of them")
    if "difficult" in table.columns:
        lines.append("labels in the column difficult count neither in the loss nor in the scores")
    return lines


def _guessed_separator(path: Path) -> str:
    """Return the separator that leaves the fewest different labels, and of equals the first.

    Raises:
        ConfigError: only blanks could be one, and they may be part of names.
    """
    cells = plain_cells(path)
    # A space may be part of a name: another separator goes before it.
    different = {
        one: len({part.strip() for cell in cells for part in cell.split(one) if part.strip()})
        for one in SEPARATORS
        if one != BLANK and any(one in cell for cell in cells)
    }
    if different:
        return min(different, key=lambda one: different[one])
    names = names_with_blanks(cells)
    if names:
        raise ConfigError(f"{path}: column 'labels': {names} {asked_for('--label_separator')}")
    return BLANK


def _pairs(names: Sequence[str]) -> list[list[str]]:
    if list(names) == [f"p{i:02d}" for i in range(68)]:
        return [[f"p{a:02d}", f"p{b:02d}"] for a, b in _FACE_68]
    pairs = []
    for name in names:
        for left, right in _SIDES:
            other = name.replace(left, right)
            if other != name and other in names:
                pairs.append([name, other])
                break
    return pairs


def _files(path: Path, images: str, header: Sequence[str]) -> Files:
    folder, column = path.parent / images, header.index("fname")
    names = [cells[column] for cells in read_cells(path)[1:]]
    return find_files(names, folder, Confines(path.parent, folder))  # as the config lets the data be read


def _some(paths: Sequence[Path]) -> list[Path]:
    rows = np.unique(np.linspace(0, len(paths) - 1, num=min(_SIZES_SEEN, len(paths))).astype(int))
    return [paths[row] for row in rows]


def _choose_size(draft: _Draft, sizes: Sequence[Size]) -> None:
    """Labels: the book's square. Points: the images' own shape, in steps that networks shrink by."""
    seen = Counter(sizes).most_common(1)
    lines = [f"most images have {seen[0][0][1]}×{seen[0][0][0]} pixels"] if seen else []
    if draft.task == "labels":
        draft.arguments["size"] = 128
        lines.append("128 is the book's; larger images cost time by their area")
    else:
        height, width = np.median(np.array(sizes or [(240, 320)]), axis=0)
        scale = min(_SHORTER_SIDE, min(height, width)) / min(height, width)
        draft.arguments["size"] = [max(_STEP, int(round(side * scale / _STEP) * _STEP)) for side in (height, width)]
        lines.append("height and width")
    draft.comments["size"] = lines


def _written(draft: _Draft, table: Path, target: Path) -> str:
    order = ("csv", "images", "label_separator", "vocab", "size", "swap_pairs")
    arguments = {"csv": table.name, **draft.arguments}
    lines = [
        _comment(f"{table}: {draft.task}. Written by `lightning-tasks init`; change what you like."),
        _comment(f"  lightning-tasks fit --config {target}"),
        "model:",
        f"  class_path: {draft.model}",
        "  init_args:",
        "    # any timm backbone; without its hub: --model.weights FILE, or --model.pretrained false",
        "    backbone: resnet18.tv_in1k",
        "    pretrained: true",
        "data:",
        f"  class_path: {draft.module}",
        "  init_args:",
        _value("root", str(table.parent)),
    ]
    for name in order:
        if name in arguments:
            lines += [f"    {_comment(line)}" for line in draft.comments.get(name, [])]
            lines.append(_value(name, arguments[name]))
    lines += ["trainer:", "  max_epochs: 5", "  callbacks:", "    - class_path: OneCycle"]
    lines += ["checkpoint:", f"  monitor: {draft.monitor[0]}", f"  mode: {draft.monitor[1]}"]
    return "\n".join(lines) + "\n"


def _value(name: str, value: Any) -> str:  # noqa: ANN401 - what YAML has words for
    return f"    {name}: {yaml_text.dump_in_one_line(value)}"


def _comment(text: str) -> str:
    """Return one line, whatever stands in the text: a label may hold the end of one, in any script."""
    return f"# {''.join(c if c.isprintable() else '?' for c in text)}"


# Left and right of the usual 68 points of a face, as in conf/face68.yaml.
_FACE_68 = (
    *((i, 16 - i) for i in range(8)),
    *((17 + i, 26 - i) for i in range(5)),
    *((31, 35), (32, 34)),
    *((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)),
    *((48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67)),
)
