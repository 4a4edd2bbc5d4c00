"""Weights of labels in the training loss: held to torch's and sklearn's, and kept in checkpoints as numbers."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import EMAWeightAveraging
from sklearn.utils.class_weight import compute_class_weight
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from lightning_tasks import MultiClassClassifier, MultiClassDataModule, MultiLabelClassifier, MultiLabelDataModule
from lightning_tasks.errors import ConfigError
from lightning_tasks.tasks.multilabel.label_weights import (
    class_weights,
    count_labels,
    exclusive_weights,
    positive_weights,
)
from lightning_tasks.tasks.multilabel.losses import label_loss
from tests.fakes import write_multilabel

POSITIVE, WEIGHT = torch.tensor([1.0, 3.0, 20.0]), torch.tensor([0.5, 1.0, 1.5])
ASYMMETRIC = ("asymmetric", 0.0, (4.0, 1.0), 0.05)
BCE = ("bce", 0.0, (4.0, 1.0), 0.05)
cells = st.lists(st.tuples(st.floats(-8, 8, width=32), st.sampled_from([0.0, 1.0, -1.0])), min_size=6, max_size=6)


@given(cells)
def test_bce_is_torchs_over_the_cells_that_count(values):
    logits, targets = (torch.tensor(column).reshape(2, 3) for column in zip(*values, strict=True))
    each = binary_cross_entropy_with_logits(logits, targets.clamp(min=0), WEIGHT, None, None, "none", POSITIVE)
    expected = each[targets >= 0].sum() / (targets >= 0).sum().clamp(min=1)
    torch.testing.assert_close(label_loss(*BCE, POSITIVE, WEIGHT)(logits, targets), expected)


@given(cells)
def test_the_asymmetric_loss_weighs_presence_and_label(values):
    logits, targets = (torch.tensor(column).reshape(2, 3) for column in zip(*values, strict=True))
    by_hand = torch.tensor(0.0)
    for c in range(3):
        for row in range(2):
            cell = label_loss(*ASYMMETRIC)(logits[row, c].reshape(1, 1), targets[row, c].reshape(1, 1))
            by_hand += cell * WEIGHT[c] * (POSITIVE[c] if targets[row, c] == 1 else 1) / 2
    torch.testing.assert_close(label_loss(*ASYMMETRIC, POSITIVE, WEIGHT)(logits, targets), by_hand)


@given(cells, st.sampled_from([BCE, ASYMMETRIC]))
def test_what_is_not_known_changes_nothing(values, settings):
    logits, targets = (torch.tensor(column).reshape(2, 3) for column in zip(*values, strict=True))
    unknown = targets < 0
    loss = label_loss(*settings, POSITIVE, WEIGHT)
    logits.requires_grad_()
    value = loss(logits, targets)
    value.backward()
    assert (logits.grad[unknown] == 0).all()
    assert float(value) == float(loss(torch.where(unknown, 7.0, logits), targets))


def test_balanced_weights_are_counted_where_a_label_is_known():
    targets = np.array([[1, 0, 1], [1, 0, -1], [0, 1, -1], [1, 0, 0], [1, 0, -1]], np.float32)
    counts = count_labels(targets)  # 4 of 5, 1 of 5, 1 of 2
    torch.testing.assert_close(positive_weights(counts, "balanced"), torch.tensor([0.25, 4.0, 1.0]))
    torch.testing.assert_close(positive_weights(counts, "sqrt"), torch.tensor([0.5, 2.0, 1.0]))
    shares = torch.tensor([0.8, 0.2, 0.5])
    torch.testing.assert_close(class_weights(counts, "balanced"), (1 / shares) / (1 / shares).mean())
    torch.testing.assert_close(class_weights(counts, "sqrt"), shares**-0.5 / (shares**-0.5).mean())


@given(st.lists(st.integers(0, 3), min_size=4, max_size=60))
def test_of_exactly_one_label_balanced_weights_are_sklearns(labels):
    labels = np.array([*labels, 0, 1, 2, 3])
    counts = count_labels(np.eye(4, dtype=np.float32)[labels])
    expected = compute_class_weight("balanced", classes=np.arange(4), y=labels)
    np.testing.assert_allclose(exclusive_weights(counts, "balanced"), expected, rtol=1e-5)


def test_labels_of_all_images_or_of_none_have_finite_weights():
    targets = np.zeros((3000, 3), np.float32)
    targets[:, 0], targets[0, 1] = 1, 1
    counts = count_labels(targets)
    assert positive_weights(counts, "balanced").tolist() == pytest.approx([0.01, 100, 100])
    for weights in (class_weights(counts, "balanced"), exclusive_weights(counts, "balanced")):
        assert torch.isfinite(weights).all()
        assert (weights > 0).all()


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        (MultiLabelClassifier, {"pos_weight": [1.0, 2.0, 3.0]}, r"model\.pos_weight has 3 values for 2 labels"),
        (MultiLabelClassifier, {"class_weight": [1.0]}, r"model\.class_weight has 1 values for 2 labels"),
        (MultiLabelClassifier, {"pos_weight": 0.0}, r"model\.pos_weight has 0; a weight must be above 0"),
        (MultiLabelClassifier, {"pos_weight": [1.0, float("nan")]}, r"model\.pos_weight has nan"),
        (MultiLabelClassifier, {"class_weight": [1.0, float("inf")]}, r"model\.class_weight has inf"),
        (MultiLabelClassifier, {"pos_weight": "auto"}, r"model\.pos_weight is 'auto'; it is one of balanced, sqrt"),
        (MultiClassClassifier, {"class_weight": [1.0, -1.0]}, r"model\.class_weight has -1"),
    ],
)
def test_weights_that_cannot_be_are_told(model, settings, message):
    with pytest.raises(ConfigError, match=message):
        model(["a", "b"], "test_resnet", image_size=(32, 32), **settings)


# Of six training images four have cats, two dogs; the last two rows validate.
LINES = ["fname,labels,is_valid", *(f"{i}.jpg,{'dog' if i % 3 == 0 else 'cat'},{i >= 6}" for i in range(8))]
SMALL = {"size": 32, "num_workers": 0, "batch_size": 3, "cache": "none"}


def trained(root, kind, data_kind, *callbacks, **settings):
    torch.manual_seed(0)
    data = data_kind(str(root), **SMALL)
    model = kind(["cat", "dog"], "test_resnet", image_size=(32, 32), lr=1e-3, **settings)
    trainer = Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
                      enable_progress_bar=False, callbacks=list(callbacks), default_root_dir=root)  # fmt: skip
    trainer.fit(model, data)
    trainer.save_checkpoint(root / "last.ckpt")
    return model


def test_balanced_labels_train_as_the_numbers_do_and_are_kept_as_numbers(tmp_path, capsys):
    write_multilabel(tmp_path, LINES)
    ends = [
        trained(tmp_path, MultiLabelClassifier, MultiLabelDataModule, *callbacks, **settings)
        for settings in (
            {"pos_weight": "balanced", "class_weight": "sqrt"},
            {"pos_weight": [0.5, 2.0], "class_weight": [0.8284, 1.172]},
            {},
        )
        for callbacks in ((), (EMAWeightAveraging(decay=0.5),))
    ]
    assert "pos_weight balanced: 0.5 (cat) to 2 (dog)" in capsys.readouterr().out
    of_words, averaged, of_numbers, averaged_numbers, plain, _ = (model.state_dict() for model in ends)
    for a, b in ((of_words, of_numbers), (averaged, averaged_numbers)):
        assert all(torch.equal(value, b[name]) for name, value in a.items())
    assert of_words.keys() == plain.keys()  # weights of labels are none of the network
    assert any((value != plain[name]).any() for name, value in of_words.items())
    assert ends[0].hparams["pos_weight"] == [0.5, 2.0]


def test_a_checkpoint_needs_no_data_to_be_loaded_and_is_scored_by_the_plain_loss(tmp_path):
    write_multilabel(tmp_path, LINES)
    model = trained(tmp_path, MultiLabelClassifier, MultiLabelDataModule, pos_weight="balanced").eval()
    loaded = MultiLabelClassifier.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=True).eval()
    assert loaded.hparams["pos_weight"] == [0.5, 2.0]
    data = MultiLabelDataModule(str(tmp_path), **SMALL)
    data.setup("fit")
    batch = next(iter(data.val_dataloader()))
    with torch.no_grad():
        loss, probabilities = loaded._shared_step(batch)
        outputs = model(batch.images)
    torch.testing.assert_close(loss, binary_cross_entropy_with_logits(outputs, batch.targets))
    torch.testing.assert_close(probabilities, outputs.sigmoid())
    weighted = binary_cross_entropy_with_logits(outputs, batch.targets, pos_weight=torch.tensor([0.5, 2.0]))
    torch.testing.assert_close(loaded.training_loss(outputs, batch), weighted)


def test_of_exactly_one_label_cross_entropy_is_weighted(tmp_path):
    write_multilabel(tmp_path, LINES)
    model = trained(tmp_path, MultiClassClassifier, MultiClassDataModule, class_weight="balanced")
    assert model.hparams["class_weight"] == [0.75, 1.5]
    loaded = MultiClassClassifier.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=True)
    data = MultiClassDataModule(str(tmp_path), **SMALL)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    outputs = torch.tensor([[1.0, -2.0], [0.5, 0.0], [-3.0, 1.0]])
    each = cross_entropy(outputs, batch.targets.argmax(1), reduction="none")
    expected = (each * torch.tensor([0.75, 1.5])[batch.targets.argmax(1)]).mean()
    torch.testing.assert_close(loaded.training_loss(outputs, batch), expected)
    torch.testing.assert_close(loaded.evaluation_loss(outputs, batch), each.mean())


def test_balancing_without_our_data_is_told(tmp_path):
    model = MultiLabelClassifier(["cat", "dog"], "test_resnet", image_size=(32, 32), lr=1e-3, pos_weight="balanced")
    trainer = Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
                      enable_progress_bar=False, default_root_dir=tmp_path)  # fmt: skip
    write_multilabel(tmp_path, LINES)
    data = MultiLabelDataModule(str(tmp_path), **SMALL)
    data.setup("fit")
    with pytest.raises(ConfigError, match=r"model\.pos_weight: labels are balanced by .* Give numbers"):
        trainer.fit(model, data.train_dataloader())


def test_a_label_without_an_image_is_told_in_the_line(tmp_path, capsys):
    write_multilabel(tmp_path, LINES)
    torch.manual_seed(0)
    data = MultiLabelDataModule(str(tmp_path), vocab=["cat", "dog", "unicorn"], **SMALL)
    model = MultiLabelClassifier(data.vocab, "test_resnet", image_size=(32, 32), lr=1e-3, pos_weight="balanced")
    trainer = Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
                      enable_progress_bar=False, default_root_dir=tmp_path, limit_train_batches=1)  # fmt: skip
    with pytest.warns(UserWarning, match=r"'unicorn' has 0 training images"):
        trainer.fit(model, data)
    told = "pos_weight balanced: 0.5 (cat) to 5 (unicorn); no training image has 'unicorn', weighted as if one had"
    assert told in capsys.readouterr().out
