"""Wrong annotations that were put among right ones are found; what is found is what cleanlab and scipy find."""

import sys

import numpy as np
import pytest
import torch
from cleanlab.filter import find_label_issues
from cleanlab.internal.multilabel_utils import onehot2int
from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class
from cleanlab.multilabel_classification.rank import get_label_quality_scores_per_class
from cleanlab.rank import get_label_quality_scores
from scipy.stats import median_abs_deviation

from lightning_tasks.errors import MissingLibraryError
from lightning_tasks.tasks.keypoints.label_errors import point_suspects
from lightning_tasks.tasks.keypoints.predictions import PointPredictions
from lightning_tasks.tasks.multiclass.task import ClassPredictions
from lightning_tasks.tasks.multilabel.label_errors import _usual_rates, class_suspects, label_suspects
from lightning_tasks.tasks.prediction import Annotation, NamedPoint, ScoredLabel
from lightning_tasks.tasks.suspects import Suspect
from lightning_tasks.tasks.values.label_errors import value_suspects
from tests.fakes import label_predictions

N, C = 600, 8
VOCAB = [f"label {c}" for c in range(C)]


@pytest.fixture(scope="module")
def cells():
    """Probabilities (N, C) of a model that is mostly right, targets of which 3 % are flipped, and which those are."""
    rng = np.random.default_rng(0)
    true = rng.random((N, C)) < rng.uniform(0.05, 0.3, C)
    logits = np.where(true, 1.5, -3.5) + rng.normal(0, 1.5, (N, C))
    flipped = np.zeros(N * C, dtype=bool)
    flipped[rng.choice(N * C, round(0.03 * N * C), replace=False)] = True
    flipped = flipped.reshape(N, C)
    probabilities = torch.from_numpy(1 / (1 + np.exp(-logits))).float()
    return probabilities, torch.from_numpy(true ^ flipped).float(), flipped


def precision(suspects, wrong, names, first=100):
    assert len(suspects) >= first
    return np.mean([wrong[suspect.row, names.index(suspect.what)] for suspect in suspects[:first]])


def test_flipped_labels_are_the_most_suspicious(cells):
    probabilities, targets, flipped = cells
    suspects = label_suspects(probabilities, targets, VOCAB)
    assert precision(suspects, flipped, VOCAB) > 0.9  # by chance: 0.03
    assert {suspect.kind for suspect in suspects} == {"missing", "extra"}
    for suspect in suspects:
        given = targets[suspect.row, VOCAB.index(suspect.what)]
        assert (suspect.kind == "extra") == (given == 1) == (suspect.given == "1")


def test_with_all_cells_known_labels_are_cleanlabs(cells):
    probabilities, targets, _ = cells
    suspects = label_suspects(probabilities, targets, VOCAB)
    lists, shares = onehot2int(targets.numpy().astype(int)), probabilities.double().numpy()
    issues = find_multilabel_issues_per_class(lists, shares, n_jobs=1)
    quality = np.array(get_label_quality_scores_per_class(lists, shares))
    assert {(suspect.row, VOCAB.index(suspect.what)) for suspect in suspects} == set(map(tuple, np.argwhere(issues)))
    scores = np.array([suspect.score for suspect in suspects])
    assert (np.diff(scores) <= 0).all()
    doubts = np.array([1 - quality[s.row, VOCAB.index(s.what)] for s in suspects])
    assert (scores <= doubts + 1e-12).all()
    assert np.isclose(scores, doubts).mean() > 0.3  # of labels that are no harder than the median one


def test_a_label_that_is_hard_to_see_is_not_at_the_head_of_the_list(cells):
    probabilities, targets, flipped = (
        values.copy() if isinstance(values, np.ndarray) else values.clone() for values in cells
    )
    seen = (targets[:, 0] == 1) & ~torch.from_numpy(flipped[:, 0])
    probabilities[seen.nonzero().flatten()[::2], 0] = 1e-6  # half of those that have it, the model is sure, have not
    suspects = label_suspects(probabilities, targets, VOCAB)
    assert precision(suspects, flipped, VOCAB) > 0.8
    assert np.mean([s.what == VOCAB[0] for s in suspects[:100]]) < 0.2


