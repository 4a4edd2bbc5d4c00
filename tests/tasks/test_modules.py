import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer
from sklearn.metrics import average_precision_score
from torch.nn import functional as F
from torch.utils.data import DataLoader

from lightning_tasks import KeypointRegressor, MultiLabelClassifier
from lightning_tasks.batch import TargetBatch
from lightning_tasks.errors import CheckpointError, ConfigError
from lightning_tasks.tasks.keypoints.dataset import KeypointBatch


def images(n=4, size=(32, 32)):
    return torch.randint(0, 256, (n, 3, *size), dtype=torch.uint8)


@pytest.fixture
def classifier():
    torch.manual_seed(0)
    return MultiLabelClassifier(["a", "b", "c"], backbone="test_resnet", image_size=(32, 32)).eval()


@pytest.fixture
def regressor():
    torch.manual_seed(0)
    return KeypointRegressor(["l", "r"], backbone="test_resnet", image_size=(24, 32)).eval()


def test_the_loss_is_binary_cross_entropy_by_hand(classifier):
    targets = torch.tensor([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]]).float()
    batch = TargetBatch(images(), targets, torch.arange(4))
    p = classifier(batch.images).sigmoid()
    by_hand = -torch.where(targets == 1, p, 1 - p).log().mean()
    loss, probabilities = classifier._shared_step(batch)
    assert loss.item() == pytest.approx(by_hand.item(), rel=1e-5)
    torch.testing.assert_close(probabilities, p)


def test_metrics_equal_fastais_definition_and_scikit_learns():
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, (50, 4))
    targets[:, 3] = 0  # a class without a positive has no average precision
    probabilities = np.round(rng.random((50, 4)), 1).astype(np.float32)  # with ties, and values on the threshold
    metrics = MultiLabelClassifier(list("abcd"), "test_resnet", image_size=(32, 32)).metrics["val"]
    for rows in (slice(0, 30), slice(30, 50)):
        metrics.update(torch.from_numpy(probabilities[rows]), torch.from_numpy(targets[rows]))
    values = {name: value.item() for name, value in metrics.compute().items()}
    assert values["val/accuracy"] == pytest.approx(((probabilities > 0.5) == targets).mean())
    assert values["val/accuracy_all_negative"] == pytest.approx((targets == 0).mean())
    oracle = average_precision_score(targets[:, :3], probabilities[:, :3], average="macro")
    assert values["val/mAP"] == pytest.approx(oracle, abs=1e-6)


def test_points_lie_within_their_range(regressor):
    points = regressor(images(3, (24, 32)))
    assert points.shape == (3, 2, 2)
    assert points.abs().max() <= 1
    wide = KeypointRegressor(["p"], backbone="test_resnet", image_size=(24, 32), y_range=(-2.0, 0.5)).eval()
    logits = wide.head(wide.backbone(given := images(3, (24, 32))))
    torch.testing.assert_close(wide(given), (logits.sigmoid() * 2.5 - 2).view(3, 1, 2))


def test_the_keypoint_loss_is_mse_over_visible_points(regressor):
    visible = torch.tensor([[True, False], [True, True], [False, False]])
    targets = torch.rand(3, 2, 2) * visible[..., None]
    batch = KeypointBatch(images(3, (24, 32)), targets, visible, torch.full((3, 2), 100.0), torch.arange(3))
    loss, points = regressor._shared_step(batch)
    assert loss.item() == pytest.approx(F.mse_loss(points[visible], targets[visible]).item(), rel=1e-6)
    unseen = batch._replace(visible=torch.zeros_like(visible))
    assert regressor._shared_step(unseen)[0].item() == 0


def test_validation_scores_are_over_all_visible_points(regressor):
    batches = []
    for count, visible in ((3, [True, True]), (2, [True, False])):
        targets = torch.rand(count, 2, 2)
        seen = torch.tensor([visible] * count)
        size = torch.full((count, 2), 100.0)
        batches.append(KeypointBatch(images(count, (24, 32)), targets, seen, size, torch.arange(count)))
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    (scores,) = trainer.validate(regressor, DataLoader(batches, batch_size=None), verbose=False)
    with torch.no_grad():
        differences = torch.cat([(regressor(b.images) - b.points_norm)[b.visible] for b in batches])
    assert scores["val/loss"] == pytest.approx(differences.square().mean().item(), rel=1e-5)
    assert scores["val/median_px"] == pytest.approx(np.median(differences.norm(dim=1)) * 50, rel=1e-5)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_losses_and_predictions_are_float32_under_autocast(classifier, regressor, precision):
    labels = TargetBatch(images(), torch.ones(4, 3), torch.arange(4))
    points = KeypointBatch(
        images(4, (24, 32)), torch.zeros(4, 2, 2), torch.ones(4, 2).bool(), torch.ones(4, 2), torch.arange(4)
    )
    for model, batch in ((classifier, labels), (regressor, points)):
        with torch.autocast("cpu", dtype=precision):
            assert all(tensor.dtype == torch.float32 for tensor in model._shared_step(batch))


def test_weights_are_channels_last(classifier):
    assert all(
        parameter.is_contiguous(memory_format=torch.channels_last)
        for parameter in classifier.parameters()
        if parameter.ndim == 4
    )


def test_where_the_weights_came_from_is_not_kept(classifier):
    assert not {"pretrained", "weights"} & set(classifier.hparams)
    assert classifier.hparams["vocab"] == ["a", "b", "c"]


def test_a_model_without_names_is_told_which_data_it_needs():
    with pytest.raises(ConfigError, match="data module with labels"):
        MultiLabelClassifier([], backbone="test_resnet")
    with pytest.raises(ConfigError, match="data module with points"):
        KeypointRegressor([], backbone="test_resnet")


def test_a_checkpoint_of_other_labels_is_refused(classifier, regressor):
    classifier.on_load_checkpoint({"hyper_parameters": {"vocab": ["a", "b", "c"]}})
    with pytest.raises(CheckpointError, match=r"3 labels \(a, b, d\), the data has 3 \(a, b, c\)"):
        classifier.on_load_checkpoint({"hyper_parameters": {"vocab": ["a", "b", "d"]}})
    with pytest.raises(CheckpointError, match="backbone is 'resnet50', the model's 'test_resnet'"):
        classifier.on_load_checkpoint({"hyper_parameters": {"vocab": ["a", "b", "c"], "backbone": "resnet50"}})
    with pytest.raises(CheckpointError, match="2 points"):
        regressor.on_load_checkpoint({"hyper_parameters": {"point_names": ["r", "l"]}})
