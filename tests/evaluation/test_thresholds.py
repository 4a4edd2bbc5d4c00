from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import accuracy_score, f1_score, log_loss, precision_score, recall_score

from lightning_tasks.evaluation.thresholds import (
    CURVE,
    best_threshold,
    calibrated,
    class_thresholds,
    temperature,
    threshold_curve,
    threshold_gain,
)

TABLES = st.tuples(
    arrays(np.float32, (14, 2), elements=st.floats(0, 1, width=32)),
    arrays(np.int64, (14, 2), elements=st.integers(0, 1)),
)


def test_the_curve_is_the_walk_throughs():
    assert len(CURVE) == 29
    assert pytest.approx(np.linspace(0.05, 0.95, 29)) == CURVE


@given(TABLES)
def test_the_curve_and_its_best_are_scikit_learns(table):
    probabilities, targets = map(torch.from_numpy, table)
    curve = threshold_curve(probabilities, targets)
    expected = [accuracy_score(table[1].ravel(), table[0].ravel() > np.float32(t)) for t in CURVE]
    assert [accuracy for _, accuracy in curve] == pytest.approx(expected)
    best = best_threshold(probabilities, targets)
    assert accuracy_score(table[1].ravel(), table[0].ravel() > np.float32(best)) == pytest.approx(max(expected))


@given(TABLES, st.sampled_from(["accuracy", "f1", "precision_at_recall"]))
def test_no_threshold_of_the_curve_is_better(table, aim):
    probabilities, targets = table
    chosen = class_thresholds(torch.from_numpy(probabilities), torch.from_numpy(targets), aim, recall=0.7).numpy()
    for c in range(2):
        truth, p = targets[:, c], probabilities[:, c]
        if not truth.any() and aim != "accuracy":
            assert chosen[c] == 0.5
            continue
        allowed, score = CURVE, {"accuracy": accuracy_score, "f1": f1_score}.get(aim)
        if aim == "precision_at_recall":
            recalls = [recall_score(truth, p > np.float32(t)) for t in CURVE]
            reachable = min(0.7, max(recalls))
            assert recall_score(truth, p > chosen[c]) >= reachable - 1e-6
            allowed = [t for t, r in zip(CURVE, recalls, strict=True) if r >= reachable - 1e-6]
            score = partial(precision_score, zero_division=0)
        assert score(truth, p > chosen[c]) == pytest.approx(max(score(truth, p > np.float32(t)) for t in allowed))


def test_a_recall_that_is_just_reached_is_reached():
    """Five positives, four of them above .5, where nothing else is: recall .8, precision 1."""
    probabilities = torch.tensor([[0.1], [0.6], [0.7], [0.8], [0.9], [0.15]])
    targets = torch.tensor([[1], [1], [1], [1], [1], [0]])
    assert class_thresholds(probabilities, targets, "precision_at_recall", recall=0.8) > 0.15
    assert class_thresholds(probabilities, targets, "precision_at_recall", recall=0.81) < 0.1


def test_ignored_cells_do_not_choose():
    probabilities = torch.tensor([[0.1], [0.4], [0.9], [0.95]])
    assert best_threshold(probabilities, torch.tensor([[0], [1], [1], [1]])) < 0.4
    assert best_threshold(probabilities, torch.tensor([[0], [-1], [-1], [1]])) > 0.45
    assert class_thresholds(probabilities, torch.tensor([[0], [-1], [0], [1]]), "accuracy") > 0.9


def test_on_noise_the_honest_gain_is_none_and_the_other_one_flatters():
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.rand(60, 40, generator=generator)
    targets = (torch.rand(60, 40, generator=generator) < 0.5).long()
    gain = threshold_gain(probabilities, targets, "accuracy")
    assert gain.each_where_chosen.accuracy > 0.53
    assert gain.each_cross_fitted.accuracy == pytest.approx(0.5, abs=0.03)