def test_how_often_a_label_is_annotated_against_the_models_word():
    p, has = np.linspace(0.01, 0.5, 50), np.arange(50) % 10 == 0  # one in ten is annotated, the first of each ten
    rates = _usual_rates(p, has)
    assert rates[40] == pytest.approx(5 / 41)  # there are but five: all are taken together
    assert (rates[:40] == rates[40]).all()
    many = _usual_rates(np.arange(1000.0), np.arange(1000) % 10 == 0)
    assert many[:191] == pytest.approx(20 / 191)  # the 20th of them is the 191st cell
    assert many[[190, 200, 990]] == pytest.approx([20 / 191, 21 / 201, 100 / 991])


def test_unknown_cells_are_left_out_and_change_nothing_of_the_others(cells):
    probabilities, targets, _ = cells
    masked, rubbish = targets.clone(), probabilities.clone()
    masked[N // 2 :, 0], rubbish[N // 2 :, 0] = -1, 0.999
    masked[:, 1] = -1  # nothing is known of it
    masked[:, 2] = 1  # nor can anything be told of what all have
    suspects = label_suspects(rubbish, masked, VOCAB)
    rubbish[N // 2 :, 0], rubbish[:, 1] = 0.5, 0.2  # whatever the model says of them
    assert label_suspects(rubbish, masked, VOCAB) == suspects
    assert {s.what for s in suspects} == {VOCAB[0], *VOCAB[3:]}
    assert all(s.row < N // 2 for s in suspects if s.what == VOCAB[0])
    alone = label_suspects(probabilities[: N // 2, :1], targets[: N // 2, :1], VOCAB[:1])
    assert {s[:3] for s in suspects if s.what == VOCAB[0]} == {s[:3] for s in alone}


def test_one_label_each_is_cleanlabs(cells):
    rng = np.random.default_rng(1)
    true = rng.integers(0, 4, N)
    logits = torch.from_numpy(rng.normal(0, 1, (N, 5)) + 4 * np.eye(5)[true])  # nothing has the last label
    given = np.where(wrong := rng.random(N) < 0.1, (true + rng.integers(1, 4, N)) % 4, true)
    probabilities = logits.softmax(1).float()
    suspects = class_suspects(probabilities, torch.eye(5)[given], VOCAB[:5])
    shares = probabilities.double().numpy()
    shares /= shares.sum(1, keepdims=True)
    assert {s.row for s in suspects} == set(np.flatnonzero(find_label_issues(given, shares, n_jobs=1)))
    quality = get_label_quality_scores(given, shares)
    assert [s.score for s in suspects] == pytest.approx([1 - quality[s.row] for s in suspects])
    assert np.mean([wrong[s.row] for s in suspects[:30]]) > 0.9
    assert [(s.what, s.predicted) for s in suspects] == [
        (VOCAB[given[s.row]], VOCAB[shares[s.row].argmax()]) for s in suspects
    ]
    assert class_suspects(probabilities, torch.eye(5)[np.zeros(N, int)], VOCAB[:5]) == []


def test_without_cleanlab_it_is_said_what_to_install(cells, monkeypatch):
    monkeypatch.setitem(sys.modules, "cleanlab.filter", None)
    with pytest.raises(MissingLibraryError, match=r"pip install 'lightning-tasks\[label-errors\]'"):
        label_suspects(*cells[:2], VOCAB)


FACE = ["nose", "left_eye", "right_eye", "left_ear", "right_ear"]
ORDER = [0, 2, 1, 4, 3]
FACE_PX = torch.tensor([[50.0, 50.0], [40.0, 40.0], [60.0, 40.0], [20.0, 45.0], [80.0, 45.0]])


@pytest.fixture(scope="module")
def faces():
    """Predicted and annotated points (N, 5, 2) of faces of 100 px, ears found less exactly than the rest."""
    generator = torch.Generator().manual_seed(0)
    points_px = FACE_PX + 5 * torch.randn(N, 1, 2, generator=generator)
    spread = torch.tensor([1.0, 1.0, 1.0, 3.0, 3.0])[:, None]
    targets_px = points_px + spread * torch.randn(N, 5, 2, generator=generator)
    return points_px, targets_px, torch.full((N, 2), 100.0)


def test_moved_and_swapped_points_are_the_most_suspicious(faces):
    points_px, targets_px, sizes_px = faces
    wrong, wronged_px = torch.zeros(N, 5, dtype=torch.bool), targets_px.clone()
    rng = np.random.default_rng(2)
    rows = rng.permutation(N)[:45].tolist()
    for i, row in enumerate(rows[:30]):
        point, angle = i % 3, rng.uniform(0, 2 * np.pi)
        wrong[row, point] = True
        wronged_px[row, point] = targets_px[row, point] + 12 * torch.tensor([np.cos(angle), np.sin(angle)])
    moved = wrong.clone()
    for i, row in enumerate(rows[30:]):
        pair = [[1, 2], [3, 4]][i % 2]
        wrong[row, pair] = True
        wronged_px[row, pair] = targets_px[row, pair[::-1]]
    suspects = point_suspects(points_px, wronged_px, sizes_px, FACE, ORDER)
    count = int(wrong.sum())
    assert precision(suspects, wrong, FACE, count) > 0.95  # by chance: 0.02
    for suspect in suspects[: count // 2]:
        assert suspect.kind == ("moved" if moved[suspect.row, FACE.index(suspect.what)] else "swapped")
    # Without pairs they are still found, as moved.
    assert precision(point_suspects(points_px, wronged_px, sizes_px, FACE, None), wrong, FACE, count) > 0.9


def test_a_face_that_is_swapped_as_a_whole_is_found_and_one_that_is_hard_is_not(faces):
    points_px, targets_px, sizes_px = faces
    targets_px = targets_px.clone()
    targets_px[7] = targets_px[7, ORDER]
    targets_px[8] = points_px[8] + 4.0 * torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1], [1, 1]])
    suspects = point_suspects(points_px, targets_px, sizes_px, FACE, ORDER)
    assert {(s.row, s.what, s.kind) for s in suspects[:4]} == {(7, name, "swapped") for name in FACE[1:]}
    left = next(s for s in suspects if s.what == "left_eye" and s.row == 7)
    assert left.given_place == pytest.approx(tuple(targets_px[7, 1].tolist()))
    assert left.suggested_place == pytest.approx(tuple(targets_px[7, 2].tolist()))
    assert not [s for s in suspects if s.row == 8]


def test_a_point_is_measured_in_its_own_spread_whatever_the_images_size_and_where_others_are_missing(faces):
    points_px, targets_px, sizes_px = faces
    targets_px = targets_px.clone()
    for row, point in ((3, 1), (4, 3)):  # as far off, an eye is more suspicious than an ear
        targets_px[row, point] = points_px[row, point] + 14
    suspects = point_suspects(points_px, targets_px, sizes_px, FACE, ORDER)
    scores = {(s.row, s.what): s.score for s in suspects}
    assert scores[3, "left_eye"] > 2 * scores.get((4, "left_ear"), 0)
    doubled = point_suspects(points_px * 2, targets_px * 2, sizes_px * 2, FACE, ORDER)
    assert [s.score for s in doubled] == pytest.approx([s.score for s in suspects])
    targets_px[4], targets_px[3, 2] = torch.nan, torch.nan  # nothing of one image, and one eye's partner
    again = point_suspects(points_px, targets_px, sizes_px, FACE, ORDER)
    assert (again[0].row, again[0].what, again[0].kind) == (3, "left_eye", "moved")
    assert 4 not in {s.row for s in again}


def test_numbers_are_measured_as_scipy_does():
    rng = np.random.default_rng(3)
    predicted, targets = rng.normal(0, 1, (301, 2)), rng.normal(0, 1, (301, 2)) * [0.1, 5]
    targets[5, 0], targets[9, 1], targets[11, 1] = 9, 60, np.nan
    suspects = value_suspects(torch.from_numpy(predicted), torch.from_numpy(targets), ["age", "weight"])
    residuals = predicted - targets
    off = np.abs(residuals - np.nanmedian(residuals, 0)) / median_abs_deviation(
        residuals, axis=0, scale="normal", nan_policy="omit"
    )
    wanted = {("age", "weight")[t]: off[r, t] for r, t in [(5, 0), (9, 1)]}
    assert {s.what: s.score for s in suspects if s.row in (5, 9)} == pytest.approx(wanted, rel=0.02)
    assert {(s.row, ["age", "weight"].index(s.what)) for s in suspects} == set(map(tuple, np.argwhere(off > 3.5)))


def test_a_models_spread_of_nothing_is_no_division_by_nothing():
    targets = torch.arange(9.0)[:, None]
    predicted = targets.clone()
    assert value_suspects(predicted, targets, ["age"]) == []
    predicted[2] = 5
    assert [(s.row, s.score) for s in value_suspects(predicted, targets, ["age"])] == [(2, float("inf"))]


def test_what_is_to_be_corrected_is_annotated_as_the_model_says():
    probabilities, targets = torch.tensor([[0.9, 0.2, 0.7]]), torch.tensor([[0.0, 1.0, 1.0]])
    vocab = ["cat", "dog", "bird"]
    suspects = [Suspect(0, "cat", "missing", 1, "0", "0.9", ""), Suspect(0, "dog", "extra", 1, "1", "0.2", "")]
    found = label_predictions(probabilities, targets, vocab)
    assert found.corrected(0, suspects) == Annotation((ScoredLabel("cat", 0.9), ScoredLabel("bird", 0.7)))
    assert found.corrected(0, suspects[1:]) == Annotation((ScoredLabel("bird", 0.7),))
    one = label_predictions(
        torch.tensor([[0.9, 0.1]]), torch.tensor([[0.0, 1.0]]), ["cat", "dog"], kind=ClassPredictions
    )
    assert one.corrected(0, [Suspect(0, "dog", "other", 1, "dog", "cat", "")]).labels == (ScoredLabel("cat", 0.9),)


def test_points_to_be_corrected_are_where_they_should_be_and_unknown_ones_are_left_out(faces):
    points_px, targets_px, sizes_px = (tensor[:40] for tensor in faces)
    targets_px = targets_px.clone()
    targets_px[2], targets_px[3, 0], targets_px[3, 3] = targets_px[2, ORDER], points_px[3, 0] + 30, torch.nan
    found = PointPredictions(
        rows=torch.arange(40), paths=(), groups=(), point_names=FACE, points_norm=points_px, targets_norm=points_px,
        visible=~targets_px.isnan().any(-1), original_size_px=sizes_px, points_px=points_px, targets_px=targets_px,
    )  # fmt: skip
    suspects = found.suspects()  # the pairs follow from the names
    annotation = found.corrected(2, [s for s in suspects if s.row == 2])
    assert [point[:3] for point in annotation.points] == [
        (name, *(pytest.approx(x, abs=1e-4) for x in targets_px[2, other].tolist()))
        for name, other in zip(FACE, ORDER, strict=True)
    ]
    names = [point.name for point in found.corrected(3, []).points]
    assert names == ["nose", "left_eye", "right_eye", "right_ear"]
    nose = found.corrected(3, [s for s in suspects if s.row == 3]).points[0]
    assert nose == NamedPoint("nose", *(pytest.approx(x, abs=1e-4) for x in points_px[3, 0].tolist()))
