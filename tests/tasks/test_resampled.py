"""Scores of resamples are those of copies of the images, to the last one; of all images, those that are told."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lightning_tasks.reports.bootstrap import bootstrap, interval, resample_counts
from lightning_tasks.tasks.keypoints.predictions import PointPredictions
from lightning_tasks.tasks.keypoints.scores import original_points_px
from lightning_tasks.tasks.multiclass.task import ClassPredictions
from lightning_tasks.tasks.values.predictions import ValuePredictions
from tests.fakes import label_predictions

NEAR = {"rel": 2e-5, "abs": 2e-6, "nan_ok": True}


def labels(n, seed):
    """Predictions of four labels with equal probabilities here and there, unknown cells, and a label without any."""
    generator = torch.Generator().manual_seed(seed)
    probabilities = (torch.rand(n, 4, generator=generator) * 8).round() / 8
    targets = (torch.rand(n, 4, generator=generator) < 0.1 + 0.6 * probabilities).float()
    targets[torch.rand(n, 4, generator=generator) < 0.2] = -1
    targets[:, 3] = targets[:, 3].clamp(max=0)
    return label_predictions(
        probabilities, targets, list("abcd"), thresholds=torch.full((4,), 0.4), paths=["x.png"] * n
    )


def classes(n, seed):
    found = labels(n, seed)
    generator = torch.Generator().manual_seed(seed)
    probabilities = torch.rand(n, 4, generator=generator).softmax(1)
    targets = torch.eye(4)[torch.randint(4, (n,), generator=generator)]
    of = {**vars(found), "probabilities": probabilities, "targets": targets}
    return ClassPredictions(**{**of, "predicted": probabilities == probabilities.amax(1, keepdim=True)})


def points(n, seed):
    generator = torch.Generator().manual_seed(seed)
    predicted, targets = (torch.rand(n, 3, 2, generator=generator) * 2 - 1 for _ in range(2))
    visible = torch.rand(n, 3, generator=generator) < 0.6
    sizes = torch.randint(20, 60, (n, 2), generator=generator).float()
    px = [original_points_px(norm, (32, 32), sizes) for norm in (predicted, targets)]
    px[1][~visible] = torch.nan
    return PointPredictions(
        rows=torch.arange(n), paths=("x.png",) * n, groups=(), point_names=list("abc"), points_norm=predicted,
        targets_norm=targets, visible=visible, original_size_px=sizes, points_px=px[0], targets_px=px[1],
    )  # fmt: skip


def values(n, seed):
    generator = torch.Generator().manual_seed(seed)
    targets = (torch.randn(n, 2, generator=generator) * 3).round() + 40
    predicted = (targets + torch.randn(n, 2, generator=generator) * 2).round()
    targets[torch.rand(n, 2, generator=generator) < 0.2] = torch.nan
    return ValuePredictions(
        rows=torch.arange(n), paths=("x.png",) * n, groups=(), names=["age", "kg"], predicted=predicted,
        targets=targets, mean=torch.tensor([[40.0, 41.0]] * n), std=torch.tensor([[2.0, 3.0]] * n),
        median=torch.tensor([[40.0, 40.0]] * n),
    )  # fmt: skip


COLUMNS = ("predicted", "targets", "mean", "std", "median")
KINDS = [labels, classes, points, values]


@pytest.mark.parametrize("make", KINDS)
@given(n=st.integers(1, 12), seed=st.integers(0, 999))
def test_scores_of_resamples_are_those_of_copies(make, n, seed):
    found = make(n, seed)
    counts = torch.cat([torch.ones(n, 1), next(resample_counts(n, resamples=3, seed=seed))], 1)
    scores = found.resampled(counts)
    for r, times in enumerate(counts.T):
        copies = found.take(torch.arange(n).repeat_interleave(times.long())).headline()
        assert copies == pytest.approx({name: float(scores[name][r]) for name in copies}, **NEAR)


@pytest.mark.parametrize("seed", range(3))
def test_the_headline_of_all_images_is_what_is_told_of_them(seed):
    of_labels, of_classes, of_points, of_values = (make(40, seed) for make in KINDS)
    for found in (of_labels, of_classes):
        told = vars(found.scores())
        headline = found.headline()
        wanted = {name: told[name] for name in headline if name in told}
        if found is of_classes:
            right = of_classes.probabilities.argmax(1) == of_classes.targets.argmax(1)
            wanted["accuracy"] = float(right.float().mean())
        assert {name: headline[name] for name in wanted} == pytest.approx(wanted, **NEAR)
        each = found.resampled(torch.ones(40, 1))["average_precision"][:, 0].tolist()
        assert each == pytest.approx([label.average_precision for label in told["classes"]], **NEAR)
    assert of_classes.headline()["loss"] == pytest.approx(float(of_classes.losses().mean()), **NEAR)
    known = of_labels.targets != -1
    cells = torch.nn.functional.binary_cross_entropy(of_labels.probabilities[known], of_labels.targets[known])
    assert of_labels.headline()["loss"] == pytest.approx(float(cells), **NEAR)
    told = vars(of_points.scores())
    headline = of_points.headline()
    assert headline.pop("loss") == pytest.approx(told["mse_norm"], **NEAR)
    assert headline == pytest.approx({name: told[name] for name in headline}, **NEAR)
    each = of_points.resampled(torch.ones(40, 1))["median_px_of_each"][:, 0].tolist()
    assert each == pytest.approx(of_points.errors_px().nanquantile(0.5, 0).tolist(), **NEAR)
    wanted = {f"{kind}_{name}": vars(of)[kind] for name, of in of_values.scores().items()
              for kind in ("mae", "rmse", "r2", "spearman")}  # fmt: skip
    headline = of_values.headline()
    loss = headline.pop("loss")
    assert headline == pytest.approx(wanted, **NEAR)
    standard = (of_values.predicted - of_values.targets) / of_values.std
    assert loss == pytest.approx(float(standard.square().nanmean()), **NEAR)


def test_a_resample_without_a_positive_leaves_the_label_out():
    found = label_predictions(torch.tensor([[0.9, 0.2], [0.1, 0.8]]), torch.tensor([[1.0, 0], [0, 1.0]]), ["a", "b"])
    scores = found.resampled(torch.tensor([[2.0, 1], [0, 1]]))
    assert scores["average_precision"][1].isnan().tolist() == [True, False]
    assert scores["mAP"].tolist() == [1.0, 1.0]
    assert not math.isnan(found.intervals().scores["mAP"].low)


def test_nothing_known_has_no_interval():
    found = points(4, 0)
    nothing = PointPredictions(**{**vars(found), "visible": torch.zeros_like(found.visible)})
    assert np.isnan(nothing.intervals().scores["median_px"]).all()


def test_two_models_on_the_same_images_differ_by_less_than_they_are_unsure_of():
    """Hard images are hard for both: the paired difference is narrower than that of two draws."""
    generator = torch.Generator().manual_seed(0)
    hard = torch.randn(400, 1, generator=generator) * 2
    targets = (torch.rand(400, 3, generator=generator) < 0.3).float()
    logits = 2 * targets - 1 + hard + 0.3 * torch.randn(400, 3, generator=generator)
    a = label_predictions(logits.sigmoid(), targets, list("abc"))
    b = label_predictions((logits + 0.2 * torch.randn(400, 3, generator=generator)).sigmoid(), targets, list("abc"))
    of_a, of_b, other = (bootstrap(of.resampled, 400, resamples=300, seed=s)["loss"] for of, s in
                         ((a, 0), (b, 0), (b, 1)))  # fmt: skip
    paired, unpaired = (interval(0.0, difference - difference.median()) for difference in (of_b - of_a, other - of_a))
    assert paired.high - paired.low < 0.4 * (unpaired.high - unpaired.low)


def test_losses_of_two_models_are_compared_in_one_unit():
    """Each model's are in the standard deviations of its own training, which says nothing of how good it is."""
    a = values(9, 0)
    b = a.take(torch.arange(9))
    other = replace(b, std=b.std * 2, mean=b.mean + 1)
    swapped = replace(other, names=["kg", "age"], **{n: getattr(other, n)[:, [1, 0]] for n in COLUMNS})
    assert not torch.allclose(swapped.losses(), a.losses(), equal_nan=True)
    assert torch.allclose(swapped.on_scale_of(a).losses(), a.losses(), equal_nan=True)
