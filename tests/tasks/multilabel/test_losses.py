import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import binary_cross_entropy_with_logits

from lightning_tasks.batch import TargetBatch
from lightning_tasks.errors import ConfigError
from lightning_tasks.tasks import MultiLabelClassifier
from lightning_tasks.tasks.multilabel.losses import label_loss

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [-3.0, 0.0, 4.0]])
TARGETS = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])


def published_asymmetric(logits, targets, gamma_negative, gamma_positive, clip):
    """The paper's equations 4, 5 and 7, a cell at a time."""
    total = 0.0
    for logit, target in zip(logits.flatten().tolist(), targets.flatten().tolist(), strict=True):
        p = 1 / (1 + np.exp(-logit))
        shifted = max(p - clip, 0)
        positive = (1 - p) ** gamma_positive * np.log(p)
        negative = shifted**gamma_negative * np.log(1 - shifted)
        total -= target * positive + (1 - target) * negative
    return total


@given(st.floats(0, 5), st.floats(0, 5), st.floats(0, 0.5))
def test_the_asymmetric_loss_is_the_papers(negative, positive, clip):
    loss = label_loss("asymmetric", 0.0, (negative, positive), clip)(LOGITS, TARGETS)
    expected = published_asymmetric(LOGITS, TARGETS, negative, positive, clip) / len(LOGITS)
    assert float(loss) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_without_focus_and_clip_the_asymmetric_loss_is_bce_summed_over_labels():
    asymmetric = label_loss("asymmetric", 0.1, (0.0, 0.0), 0.0)(LOGITS, TARGETS)
    bce = label_loss("bce", 0.1, (4.0, 1.0), 0.05)(LOGITS, TARGETS)
    torch.testing.assert_close(asymmetric, bce * LOGITS.shape[1])


def test_smoothing_moves_targets_towards_a_half():
    smoothed = label_loss("bce", 0.2, (4.0, 1.0), 0.05)(LOGITS, TARGETS)
    expected = binary_cross_entropy_with_logits(LOGITS, torch.where(TARGETS == 1, 0.9, 0.1))
    torch.testing.assert_close(smoothed, expected)
    plain = label_loss("bce", 0.0, (4.0, 1.0), 0.05)(LOGITS, TARGETS)
    torch.testing.assert_close(plain, binary_cross_entropy_with_logits(LOGITS, TARGETS))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"label_smoothing": 1.0}, r"model\.label_smoothing is 1\.0"),
        ({"asymmetric_gamma": (-1.0, 0.0)}, r"model\.asymmetric_gamma"),
        ({"asymmetric_clip": 1.0}, r"model\.asymmetric_clip 1\.0"),
    ],
)
def test_values_out_of_range_are_told(settings, message):
    with pytest.raises(ConfigError, match=message):
        MultiLabelClassifier(["a"], "test_resnet", image_size=(32, 32), **settings)


@pytest.mark.parametrize("options", [{"loss": "asymmetric"}, {"label_smoothing": 0.3}])
def test_outside_training_the_loss_is_plain_bce(options):
    torch.manual_seed(0)
    model = MultiLabelClassifier(["a", "b", "c"], "test_resnet", image_size=(32, 32), **options)
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    batch = TargetBatch(images, TARGETS, torch.arange(2))
    model.eval()
    loss, probabilities = model._shared_step(batch)
    expected = -torch.where(TARGETS == 1, probabilities, 1 - probabilities).log().mean()
    torch.testing.assert_close(loss, expected)
    model.train()
    assert float(model._shared_step(batch)[0]) != pytest.approx(float(loss), rel=1e-3)


@pytest.mark.parametrize("name", ["bce", "asymmetric"])
def test_ignored_cells_cost_nothing_and_have_no_gradient(name):
    loss = label_loss(name, 0.1, (4.0, 1.0), 0.05)
    targets = TARGETS.clone()
    targets[0, 1] = -1
    logits = LOGITS.clone().requires_grad_()
    value = loss(logits, targets)
    value.backward()
    assert float(logits.grad[0, 1]) == 0
    assert logits.grad.count_nonzero() == 5
    # The others' share of what they cost alone.
    alone = [label_loss(name, 0.1, (4.0, 1.0), 0.05)(LOGITS[i, [c]][None], TARGETS[i, [c]][None]) for i, c in CELLS]
    torch.testing.assert_close(value, sum(alone) / (5 if name == "bce" else 2))


CELLS = [(0, 0), (0, 2), (1, 0), (1, 1), (1, 2)]