def test_where_each_class_has_its_own_scale_the_gain_is_real():
    generator = torch.Generator().manual_seed(0)
    targets = (torch.rand(400, 4, generator=generator) < 0.3).long()
    shift = torch.tensor([0.05, 0.1, 0.6, 0.7])
    probabilities = (targets * 0.15 + shift + 0.1 * torch.rand(400, 4, generator=generator)).clamp(0, 1)
    for aim in ("accuracy", "f1", "precision_at_recall"):
        gain = threshold_gain(probabilities, targets, aim)
        score = {"precision_at_recall": "precision"}.get(aim, aim)
        half, one, each = (getattr(row, score) for row in (gain.at_half, gain.one_cross_fitted, gain.each_cross_fitted))
        assert each > half + 0.2
        assert each > one
    assert threshold_gain(probabilities, targets, "precision_at_recall", 0.9).each_cross_fitted.recall > 0.85


@pytest.mark.parametrize("aim", ["accuracy", "f1"])
def test_the_rows_of_the_gain_are_scikit_learns(aim):
    rng = np.random.default_rng(0)
    probabilities, targets = rng.random((50, 3), dtype=np.float32), rng.integers(-1, 2, (50, 3))
    targets[:, 2] = np.minimum(targets[:, 2], 0)  # a class without a positive
    p, t = torch.from_numpy(probabilities), torch.from_numpy(targets)
    gain = threshold_gain(p, t, aim)
    for row, thresholds in ((gain.at_half, 0.5), (gain.each_where_chosen, class_thresholds(p, t, aim).numpy())):
        predicted = probabilities > thresholds
        per_class = [(targets[:, c][targets[:, c] >= 0], predicted[:, c][targets[:, c] >= 0]) for c in range(2)]
        assert row.accuracy == pytest.approx(accuracy_score(targets[targets >= 0], predicted[targets >= 0]))
        for score, value in ((precision_score, row.precision), (recall_score, row.recall), (f1_score, row.f1)):
            assert value == pytest.approx(np.mean([score(*pair, zero_division=0) for pair in per_class]))


def test_each_part_is_predicted_with_thresholds_of_the_others():
    # Found by hand: every picture's own cell would choose differently from the rest of its class.
    probabilities = torch.tensor([[0.2], [0.6], [0.6], [0.6], [0.6]])
    targets = torch.tensor([[1], [0], [0], [0], [0]])
    gain = threshold_gain(probabilities, targets, "accuracy", folds=5)
    # Chosen with it, nothing is better than nothing said; without the first picture likewise: it stays missed.
    assert gain.each_cross_fitted.accuracy == pytest.approx(4 / 5)
    assert gain.each_cross_fitted.recall == 0


def test_calibrated_probabilities_are_cross_fitted():
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(3000, 2, generator=generator)
    targets = (torch.rand(3000, 2, generator=generator) < logits.sigmoid()).long()
    found = calibrated(4 * logits, targets)
    torch.testing.assert_close(found, logits.sigmoid(), atol=0.03, rtol=0)
    shuffled = targets[torch.randperm(3000, generator=generator)]
    assert float((calibrated(4 * logits, shuffled) - 0.5).abs().mean()) < 0.1  # of noise it says that it knows nothing


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_temperature_finds_the_factor_and_lowers_the_log_loss(factor):
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(5000, 3, generator=generator)
    targets = (torch.rand(5000, 3, generator=generator) < logits.sigmoid()).long()
    found = temperature(logits * factor, targets)
    assert found == pytest.approx(factor, rel=0.05)
    losses = [log_loss(targets.ravel(), (logits * factor / t).sigmoid().double().ravel()) for t in (found, 1.0)]
    assert losses[0] <= losses[1] + 1e-9


def test_temperature_keeps_within_what_float32_can_tell():
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(500, 3, generator=generator)
    assert temperature(logits, (logits < 0).long()) == 20  # always wrong: best said nothing
    assert temperature(logits, (logits > 0).long()) == 1 / 20  # always right
