"""The heads for labels beside fastai's, and averaging with the mirrored image."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional as F

from lightning_tasks import MultiLabelClassifier
from lightning_tasks.batch import TargetBatch
from lightning_tasks.errors import BackboneError, CheckpointError
from lightning_tasks.models.heads import linear_head
from lightning_tasks.tasks.multilabel.attention import ClassAttentionHead, LastMap


def images(n, height=64, width=64):
    return torch.randint(0, 256, (n, 3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_a_linear_head_begins_with_one_label_an_image():
    head = linear_head(8, 20).eval()
    probabilities = head(torch.randn(5, 8)).sigmoid()
    torch.testing.assert_close(probabilities.sum(1), torch.ones(5))
    assert linear_head(8, 1).eval()(torch.randn(5, 8)).sigmoid().tolist() == [[0.5]] * 5


def test_a_linear_head_is_logistic_regression_on_standardised_features():
    rng = np.random.default_rng(0)
    features = rng.normal(3, [1, 10, 100, 0.1], (200, 4)).astype(np.float32)  # of very different scales
    targets = (((features - 3) / [1, 10, 100, 0.1]) @ [1, -1, 0.5, 2] + rng.normal(0, 2, 200) > 0).astype(np.float32)
    head = linear_head(4, 1, dropout=0)
    head[0].momentum = None  # the mean over all batches: here over the one
    inputs, wanted = torch.from_numpy(features), torch.from_numpy(targets)[:, None]
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(head(inputs), wanted)
        loss.backward()
        return loss

    optimizer.step(closure)
    standardised = (features - features.mean(0)) / features.std(0)
    oracle = LogisticRegression(C=np.inf).fit(standardised, targets).predict_proba(standardised)[:, 1]
    with torch.no_grad():
        head.train()
        np.testing.assert_allclose(head(inputs).sigmoid()[:, 0].numpy(), oracle, atol=2e-3)


def test_attention_is_the_mean_and_a_share_of_the_highest():  # a worked value
    head = ClassAttentionHead(1, 1, attention=0.5).eval()
    head.standardise.running_var.fill_(1 - head.standardise.eps)
    with torch.no_grad():
        head.scores.weight.fill_(2.0)
        head.bias.fill_(0.25)
    features = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 6.0]]).view(2, 1, 1, 3)
    assert head(features).tolist() == [[pytest.approx(4 + 0.5 * 6 + 0.25)], [pytest.approx(4 + 0.5 * 12 + 0.25)]]


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext", "mobilenetv3_small_050"])
def test_attention_works_on_any_convolutional_family(name):
    model = MultiLabelClassifier(["a", "b", "c"], name, image_size=(64, 96), head="attention")
    batch = TargetBatch(images(4, 64, 96), torch.eye(4, 3), torch.arange(4))
    loss, probabilities = model._shared_step(batch)
    assert probabilities.shape == (4, 3)
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())  # DDP waits for all of them
    assert {id(p) for half in model.backbone.parameter_halves() for p in half} == {
        id(p) for p in model.backbone.parameters()
    }


def test_attention_without_a_map_is_refused():
    with pytest.raises(BackboneError, match=r"'test_vit' gives \(.*--model.head fastai"):
        LastMap("test_vit", (160, 160))


def test_a_checkpoint_of_another_head_is_refused():
    model = MultiLabelClassifier(["a", "b"], "test_resnet", image_size=(32, 32), head="linear")
    model.on_load_checkpoint({"hyper_parameters": {"vocab": ["a", "b"], "head": "linear"}})
    with pytest.raises(CheckpointError, match=r"--model.head fastai"):  # of a version before there was a choice
        model.on_load_checkpoint({"hyper_parameters": {"vocab": ["a", "b"]}})


@pytest.mark.parametrize("head", ["fastai", "linear", "attention"])
def test_with_the_mirrored_image_the_side_does_not_matter(head):
    torch.manual_seed(0)
    model = MultiLabelClassifier(["a", "b"], "test_resnet", image_size=(32, 48), head=head, flip_tta=True).eval()
    for parameter in model.head.parameters():
        nn.init.normal_(parameter, std=0.1)
    given = images(3, 32, 48)
    batch, mirrored = (TargetBatch(x, torch.zeros(3, 2), torch.arange(3)) for x in (given, given.flip(3)))
    with torch.no_grad():
        found = model.predict_step(batch)
        torch.testing.assert_close(found, model.predict_step(mirrored))
        torch.testing.assert_close(found, (model(given).sigmoid() + model(given.flip(3)).sigmoid()) / 2)
        logits = model.uncalibrated(given)
        torch.testing.assert_close(logits.sigmoid(), found)
        model.flip_tta = False
        assert not torch.equal(model.predict_step(batch), model.predict_step(mirrored))
    assert "flip_tta" not in model.hparams
