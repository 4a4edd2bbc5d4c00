"""A commented config for somebody's own table."""

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning_tasks import yaml_text
from lightning_tasks.atomic_write import write_whole
from lightning_tasks.data.tables.csv_table import OTHER_NAMES, near_column
from lightning_tasks.data.tables.file_checks import respelt_line
from lightning_tasks.errors import ConfigError, TableError
from lightning_tasks.filesystem import as_text, exists
from lightning_tasks.tasks import registry
from lightning_tasks.tasks.config_draft import ConfigDraft, OwnTable
from lightning_tasks.tasks.task import Task
from lightning_tasks.verbs.convert import convert_annotations
from lightning_tasks.verbs.schema import SCHEMA_FILE, schema_line, write_schema


def init(
    path: str,
    output: str | None = None,
    table: str | None = None,
    vocab: list[str] | None = None,
    force: bool = False,
    **kwargs: Any,  # noqa: ANN401 - those of convert_annotations
) -> None:
    """Write a commented config for your own data, and where it is of another format a table of our own.

    Args:
        path: the data: a table of ours (`fname,labels[,...]`, `fname,<point>_x,<point>_y[,...]` in pixels, or
            `fname,<name>[,...]`), or a csv, tsv, json, xml, txt or parquet file of another tool, a folder, or a zip.
        output: the config; None: the table's name with .yaml, in the current folder.
        table: of another format, the table of ours that is written; None: labels.csv, points.csv or values.csv, in the
            current folder.
        vocab: all labels; where some read like words for nothing, such as `None` or `NA`.
        force: write over a config and a table that are there.
        kwargs: see `convert_annotations`.

    Raises:
        LightningTasksError: the data cannot be used, or the config is there already.
    """
    done = convert_annotations(path, table, force, **kwargs)
    own = OwnTable(done.table, done.images, done.label_separator, vocab or done.vocab)
    target = Path(output or f"{own.path.stem}.yaml")
    if exists(target) and not force:
        raise ConfigError(f"{target} is there already. Name another with --output, or replace it with --force true.")
    for name in (own.path, target, Path(own.images)):
        if as_text(name) != str(name):
            raise ConfigError(f"{as_text(name)} is no name in UTF-8, and a config is: rename it.")
    task = _task_of_header(own.path, own.header)
    draft = task.draft_config(own)
    n, missing = len(own.image_rows), int(own.files.missing[own.image_rows].sum())
    if missing:
        draft.comments["images"] = [f"{missing:,} of the {n:,} images are not there"]
    sizes = Counter(own.sizes).most_common(1)
    commonest = [f"most images have {width}×{height} pixels" for (height, width), _ in sizes]
    draft.comments["size"] = [*commonest, *draft.comments.get("size", [])]
    text = _config(task, draft, own, target)
    write_schema(target.with_name(SCHEMA_FILE))  # by which editors complete the config
    write_whole(target, lambda new: new.write_text(text, encoding="utf-8"))
    print(f"config           {target}  ({task.targets}, {n:,} images{f', {missing:,} missing' * bool(missing)})")
    if own.files.respelt:
        print(f"names            {respelt_line(own.path, own.files)}")
    print(f"schema           {target.with_name(SCHEMA_FILE)}  (editors complete and check the config by it)")
    for verb in ("check", "show_batch", "lr_find", "fit"):
        print(f"  lightning-tasks {verb:<10} --config {shlex.quote(str(target))}")


def _task_of_header(path: Path, header: Sequence[str]) -> Task:
    """Return the one task that these columns are of; TableError: none, or more, or a name is nearly one's."""
    tasks = [task for task in registry.TASKS if task.recognises(header)]
    for wanted in OTHER_NAMES:
        near = near_column(wanted, header)
        if wanted not in header and near is not None and (wanted == "fname" or not tasks):
            raise TableError(f"{path}: row 1: no column {wanted!r}. Rename {near!r} to it.")
    if len(tasks) == 1:
        return tasks[0]
    known = {task.targets: task.header for task in registry.TASKS}  # a subclass's are its parent's
    several = " and ".join(task.targets for task in tasks)
    kinds = f"both {several}" if tasks else f"neither {' nor '.join(known)}"
    headers = ", or ".join(f"`{header}`" for header in known.values())
    raise TableError(f"{path}: row 1: the columns are of {kinds}. A table has {headers}.")


def _config(task: Task, draft: ConfigDraft, own: OwnTable, target: Path) -> str:
    lines = [
        schema_line(SCHEMA_FILE),
        _comment(f"{own.path}: {task.targets}. Written by `lightning-tasks init`; change what you like."),
        _comment(f"  lightning-tasks fit --config {target}"),
        "model:",
        f"  class_path: {task.model.__name__}",
        "  init_args:",
        "    # any timm backbone; without its hub: --model.weights FILE, or --model.pretrained false",
        "    backbone: resnet18.tv_in1k",
        "    pretrained: true",
        "data:",
        f"  class_path: {task.datamodule.__name__}",
        "  init_args:",
        _value("root", str(own.path.parent)),
    ]
    for name, value in {"csv": own.path.name, "images": own.images, **draft.arguments}.items():
        lines += [f"    {_comment(line)}" for line in draft.comments.get(name, [])]
        lines.append(_value(name, value))
    lines += ["trainer:", "  max_epochs: 5", "  callbacks:", "    - class_path: OneCycle"]
    lines += ["checkpoint:", f"  monitor: {task.model.monitor}", f"  mode: {task.model.mode}"]
    return "\n".join(lines) + "\n"


def _value(name: str, value: Any) -> str:  # noqa: ANN401 - what YAML has words for
    return f"    {name}: {yaml_text.dump_in_one_line(value)}"


def _comment(text: str) -> str:
    """Return one line, whatever stands in the text: a label may hold the end of one, in any script."""
    return f"# {''.join(c if c.isprintable() else '?' for c in text)}"
