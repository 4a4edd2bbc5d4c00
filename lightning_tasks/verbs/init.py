"""A commented config for somebody's own table."""

import contextlib
import os
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from lightning_tasks import yaml_text
from lightning_tasks.atomic_write import require_place, write_whole
from lightning_tasks.data.tables.csv_table import OTHER_NAMES, near_column
from lightning_tasks.data.tables.file_checks import respelt_line
from lightning_tasks.devices import this_machine
from lightning_tasks.errors import ConfigError, TableError
from lightning_tasks.filesystem import as_text, exists
from lightning_tasks.tasks import registry
from lightning_tasks.tasks.config_draft import ConfigDraft, OwnTable
from lightning_tasks.tasks.recipe import Preset, Settings, Wishes, check_wishes
from lightning_tasks.tasks.task import Task
from lightning_tasks.verbs.convert import Converted, convert_annotations
from lightning_tasks.verbs.schema import SCHEMA_FILE, schema_line, write_schema


def init(
    path: str,
    output: str | None = None,
    table: str | None = None,
    vocab: list[str] | None = None,
    preset: Preset = "balanced",
    backbone: str | None = None,
    weights: str | None = None,
    task: str | None = None,
    force: bool = False,
    **kwargs: Any,  # noqa: ANN401 - those of convert_annotations
) -> None:
    """Write a commented config for your own data, and of another tool's annotations a table of our own too.

    It says where the data is, and how to train on it: the best way that is known.

    Args:
        path: a table of ours (`fname,labels[,...]`, `fname,<point>_x,<point>_y[,...]` in pixels, or
            `fname,<name>[,...]`), or another tool's annotations: a csv, tsv, json, xml, txt or parquet file, a folder,
            or a zip.
        output: the config; None: the table's name with .yaml, in the current folder.
        table: where a table is written, its name; None: labels.csv, points.csv or values.csv, in the current folder.
        vocab: all labels; where some read like words for nothing, such as `None` or `NA`.
        preset: how the model is trained: `balanced`, the best that is known for its time; `fast`, for less time and
            scores; `best`, for more time; `fastai`, as in fastai's chapter.
        backbone: a timm model; None: what the weights file says or is called after, or the machine decides.
        weights: a .safetensors or .pth file with the backbone's weights, where no hub can be reached; or one of our
            checkpoints or exports to start from.
        task: multilabel, multiclass, keypoints or values; None: by what the data says.
        force: write over a config and a table that are there.
        kwargs: see `convert_annotations`.

    Raises:
        LightningTasksError: the data cannot be used, or the config is there already.
    """
    wishes = check_wishes(Wishes(preset, backbone, weights, this_machine()))
    _check_task(task)
    done = convert_annotations(path, table, force, task=_whose_table(task), **kwargs)
    own = OwnTable(done.table, done.images, done.label_separator, vocab or done.vocab, wishes, task, done.swap_pairs)
    with _taken_back(done):
        _write_config(own, Path(output or f"{own.path.stem}.yaml"), force)


@contextlib.contextmanager
def _taken_back(done: Converted) -> Iterator[None]:
    """Remove the table that was written for a config, where that cannot be."""
    try:
        yield
    except BaseException:
        if done.is_new:
            done.table.unlink(missing_ok=True)
        raise


def _write_config(own: OwnTable, target: Path, force: bool) -> None:
    """Write the config and its schema, and say what to do with it; errors: see `init`."""
    if exists(target) and not force:
        raise ConfigError(f"{target} is there already. Name another with --output, or replace it with --force true.")
    for name in (own.path, target, Path(own.images), Path(own.wishes.weights or ".")):
        if as_text(name) != str(name):
            raise ConfigError(f"{as_text(name)} is no name in UTF-8, and a config is: rename it.")
    drafted, draft = _draft(own)
    _comment_files(own, draft)
    text = _config(drafted, draft, own, target)
    require_place(target, [own.path])
    write_schema(target.with_name(SCHEMA_FILE))  # by which editors complete the config
    write_whole(target, lambda new: new.write_text(text, encoding="utf-8"))
    print(f"task             {drafted.name}{'  (--task names another)' * (own.task is None)}")
    print(f"recipe           {own.wishes.preset}  (--preset {_other_presets(own)} writes another)")
    print(f"config           {target}  ({drafted.targets}, {len(own.image_rows):,} images)")
    if missing := _missing(own):
        n, folder = len(own.image_rows), os.path.normpath(own.path.parent / own.images)
        what = f"{len(missing):,} of the {n:,} images, such as {as_text(missing[0])} in {folder}"
        print(f"missing          {what}; --images names another folder")
    if own.files.respelt:
        print(f"names            {respelt_line(own.path, own.files)}")
    print(f"schema           {target.with_name(SCHEMA_FILE)}  (editors complete configs by it)")
    for verb in ("check", "show_batch", "lr_find", "fit"):
        print(f"  lightning-tasks {verb:<10} --config {shlex.quote(str(target))}")


def _check_task(name: str | None) -> None:
    names = [task.name for task in registry.TASKS]
    if name not in (None, *names):
        raise ConfigError(f"--task {name!r}: there is no such task; it is one of {', '.join(names)}.")


