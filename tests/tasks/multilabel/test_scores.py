import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score, f1_score, log_loss, precision_score, recall_score

from lightning_tasks.tasks.multilabel.scores import (
    accuracy_multi,
    average_precision,
    average_precision_11,
    calibration_error,
    label_losses,
    label_scores,
)

VOCAB = ["a", "b", "c"]
# Few values, so that there are ties.
TABLES = st.tuples(
    arrays(np.float32, (12, 3), elements=st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0])),
    arrays(np.int64, (12, 3), elements=st.sampled_from([0, 1])),
)


def voc_eleven_points(probabilities, targets):
    """VOC2007's definition, a threshold and a recall at a time."""
    points = []
    for threshold in sorted(set(probabilities)):
        chosen = probabilities >= threshold
        hits = (targets[chosen] == 1).sum()
        points.append((hits, hits / chosen.sum()))
    positives = targets.sum()
    return np.mean([max((p for h, p in points if 10 * h >= t * positives), default=0) for t in range(11)])


@settings(max_examples=200)
@given(TABLES)
def test_scores_are_scikit_learns_and_vocs(table):
    probabilities, targets = table
    scores = label_scores(
        torch.from_numpy(probabilities), torch.from_numpy(targets), VOCAB, torch.from_numpy(probabilities > 0.4)
    )
    predicted = probabilities > 0.4
    with_positive = targets.any(0)
    assert scores.without_positive == tuple(np.array(VOCAB)[~with_positive])
    assert scores.accuracy == pytest.approx((predicted == targets).mean())
    assert scores.accuracy_all_negative == pytest.approx((targets == 0).mean())
    for c, row in enumerate(scores.classes):
        truth, said = targets[:, c], predicted[:, c]
        assert row.positives == truth.sum()
        if with_positive[c]:
            assert row.average_precision == pytest.approx(average_precision_score(truth, probabilities[:, c]), abs=1e-5)
            assert row.average_precision_11 == pytest.approx(voc_eleven_points(probabilities[:, c], truth), abs=1e-6)
            assert row.recall == pytest.approx(recall_score(truth, said))
            assert row.f1 == pytest.approx(f1_score(truth, said))
        else:
            assert np.isnan([row.average_precision, row.average_precision_11, row.recall, row.f1]).all()
        if said.any():
            assert row.precision == pytest.approx(precision_score(truth, said))
        else:
            assert np.isnan(row.precision)
    if with_positive.any():
        assert scores.mAP == pytest.approx(
            average_precision_score(targets[:, with_positive], probabilities[:, with_positive]), abs=1e-5
        )
        assert scores.f1_micro == pytest.approx(f1_score(targets, predicted, average="micro"))
        assert scores.recall_micro == pytest.approx(recall_score(targets, predicted, average="micro"))


@given(TABLES, arrays(np.bool_, (12, 3)))
def test_ignored_cells_count_nowhere(table, ignored):
    probabilities, targets = (torch.from_numpy(part) for part in table)
    masked = torch.where(torch.from_numpy(ignored), -1, targets)
    for c in range(3):
        kept = masked[:, c] != -1
        if not kept.any():
            continue
        one = (probabilities[kept, c : c + 1], targets[kept, c : c + 1])
        for score in (average_precision, average_precision_11):
            ours, alone = score(probabilities[:, c : c + 1], masked[:, c : c + 1]), score(*one)
            torch.testing.assert_close(ours, alone, equal_nan=True)
    if (masked != -1).any():
        counted = masked != -1
        expected = ((probabilities > 0.5) == (targets == 1))[counted].float().mean()
        assert accuracy_multi(probabilities, masked) == pytest.approx(float(expected))


def test_a_threshold_for_each_label():
    probabilities, targets = torch.tensor([[0.3, 0.6]]), torch.tensor([[1, 0]])
    assert accuracy_multi(probabilities, targets, torch.tensor([0.2, 0.7])) == 1
    assert accuracy_multi(probabilities, targets, torch.tensor([0.3, 0.7])) == 0.5  # strictly greater
    scores = label_scores(probabilities, targets, ["a", "b"], probabilities > torch.tensor([0.2, 0.7]))
    assert scores.f1_micro == 1


def test_a_label_of_which_nothing_counts_has_no_scores():
    probabilities, targets = torch.tensor([[0.9, 0.5], [0.2, 0.5]]), torch.tensor([[1, -1], [0, -1]])
    scores = label_scores(probabilities, targets, ["a", "b"], probabilities > 0.5)
    assert scores.without_positive == ("b",)
    assert (scores.mAP, scores.mAP_11, scores.accuracy) == (1, 1, 1)
    nothing = label_scores(probabilities, torch.full((2, 2), -1), ["a", "b"], probabilities > 0.5)
    assert np.isnan([nothing.mAP, nothing.accuracy, nothing.calibration_error]).all()


def test_a_worked_calibration_error():
    """Two bins of ten: four cells at .15 of which one is true, one at .95 that is true: (4·.10 + 1·.05) / 5."""
    probabilities = torch.tensor([[0.15, 0.15, 0.15, 0.15, 0.95]])
    targets = torch.tensor([[1, 0, 0, 0, 1]])
    assert calibration_error(probabilities, targets, bins=10) == pytest.approx(0.09)


def test_shapes_that_do_not_belong_together_are_told():
    with pytest.raises(ValueError, match=r"\(2, 3\), targets of \(2, 2\) and 3 labels"):
        label_scores(torch.zeros(2, 3), torch.zeros(2, 2), VOCAB, torch.zeros(2, 3) > 0)


def test_an_images_loss_is_that_of_its_cells_that_count():
    probabilities = torch.tensor([[0.9, 0.2, 0.4], [0.9, 0.2, 0.4], [0.1, 0.5, 0.5], [0.0, 1.0, 0.5]])
    targets = torch.tensor([[1.0, 0, 1], [1, 0, -1], [-1, -1, -1], [1, 0, -1]])
    losses = label_losses(probabilities, targets)
    assert losses[0] == pytest.approx(log_loss([1, 0, 1], [0.9, 0.2, 0.4]), rel=1e-5)
    assert losses[1] == pytest.approx(log_loss([1, 0], [0.9, 0.2]), rel=1e-5)
    assert losses[2].isnan()
    assert losses[3] == 100  # torch's own bound, where the logarithm has none
