"""Confusions, by scikit-learn and by worked values."""

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, multilabel_confusion_matrix

from lightning_tasks.tasks.multilabel.confusion import co_occurrence, confused_pairs, confusions_of, label_confusions


@pytest.fixture(scope="module")
def found():
    generator = torch.Generator().manual_seed(2)
    targets = (torch.rand(80, 5, generator=generator) < 0.4).float()
    targets[torch.rand(80, 5, generator=generator) < 0.2] = -1
    return torch.rand(80, 5, generator=generator) < 0.4, targets


def test_counts_are_scikit_learns(found):
    predicted, targets = found
    for c, counts in enumerate(label_confusions(predicted, targets).tolist()):
        known = targets[:, c] != -1
        (wanted,) = multilabel_confusion_matrix(targets[known, c, None].numpy(), predicted[known, c, None].numpy())[1:]
        tn, fp, fn, tp = wanted.ravel()
        assert counts == [tp, fp, fn, tn]


def test_with_one_label_each_it_is_the_confusion_matrix():
    generator = torch.Generator().manual_seed(2)
    truth, said = (torch.randint(4, (60,), generator=generator) for _ in range(2))
    predicted, targets = torch.eye(4)[said] == 1, torch.eye(4)[truth]
    _, shares = co_occurrence(predicted, targets)
    assert np.allclose(shares, confusion_matrix(truth, said, normalize="true"))
    counts = confusion_matrix(truth, said)
    pairs = confused_pairs(predicted, targets, list("abcd"))
    assert {(pair.label, pair.taken_for): pair.images for pair in pairs} == {
        ("abcd"[i], "abcd"[j]): counts[i, j] for i in range(4) for j in range(4) if i != j and counts[i, j]
    }
    assert [pair.images for pair in pairs] == sorted((pair.images for pair in pairs), reverse=True)
    assert len(confusions_of(predicted, targets, list("abcd"), exclusive=True).matrices) == 1


def test_unknown_cells_count_nowhere(found):
    predicted, targets = found
    shares = co_occurrence(predicted, targets)
    for i in range(5):
        for j in range(5):
            rows = (targets[:, i] == 1) & (targets[:, j] != -1)
            wanted = (targets[rows, j] == 1).double().mean(), predicted[rows, j].double().mean()
            assert [float(of[i, j]) for of in shares] == pytest.approx([float(value) for value in wanted])
    flipped = torch.where(targets == -1, ~predicted, predicted)
    assert torch.equal(label_confusions(flipped, targets), label_confusions(predicted, targets))
    assert confused_pairs(flipped, targets, list("abcde")) == confused_pairs(predicted, targets, list("abcde"))
    assert torch.equal(co_occurrence(flipped, targets)[1], shares[1])


def test_a_label_that_no_image_has_and_many_labels():
    predicted, targets = torch.zeros(6, 90, dtype=torch.bool), torch.zeros(6, 90)
    targets[:, 7] = 1
    predicted[:, 50] = True
    found = confusions_of(predicted, targets, [f"l{c}" for c in range(90)], exclusive=False)
    assert found.n_labels == 24
    assert {"l7", "l50"} <= set(found.matrices[0].names)
    assert [(pair.label, pair.taken_for, pair.images, pair.share) for pair in found.pairs] == [("l7", "l50", 6, 1.0)]
    assert (found.labels[7].missed, found.labels[50].false_alarms) == (1.0, 1.0)
    assert found.labels[0].missed != found.labels[0].missed
    assert len(found.labels) == 90