def _whose_table(name: str | None) -> str | None:
    """Return the task whose table is written for another: a task without one of its own reads its parent's."""
    alone = [task for task in registry.TASKS if task.name == name and not task.table_name]
    written = [task for task in registry.TASKS if task.table_name]
    return next((task.name for task in written if any(task.targets == other.targets for other in alone)), name)


def _draft(own: OwnTable) -> tuple[Task, ConfigDraft]:
    """Return the first task that takes the table for one of its own, and what it says of it."""
    tasks = _tasks_of_header(own.path, own.header, own.task)
    for task in tasks:
        if (draft := task.draft_config(own)) is not None:
            return task, draft
    raise TableError(f"{own.path}: its cells are not of the task {tasks[0].name}.")


def _missing(own: OwnTable) -> list[str]:
    """Return the names of the images that are not there."""
    return [own.files.names[row] for row in own.image_rows[own.files.missing[own.image_rows]]]


def _comment_files(own: OwnTable, draft: ConfigDraft) -> None:
    """Say of the images how many are missing, and how large most are."""
    n, missing = len(own.image_rows), len(_missing(own))
    if missing:
        draft.comments["images"] = [f"{missing:,} of the {n:,} images are not there"]
    sizes = Counter(own.sizes).most_common(1)
    commonest = [f"most images have {width}×{height} pixels" for (height, width), _ in sizes]
    draft.comments["size"] = [*commonest, *draft.comments.get("size", [])]


def _tasks_of_header(path: Path, header: Sequence[str], asked: str | None) -> list[Task]:
    """Return the tasks that these columns are of, a subclass's before its parent, or the one that is asked for.

    Raises:
        TableError: the columns are of none, or of several kinds, or a name is nearly one's.
    """
    tasks = [task for task in registry.TASKS if asked in (None, task.name) and task.recognises(header)]
    for wanted in OTHER_NAMES:
        near = near_column(wanted, header)
        if wanted not in header and near is not None and (wanted == "fname" or not tasks):
            raise TableError(f"{path}: row 1: no column {wanted!r}. Rename {near!r} to it.")
    found = list(dict.fromkeys(task.targets for task in tasks))  # a subclass's are its parent's
    if len(found) == 1:
        return tasks
    known = {task.targets: task.header for task in registry.TASKS if asked in (None, task.name)}
    kinds = f"both {' and '.join(found)}" if found else f"neither {' nor '.join(known)}"
    kinds = kinds if len(known) > 1 else f"something else than {', '.join(known)}"
    headers = ", or ".join(f"`{header}`" for header in known.values())
    raise TableError(f"{path}: row 1: the columns are of {kinds}. A table has {headers}.")


def _config(task: Task, draft: ConfigDraft, own: OwnTable, target: Path) -> str:
    recipe = draft.recipe
    data = {"root": str(own.path.parent), "csv": own.path.name, "images": own.images, **draft.arguments}
    lines = [
        schema_line(SCHEMA_FILE),
        _comment(f"{own.path}: {task.targets}. Written by `lightning-tasks init`; change what you like."),
        _comment(f"  lightning-tasks fit --config {target}"),
        _comment(
            f"Recipe: {own.wishes.preset}, for {own.wishes.machine}; --preset {_other_presets(own)} writes another."
        ),
        *map(_comment, recipe.about),
        "model:",
        f"  class_path: {task.model.__name__}",
        *_init_args(recipe.model, "  "),
        "data:",
        f"  class_path: {task.datamodule.__name__}",
        "  init_args:",
    ]
    for name, value in data.items():
        lines += _field(name, value, draft.comments.get(name, []), "    ")
    for name, setting in recipe.data.items():
        lines += _field(name, setting.value, [*draft.comments.get(name, []), setting.why], "    ")
    lines.append("trainer:")
    for name, setting in recipe.trainer.items():
        lines += _field(name, setting.value, [setting.why], "  ")
    lines.append("  callbacks:")
    for callback in recipe.callbacks:
        lines += [f"    - class_path: {callback.class_path}", *_init_args(callback.settings, "      ")]
    lines += ["checkpoint:", f"  monitor: {task.model.monitor}", f"  mode: {task.model.mode}"]
    return "\n".join(lines) + "\n"


def _other_presets(own: OwnTable) -> str:
    *most, last = (name for name in get_args(Preset) if name != own.wishes.preset)
    return f"{', '.join(most)} or {last}"


def _init_args(settings: Settings, indent: str) -> list[str]:
    fields = [line for name, (value, why) in settings.items() for line in _field(name, value, [why], f"{indent}  ")]
    return [f"{indent}init_args:", *fields] if fields else []


def _field(name: str, value: Any, comments: Sequence[str], indent: str) -> list[str]:  # noqa: ANN401 - YAML has words
    """Return the lines of a field: its comments above its value."""
    above = [f"{indent}{_comment(line)}" for line in comments if line]
    return [*above, f"{indent}{name}: {yaml_text.dump_in_one_line(value, ascii=False)}"]


def _comment(text: str) -> str:
    """Return one line, whatever stands in the text: a label may hold the end of one, in any script."""
    return f"# {''.join(c if c.isprintable() else '?' for c in text)}"
