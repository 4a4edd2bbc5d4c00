import torch
from sklearn.metrics import confusion_matrix

from lightning_tasks.tasks.multilabel.predictions import threshold_counts


def some(n=40, c=3):
    generator = torch.Generator().manual_seed(0)
    probabilities = (torch.rand(n, c, generator=generator) * 50).round() / 50  # ties with thresholds
    return probabilities, torch.randint(-1, 2, (n, c), generator=generator).float()


def test_counts_are_those_of_the_confusion_matrix():
    probabilities, targets = some()
    counts = threshold_counts(probabilities, targets)
    for c in range(3):
        valid = targets[:, c] != -1
        truth = targets[valid, c] == 1
        for step in (0, 20, 21, 50, 100):
            said = probabilities[valid, c] > step / 100
            (_, false), (missed, hits) = confusion_matrix(truth, said, labels=[False, True])
            assert (counts["hits"][c][step], counts["predicted"][c][step]) == (hits, hits + false)
            assert (counts["positives"][c], counts["cells"][c]) == (hits + missed, len(truth))
