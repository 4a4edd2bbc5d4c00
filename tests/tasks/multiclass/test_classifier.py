"""Exactly one label an image."""

from pathlib import Path

import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss

from lightning_tasks import MultiClassClassifier, MultiLabelClassifier
from lightning_tasks.batch import TargetBatch
from lightning_tasks.errors import CheckpointError, ConfigError
from lightning_tasks.models.backbone import weights_follow
from lightning_tasks.tasks.multiclass.classifier import MostCommonAccuracy, OneLabelAccuracy
from lightning_tasks.tasks.multiclass.task import class_losses
from lightning_tasks.tasks.registry import task_of

VOCAB = ["a", "b", "c"]
RECORDED = Path(__file__).parents[2] / "recorded"


def new_model(**settings):
    torch.manual_seed(0)
    return MultiClassClassifier(VOCAB, "test_resnet", image_size=(32, 48), **settings)


def new_batch(n=5):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (n, 3, 32, 48), dtype=torch.uint8, generator=generator)
    return TargetBatch(images, torch.eye(3)[torch.arange(n) % 3], torch.arange(n))


def test_probabilities_are_a_softmax_and_the_loss_is_minus_its_logarithm():
    model, batch = new_model(temperature=2.0, label_smoothing=0.3), new_batch()
    model.eval()
    with torch.no_grad():
        wanted = (model(batch.images) / 2).softmax(1)
        loss, probabilities = model._shared_step(batch)
    torch.testing.assert_close(probabilities, wanted)
    assert loss.item() == pytest.approx(-(wanted * batch.targets).sum(1).log().mean().item(), rel=1e-5)
    assert torch.equal(model.predicted(probabilities).float().argmax(1), wanted.argmax(1))
    logits = torch.randn(5, 3)
    moved = batch.targets * 0.7 + 0.3 / 3
    by_hand = -(moved * logits.log_softmax(1)).sum(1).mean().item()
    assert model.training_loss(logits, batch).item() == pytest.approx(by_hand, rel=1e-5)


def test_the_metrics_are_of_the_likeliest_label():
    assert set(new_model().metrics["val"].keys()) == {"val/mAP", "val/accuracy", "val/accuracy_most_common"}


def test_the_likeliest_label_counts():
    torch.manual_seed(0)
    probabilities, truth = torch.rand(50, 4).softmax(1), torch.randint(0, 4, (50,))
    one_hot = torch.nn.functional.one_hot(truth, 4)
    accuracy, commonest = OneLabelAccuracy(4), MostCommonAccuracy(4)
    for rows in (slice(0, 30), slice(30, 50)):
        accuracy.update(probabilities[rows], one_hot[rows])
        commonest.update(probabilities[rows], one_hot[rows])
    assert accuracy.compute().item() == pytest.approx(accuracy_score(truth, probabilities.argmax(1)))
    assert commonest.compute().item() == pytest.approx(float(truth.bincount().max()) / 50)


def test_an_images_loss_is_the_cross_entropy():
    shares, truth = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]]), torch.tensor([[1, 0, 0], [0, 1, 0]])
    wanted = [log_loss([label], row[None], labels=[0, 1, 2]) for label, row in zip([0, 1], shares.numpy(), strict=True)]
    assert class_losses(shares, truth).tolist() == pytest.approx(wanted, rel=1e-5)


def test_one_label_alone_is_refused():
    with pytest.raises(ConfigError, match="the images for training have 'a' alone"):
        MultiClassClassifier(["a"], "test_resnet", image_size=(32, 48))


def test_any_number_of_labels_names_the_class_to_take():
    with pytest.raises(ConfigError, match="take MultiClassClassifier"):
        MultiLabelClassifier(VOCAB, "test_resnet", image_size=(32, 48), loss="cross_entropy")


def test_settings_of_any_number_of_labels_are_refused_but_in_old_checkpoints():
    with pytest.raises(TypeError, match="threshold"):
        new_model(threshold=0.3)
    old = {"threshold": 0.3, "asymmetric_gamma": (4.0, 1.0), "asymmetric_clip": 0.05, "loss": "cross_entropy"}
    with weights_follow():
        model = new_model(**old)
    assert model.thresholds is None
    kept = set(model.hparams)
    assert "loss" in kept
    assert not {"threshold", "asymmetric_gamma", "asymmetric_clip"} & kept


def test_a_checkpoints_task_is_told_by_its_loss():
    assert task_of(new_model().hparams).name == "multiclass"
    assert task_of(new_model()).name == "multiclass"
    assert task_of({"vocab": VOCAB, "loss": "bce"}).name == "multilabel"
    assert task_of({"vocab": VOCAB}).name == "multilabel"  # of before there was a choice
    assert task_of({"point_names": VOCAB}).name == "keypoints"


def test_with_the_mirrored_image_the_probabilities_are_averaged():
    model, batch = new_model(head="linear", flip_tta=True, temperature=0.5).eval(), new_batch()
    torch.nn.init.normal_(model.head[-1].weight, std=0.1)
    with torch.no_grad():
        loss, found = model._shared_step(batch)
        views = [(model(images) / 0.5).softmax(1) for images in (batch.images, batch.images.flip(3))]
        by_uncalibrated = model.activation(model.uncalibrated(batch.images) / 0.5)
    torch.testing.assert_close(found, sum(views) / 2)
    torch.testing.assert_close(by_uncalibrated, found)
    assert loss.item() == pytest.approx(class_losses(found, batch.targets).mean().item(), rel=1e-4)


def test_a_checkpoint_of_the_other_kind_of_labels_is_refused():
    one, many = new_model(), MultiLabelClassifier(VOCAB, "test_resnet", image_size=(32, 48))
    stored = {model: {"hyper_parameters": dict(model.hparams)} for model in (one, many)}
    one.on_load_checkpoint(stored[one])
    many.on_load_checkpoint(stored[many])
    with pytest.raises(CheckpointError, match="loss is bce, which is not MultiClassClassifier's"):
        one.on_load_checkpoint(stored[many])
    with pytest.raises(CheckpointError, match="loss is cross_entropy, which is not MultiLabelClassifier's"):
        many.on_load_checkpoint(stored[one])


def test_an_old_checkpoint_of_any_number_of_labels_class_is_loaded():
    path = RECORDED / "runs" / "one_label" / "version_0" / "checkpoints" / "best.ckpt"
    model = MultiClassClassifier.load_from_checkpoint(path)
    assert model.hparams["loss"] == "cross_entropy"
    with pytest.raises(CheckpointError, match="take MultiClassClassifier"):
        MultiLabelClassifier.load_from_checkpoint(path)
