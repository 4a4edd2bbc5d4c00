import pytest
import torch
from pytorch_lightning import Trainer

from lightning_tasks import KeypointDataModule, KeypointRegressor, MultiLabelClassifier, MultiLabelDataModule
from lightning_tasks.tasks.registry import task_of
from tests.fakes import write_multilabel, write_points

LABELS = ["fname,labels,is_valid", *(f"{i}.jpg,{'cat' if i % 3 else 'dog bird'},{i >= 6}" for i in range(12))]
POINTS = [
    "fname,is_valid,l_x,l_y,r_x,r_y",
    *(f"{i}.jpg,{i >= 6},{5 + i},6,{9 + i if i % 2 else ''},7" for i in range(12)),
]
POINTS = [line.replace(",,7", ",,") for line in POINTS]  # not annotated


def trained(model, data):
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(max_epochs=1, accelerator="cpu", enable_model_summary=False, num_sanity_val_steps=0, **quiet)
    trainer.fit(model, data)
    return {name: float(value) for name, value in trainer.validate(model, data, verbose=False)[0].items()}


def test_predictions_of_labels_have_the_scores_that_the_validation_logged(tmp_path):
    write_multilabel(tmp_path, LABELS, 12)
    data = MultiLabelDataModule(str(tmp_path), size=32, batch_size=4, num_workers=0)
    model = MultiLabelClassifier(data.vocab, "test_resnet", image_size=data.image_size)
    logged = trained(model, data)
    found = task_of(model).predict_split(model, data)
    assert found.rows.tolist() == list(range(6))
    scores = found.scores()
    for name in ("accuracy", "accuracy_all_negative", "mAP"):
        assert getattr(scores, name) == pytest.approx(logged[f"val/{name}"], abs=1e-6)
    assert found.score() == scores.mAP
    training = task_of(model).predict_split(model, data, "train")
    assert training.probabilities.shape == (4, 3)  # the last, partial batch is dropped


def test_predictions_of_points_have_the_scores_that_the_validation_logged(tmp_path):
    write_points(tmp_path, POINTS, 12)
    data = KeypointDataModule(str(tmp_path), size=(32, 40), batch_size=4, num_workers=0)
    model = KeypointRegressor(data.point_names, "test_resnet", image_size=data.image_size)
    logged = trained(model, data)
    model.train()
    model.head[0].eval()
    found = task_of(model).predict_split(model, data)
    assert (model.training, model.head[0].training, model.head[1].training) == (True, False, True)
    scores = found.scores()
    assert scores.points == 9
    assert found.score() == scores.median_px
    assert scores.mse_norm == pytest.approx(logged["val/loss"], rel=1e-5)
    assert scores.median_px == pytest.approx(logged["val/median_px"], rel=1e-5)
    assert scores.p95_px == pytest.approx(logged["val/p95_px"], rel=1e-5)


def test_one_batch_is_the_first_of_the_training(tmp_path):
    write_multilabel(tmp_path, LABELS, 12)
    data = MultiLabelDataModule(str(tmp_path), size=32, batch_size=4, num_workers=2)
    batch = data.one_batch()
    assert (batch.images.shape, batch.targets.shape) == ((4, 3, 32, 32), (4, 3))
    first = next(iter(data.train_dataloader()))
    assert all(torch.equal(a, b) for a, b in zip(batch, first, strict=True))
