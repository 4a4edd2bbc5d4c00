from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    log_loss,
    precision_recall_curve,
    precision_score,
    recall_score,
)

from lightning_tasks.tasks.multilabel.threshold_curve import CURVE, threshold_curve
from lightning_tasks.tasks.multilabel.thresholds import (
    best_threshold,
    calibrated,
    class_thresholds,
    temperature,
    threshold_gain,
)

# With ties and both ends among the probabilities, and cells that do not count.
TABLES = st.tuples(
    arrays(np.float32, (14, 2), elements=st.sampled_from([0, 0.25, 1]) | st.floats(0, 1, width=32)),
    arrays(np.int64, (14, 2), elements=st.sampled_from([0, 0, 1, 1, -1])),
)


def test_the_curve_is_the_walk_throughs():
    assert len(CURVE) == 29
    assert pytest.approx(np.linspace(0.05, 0.95, 29)) == CURVE


@given(TABLES)
def test_the_curve_is_scikit_learns_and_no_better_than_the_best_threshold(table):
    probabilities, targets = map(torch.from_numpy, table)
    counts = table[1] >= 0
    if not counts.any():
        return

    def accuracy(threshold):
        return accuracy_score(table[1][counts], table[0][counts] > np.float32(threshold))

    expected = [accuracy(threshold) for threshold in CURVE]
    assert [found for _, found in threshold_curve(probabilities, targets)] == pytest.approx(expected)
    assert accuracy(best_threshold(probabilities, targets)) >= max(expected) - 1e-6


@given(TABLES, st.sampled_from(["accuracy", "f1", "precision_at_recall"]), st.sampled_from([0.3, 0.7, 0.8, 1.0]))
def test_no_threshold_at_all_is_better(table, aim, recall):
    """What p > t says for any t from 0 to 1, it says for one of the values that occur, or for 0."""
    probabilities, targets = table
    found = class_thresholds(torch.from_numpy(probabilities), torch.from_numpy(targets), aim, recall)
    assert found.dtype == torch.float32
    assert ((found >= 0) & (found <= 1)).all()
    for c, chosen in enumerate(found.numpy()):
        counts = targets[:, c] >= 0
        truth, p = targets[counts, c], probabilities[counts, c]
        if not truth.any() and aim != "accuracy":
            assert chosen == 0.5
            continue
        allowed, score = [np.float32(0), *p], {"accuracy": accuracy_score, "f1": f1_score}.get(aim)
        if aim == "precision_at_recall":
            recalls = [recall_score(truth, p > t) for t in allowed]
            reachable = min(recall, max(recalls))
            assert recall_score(truth, p > chosen) >= reachable - 1e-9
            allowed = [t for t, r in zip(allowed, recalls, strict=True) if r >= reachable - 1e-9]
            score = partial(precision_score, zero_division=0)
        if counts.any():
            assert score(truth, p > chosen) == pytest.approx(max(score(truth, p > t) for t in allowed), abs=1e-12)


@given(TABLES)
def test_the_precision_at_a_recall_is_on_scikit_learns_curve(table):
    probabilities, targets = np.maximum(table[0], np.float32(1e-30)), table[1].clip(0)
    found = class_thresholds(
        torch.from_numpy(probabilities), torch.from_numpy(targets), "precision_at_recall", recall=0.8
    )
    for c in np.flatnonzero(targets.any(0)):
        precision, recall, _ = precision_recall_curve(targets[:, c], probabilities[:, c])
        predicted = probabilities[:, c] > found.numpy()[c]
        assert precision_score(targets[:, c], predicted) == pytest.approx(precision[recall >= 0.8].max())


@pytest.mark.parametrize("aim", ["accuracy", "f1", "precision_at_recall"])
@pytest.mark.parametrize("scale", [1, 0.04, 1e-6, 1e-40])
def test_a_perfect_ranking_is_found_at_any_scale(aim, scale):
    """Also where the probabilities that tell apart are neighbours in float32, or the highest there is."""
    low = (torch.rand(30, generator=torch.Generator().manual_seed(0)) / 2 * scale).float()
    high = low.max().nextafter(torch.tensor(1.0))
    for positives in (torch.linspace(0.5, 1, 10) * scale, high.expand(10), torch.ones(10)):
        p = torch.cat([low, positives])[:, None]
        truth = (torch.arange(40) >= 30).long()[:, None]
        for threshold in (class_thresholds(p, truth, aim), best_threshold(p, truth, aim)):
            assert torch.equal(p > threshold, truth == 1)
    top = torch.tensor([[1.0], [1.0], [0.5]])
    assert not (top > class_thresholds(top, torch.zeros(3, 1), "accuracy")).any()  # where all that is said is wrong


def test_a_gap_is_cut_in_its_middle_and_the_widest_of_equals_is_taken():
    p, truth = torch.tensor([[0.1], [0.2], [0.6], [0.9]]), torch.tensor([[0], [0], [1], [1]])
    assert float(class_thresholds(p, truth, "f1")) == pytest.approx(0.4)
    # Both between .1 and .2 and between .6 and .9 three of four are right.
    assert float(class_thresholds(p, torch.tensor([[0], [1], [0], [1]]), "accuracy")) == pytest.approx(0.75)


def test_of_equal_precisions_the_one_that_finds_most():
    p, truth = torch.tensor([[0.1], [0.3], [0.5], [0.9]]), torch.tensor([[0], [1], [1], [1]])
    assert float(class_thresholds(p, truth, "precision_at_recall", recall=0.3)) == pytest.approx(0.2)


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
    # Found by hand: every image's own cell would choose differently from the rest of its class.
    probabilities = torch.tensor([[0.2], [0.6], [0.6], [0.6], [0.6]])
    targets = torch.tensor([[1], [0], [0], [0], [0]])
    gain = threshold_gain(probabilities, targets, "accuracy", folds=5)
    # Chosen with it, nothing is better than nothing said; without the first image likewise: it stays missed.
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
