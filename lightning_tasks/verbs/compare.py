"""Two checkpoints on the same images: is one better, and where?"""

import warnings
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from lightning_tasks.atomic_write import require_place
from lightning_tasks.checkpoint import data_settings, read_checkpoint
from lightning_tasks.data.datamodule import ImageDataModule
from lightning_tasks.deploy.predictor import model_of
from lightning_tasks.errors import ConfigError, LightningTasksWarning
from lightning_tasks.reports.bootstrap import LEVEL, check_level
from lightning_tasks.reports.comparison import Comparison, Shown, compare_scores, rows_that_differ
from lightning_tasks.reports.gallery import Card, ReadReduced, thumbnail
from lightning_tasks.reports.page import render_template, write_page
from lightning_tasks.tasks import registry
from lightning_tasks.tasks.registry import task_of
from lightning_tasks.tasks.split_predictions import Split, SplitPredictions
from lightning_tasks.verbs.predictions import predictions_of, tables_of
from lightning_tasks.verbs.report import read_reduced

_TEMPLATE = "compare.html.j2"
_TASKS = Path(registry.__file__).parent


def run(
    trainer: pl.Trainer,
    model: pl.LightningModule,
    datamodule: ImageDataModule,
    ckpt_path: str,
    other: str | None = None,
    split: Split = "valid",
    ci: float = LEVEL,
    output: str = "compare.html",
    n: int = 24,
) -> None:
    """Score two checkpoints on the same images, and write a page of those in which they differ most.

    Args:
        ckpt_path: the first checkpoint, A, whose data it is; options of model and data are A's.
        other: the second, B, of the same task and names; its images are prepared as in its own training.
        split: valid or test.
        ci: the level of the intervals of the differences, by bootstrap.
        output: the page that is written.
        n: how many images at most are shown of those in which B is better, and of those in which it is worse.
    """
    if other is None:
        raise ConfigError("compare takes two checkpoints: lightning-tasks compare A.ckpt B.ckpt")
    if n < 1:
        raise ConfigError(f"--n is {n}; it must be at least 1.")
    if split == "train":
        raise ConfigError("compare --split is valid or test: images of train would be augmented.")
    check_level(ci)
    path, files = Path(output), (Path(ckpt_path), Path(other))
    require_place(path, [*files, *tables_of(datamodule)])
    model_b, datamodule_b = _second(files, model, datamodule, split)
    a = predictions_of(trainer, model, datamodule, ckpt_path, split)
    if split == "valid":
        _doubt_second(files[1], datamodule)
    model_b.to(trainer.strategy.root_device)
    with trainer.strategy.precision_plugin.forward_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore", LightningTasksWarning)  # of the tables: it was told
        b = task_of(model_b).predict_split(model_b, datamodule_b, split)
    if a.paths != b.paths:
        raise ConfigError(
            "Not all images can be read for both: take the bad ones out; `lightning-tasks check` names them."
        )
    b = b.on_scale_of(a)
    names_a, names_b = (getattr(one, task_of(model).names_key) for one in (model, model_b))
    order = torch.tensor([names_b.index(name) for name in names_a])

    def scores_b(counts: torch.Tensor) -> dict[str, torch.Tensor]:
        found = b.resampled(counts)
        return {name: value[order] if value.ndim > 1 else value for name, value in found.items()}

    found = compare_scores(a.resampled, scores_b, len(a.rows), a.groups, ci, a.lower_is_better)
    print("\n".join(f"{name}  {file}" for name, file in zip("AB", files, strict=True)))
    print("\n".join(found.table()))
    write_page(path, comparison_page(found, a, b, files, names_a, split, n))
    print(f"comparison       {output}")


def _second(
    files: tuple[Path, Path], model: pl.LightningModule, datamodule: ImageDataModule, split: Split
) -> tuple[pl.LightningModule, ImageDataModule]:
    """Return the second checkpoint's model, and the first one's data as that model is to see it.

    Raises:
        LightningTasksError: it cannot be read, or is of another task, or of other names.
    """
    content = read_checkpoint(files[1])
    second = model_of(content, files[1])
    task = task_of(model)
    if task_of(second) is not task:
        raise ConfigError(
            f"{files[0]} is of the task {task.name}, {files[1]} of {task_of(second).name}: take two of one."
        )
    names = [getattr(one, task.names_key) for one in (model, second)]
    if set(names[0]) != set(names[1]):
        alone = [sorted(set(one) - set(other)) for one, other in (names, names[::-1])]
        told = [f"{file} alone has {', '.join(some[:4])}" for file, some in zip(files, alone, strict=True) if some]
        raise ConfigError(
            f"The two do not know the same {task.targets}: {'; '.join(told)}. Take two of the same names."
        )
    stored = data_settings(content)
    own = {"size": second.hparams["image_size"], "decode_side": stored.get("decode_side"),
           "val_xtra": stored.get("val_xtra", task.val_xtra), task.names_key: list(names[1])}  # fmt: skip
    given = {name: value for name, value in datamodule.hparams.items() if not name.startswith("_")}
    settings: dict[str, Any] = given | {name: value for name, value in own.items() if name in given}
    for name in ("num_workers", "allow_outside"):
        settings[name] = getattr(datamodule, name)
    made = type(datamodule)(**settings)
    made.splitter = datamodule.splitter
    return second, made


def _doubt_second(file: Path, datamodule: ImageDataModule) -> None:
    """Warn where the second may have been trained on what validates here."""
    content = read_checkpoint(file)
    datamodule.doubt_split(content, str(file))
    used, table = datamodule.hparams, data_settings(content).get("csv")
    if table is not None and table != used.get("csv"):
        message = (
            f"{file} was trained on another table than it is scored on ({table} in place of {used['csv']}): it may "
            "have been trained on these images, and seem better than it is."
        )
        warnings.warn(message, LightningTasksWarning, stacklevel=2)


def comparison_page(
    found: Comparison,
    a: SplitPredictions,
    b: SplitPredictions,
    files: tuple[Path, Path],
    names: list[str],
    split: Split,
    n: int,
) -> str:
    """Return the page of a comparison, with at most n images in which B is better, and n in which it is worse.

    Args:
        found: the differences of the scores.
        a: what the first predicts.
        b: what the second predicts for the same images.
        files: the two checkpoints.
        names: of the outputs, in the order of `found`.
        split: which was predicted.
        n: see above.
    """
    read: ReadReduced = partial(read_reduced, white_level=a.white_level)
    losses_a, losses_b = a.losses(), b.losses()

    def shown(row: int) -> Shown:
        image, group = thumbnail(a.paths[row], read), a.groups[row] if a.groups else ""
        card_a, card_b = (Card(a.paths[row], image, "", group, of.card_details(row)) for of in (a, b))
        return Shown(card_a, card_b, float(losses_a[row] - losses_b[row]))

    better, worse = ([shown(row) for row in rows] for rows in rows_that_differ(losses_a, losses_b, n))
    return render_template(
        _TEMPLATE,
        [_TASKS],
        found=found,
        files=files,
        names=names,
        split="validation" if split == "valid" else split,
        n_images=len(a.rows),
        card=a.card,
        lists=[("better", "B is better", better), ("worse", "B is worse", worse)],
    )
