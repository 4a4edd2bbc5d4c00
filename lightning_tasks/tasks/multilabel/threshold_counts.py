"""Counts that the report's slider turns into scores."""

import torch
from torch import Tensor

from lightning_tasks.tasks.multilabel.batch import IGNORED

STEPS = 100  # the slider's


def threshold_counts(probabilities: Tensor, targets: Tensor) -> dict[str, list[int] | list[list[int]]]:
    """Return what accuracy, precision, recall and F1 follow from, for each label at the thresholds 0, .01, ..., 1.

    `hits` and `predicted` are C lists of 101 counts: labels found rightly, and labels found (where the probability is
    strictly greater). `positives` and `cells` are C counts. A cell of target −1 is in none of them.

    Args:
        probabilities: (N, C).
        targets: (N, C) of 1, 0 and −1.
    """
    counts, truth = targets != IGNORED, targets == 1
    hits, predicted = [], []
    for step in range(STEPS + 1):  # one after the other: (101, N, C) would be large
        found = (probabilities > step / STEPS) & counts
        predicted.append(found.sum(0))
        hits.append((found & truth).sum(0))
    return {
        "hits": torch.stack(hits, 1).tolist(),
        "predicted": torch.stack(predicted, 1).tolist(),
        "positives": truth.sum(0).tolist(),
        "cells": counts.sum(0).tolist(),
    }
