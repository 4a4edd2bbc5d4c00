"""A task that the verbs have never heard of: registered, it is drafted, shown, predicted, drawn and reported."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from pytorch_lightning import LightningDataModule, LightningModule

from lightning_tasks.data.images.decode import read_image
from lightning_tasks.errors import ConfigError, TableError
from lightning_tasks.reports.gallery import make_gallery
from lightning_tasks.reports.grid import batch_grid, grid, loss_lines
from lightning_tasks.reports.page import render_page
from lightning_tasks.tasks import registry
from lightning_tasks.tasks.config_draft import ConfigDraft
from lightning_tasks.tasks.split_predictions import SplitPredictions
from lightning_tasks.tasks.task import Task
from lightning_tasks.trainer import Trainer
from lightning_tasks.verbs.init import init
from tests.fakes import write_image

N = 4
PAGE = """{% extends "base.html.j2" %}
{% block subtitle %}brightness{% endblock %}
{% block scores %}<p>mean error {{ error|number(1) }}</p>{% endblock %}
{% block details %}<p>off by {{ card.details }}</p>{% endblock %}
"""


class LevelBatch(NamedTuple):
    images: torch.Tensor


class Levels(LightningDataModule):
    """Images, and how bright they are: the table says it wrongly of the last one."""

    def __init__(self, folder):
        super().__init__()
        self.csv = folder / "levels.csv"
        self.paths = tuple(folder / f"{i}.png" for i in range(N))
        for i, path in enumerate(self.paths):
            write_image(path, (40, 60), seed=i)
        self.images = torch.stack([torch.from_numpy(read_image(path)).permute(2, 0, 1) for path in self.paths])
        self.truth = self.images.float().mean((1, 2, 3)) + torch.tensor([0.0, 0, 0, 60])
        self.train_set = None

    def one_batch(self):
        return LevelBatch(self.images)


class LevelModel(LightningModule):
    """Predicts how bright an image is, times a weight."""

    monitor, mode = "val/error", "min"

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(0.5))

    def forward(self, images):
        return self.weight * images.float().mean((1, 2, 3))


@dataclass(frozen=True, kw_only=True)
class LevelPredictions(SplitPredictions):
    predicted: torch.Tensor
    truth: torch.Tensor
    template: Path

    def losses(self):
        return (self.predicted - self.truth).abs()

    def score(self):
        return float(self.losses().mean())

    def draw(self, rows, losses=()):
        figure, axes = grid(self.images(rows), 0.4)
        for ax, line, level in zip(axes, loss_lines(losses, len(axes)), self.predicted[rows].tolist(), strict=True):
            ax.set_xlabel(f"{line}{level:.0f}")
        return figure

    def write_csv(self, path, *, excel=False):
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([["fname", "level"], *zip(self.paths, self.predicted.tolist(), strict=True)])
        return ["'level' is how bright it is"]

    def report(self, run, split, read, ci=None):
        details = [f"{loss:.0f}" for loss in self.losses().tolist()]
        gallery = make_gallery(self.paths, self.groups, self.losses(), read, details.__getitem__)
        return render_page(self.template, run, split, gallery, error=self.score())


class Brightness(Task):
    name = "brightness"
    names_key = "levels"
    datamodule = Levels
    model = LevelModel
    targets = "levels"
    header = "fname,level"

    def __init__(self, template):
        self.template = template

    def recognises(self, header):
        return "level" in header

    def draft_config(self, table):
        return ConfigDraft({"size": 8}, {"size": ["eight will do"]})

    def draw_batch(self, batch, datamodule, originals=False):
        return batch_grid(batch.images, [], 0.3)[0]

    def predict_split(self, model, datamodule, split="valid"):
        with torch.inference_mode():
            predicted = model(datamodule.images)
        return LevelPredictions(
            rows=torch.arange(N), paths=datamodule.paths, groups=(), predicted=predicted, truth=datamodule.truth,
            template=self.template,
        )  # fmt: skip


Brightness.__abstractmethods__ = frozenset()  # of a checkpoint nothing is handed on here


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A Trainer, a model, its data and its checkpoint, in the current folder."""
    monkeypatch.chdir(tmp_path)
    template = tmp_path / "tasks" / "brightness" / "page.html.j2"
    template.parent.mkdir(parents=True)
    template.write_text(PAGE)
    others = [task for task in registry.TASKS if task.name != "values"]  # which takes any column of numbers
    monkeypatch.setattr(registry, "TASKS", (*others, Brightness(template)))
    torch.save({"state_dict": {"weight": torch.tensor(1.0)}, "hyper_parameters": {}}, "a.ckpt")
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False)
    return trainer, LevelModel(), Levels(tmp_path / "data")


def test_it_is_predicted_into_a_csv_with_the_checkpoints_weights(run, capsys):
    trainer, model, data = run
    found = trainer.get_preds(model, data, "a.ckpt", output="preds.csv")
    assert found.score() == pytest.approx(15)
    with Path("preds.csv").open(newline="") as file:
        levels = [float(row["level"]) for row in csv.DictReader(file)]
    assert levels == pytest.approx([read_image(path).mean() for path in data.paths], rel=1e-5)
    assert "columns          'level' is how bright it is" in capsys.readouterr().out


def test_its_worst_results_are_drawn_and_listed(run, capsys):
    trainer, model, data = run
    trainer.show_results(model, data, "a.ckpt", output="worst.png", n=2, worst=True)
    assert f"loss 60.0000     {data.paths[3]}" in capsys.readouterr().out
    assert read_image(Path("worst.png")).std() > 5


def test_it_has_a_report(run):
    trainer, model, data = run
    trainer.report(model, data, "a.ckpt", output="page.html")
    page = Path("page.html").read_text()
    assert "brightness, scored on the 4 images of the validation split" in page
    assert "mean error 15.0" in page
    worst = page[page.index('id="worst"') :]
    assert worst.index("off by 60") < worst.index("off by 0")


def test_its_batches_are_drawn(run):
    trainer, _, data = run
    trainer.show_batch(None, data, output="batch.png", n=3)
    assert np.array_equal(np.array(read_image(Path("batch.png")).shape[1:]), [990, 3])  # three of 3 inches at 110 dpi


def test_what_it_does_not_offer_is_told(run):
    trainer, model, data = run
    with pytest.raises(ConfigError, match="explains a label of a classifier; this is a LevelModel"):
        trainer.show_results(model, data, "a.ckpt", grad_cam="dog")
    with pytest.raises(ConfigError, match="Thresholds are for images with any number of labels"):
        trainer.thresholds(model, data, "a.ckpt")


def test_its_table_gets_a_config(run, capsys):
    data = run[2]
    data.csv.write_text("fname,level\n0.png,1\nnone.png,2\n")
    init(str(data.csv))
    said = capsys.readouterr().out
    assert "levels.yaml  (levels, 2 images)" in said
    assert "1 of the 2 images, such as none.png in" in said
    text = Path("levels.yaml").read_text()
    for line in ("class_path: LevelModel", "class_path: Levels", "# eight will do", "monitor: val/error", "mode: min"):
        assert line in text
    data.csv.write_text("fname,labels,level\n0.png,a,1\n")
    with pytest.raises(ConfigError, match="is there already"):
        init(str(data.csv))
    with pytest.raises(
        TableError, match=r"both labels and levels\. A table has `fname,labels`, .*, or `fname,level`\."
    ):
        init(str(data.csv), force=True)
