"""Points outside their images: scored by every door, and not trained on."""

import csv

import albumentations as A
import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer

from lightning_tasks import KeypointDataModule, KeypointRegressor
from lightning_tasks.data.transforms.compose import compose_points
from lightning_tasks.errors import LightningTasksWarning
from lightning_tasks.tasks.keypoints.predictions import predict_points
from lightning_tasks.verbs.show_results import show_results
from tests.fakes import write_points

# The images are of 32×24 pixels, the model says their centre: (15.5, 11.5). One point is off by each of these.
ERRORS_PX = (2.0, 4.0, 40.0, 50.0)  # the last two lie outside; the median of all is 22, of those inside 3


class Centre(KeypointRegressor):
    def forward(self, images):
        return torch.zeros(len(images), 1, 2) - torch.tensor([1 / 32, 1 / 24])


@pytest.fixture
def data(tmp_path):
    validation = [f"{i}.jpg,val,{15.5 + error},11.5" for i, error in enumerate(ERRORS_PX)]
    training = [f"{i}.jpg,train,{i},6" for i in range(4, 8)]
    training[1] = "5.jpg,train,300,6"
    write_points(tmp_path, ["fname,split,nose_x,nose_y", *validation, *training])
    return KeypointDataModule(str(tmp_path), size=(24, 32), num_workers=0, batch_size=4, cache="none")


@pytest.fixture
def model():
    return Centre(["nose"], "test_resnet", image_size=(24, 32), normalize_by=None)


TOLD = (
    r"points\.csv: 3 annotated points in 3 rows lie outside their images, first row 4 "
    r"\(2\.jpg: nose at \(55\.5, 11\.5\), 32×24 pixels\): they count in the scores, and training leaves them out"
)


def test_scores_are_over_all_annotated_points(data, model):
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    with pytest.warns(LightningTasksWarning, match=TOLD):
        (scores,) = trainer.validate(model, data, verbose=False)
    assert scores["val/median_px"] == pytest.approx(22, abs=1e-3)
    assert scores["val/p95_px"] == pytest.approx(np.quantile(ERRORS_PX, 0.95), abs=1e-3)
    squares = np.square(np.array(ERRORS_PX) * 2 / 32)
    assert scores["val/loss"] == pytest.approx(squares.mean() / 2, rel=1e-4)


def test_predictions_figures_and_csv_have_all_annotated_points(data, model, tmp_path):
    with pytest.warns(LightningTasksWarning, match=TOLD):
        found = predict_points(model, data)
    assert found.visible.all()
    np.testing.assert_allclose(found.targets_px[:, 0, 0], 15.5 + np.array(ERRORS_PX), atol=1e-4)
    scores = found.scores()
    assert (scores.points, scores.pck_5px) == (4, 0.5)
    assert scores.median_px == pytest.approx(22, abs=1e-3)
    assert found.write_csv(tmp_path / "p.csv") == []
    with (tmp_path / "p.csv").open(newline="") as file:
        assert [row["nose_x_annotated"] for row in csv.DictReader(file)] == ["17.50", "19.50", "55.50", "65.50"]
    shown = show_results(found, 4, worst=True)
    assert [path.name for path in shown.paths] == ["3.jpg", "2.jpg", "1.jpg", "0.jpg"]
    for ax in shown.figure.axes:
        assert ax.get_xlim() == (-0.5, 31.5)  # the image is not made small for a point outside
        assert ax.get_ylim() == (23.5, -0.5)


def test_training_masks_what_lies_outside(data):
    with pytest.warns(LightningTasksWarning, match=TOLD):
        data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch.visible[batch.rows == 1].tolist() == [[False]]
    assert batch.visible.sum() >= 2


def test_an_epoch_whose_crops_hide_every_point_is_told(data, model):
    corner = compose_points(
        [A.Crop(24, 0, 32, 8), A.Resize(24, 32)]
    )  # of 32×24 pixels the upper right; points are left
    data.train_transform = corner
    trainer = Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, use_distributed_sampler=False, limit_val_batches=0,
    )  # fmt: skip
    with pytest.warns(LightningTasksWarning, match=r"No image of epoch 0 showed an annotated point after augmentation"):
        trainer.fit(KeypointRegressor(["nose"], "test_resnet", image_size=(24, 32), lr=1e-3), data)
