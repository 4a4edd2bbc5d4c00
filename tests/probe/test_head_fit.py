"""The fit of heads: scikit-learn's solution, and fits that do not depend on each other."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from lightning_tasks.models.heads import fastai_head, linear_head
from lightning_tasks.probe.head_fit import Setting, Table, apply_head, fit_heads


def bce(outputs, targets, rows):
    return binary_cross_entropy_with_logits(outputs, targets)


@pytest.fixture(scope="module")
def table():
    """Labels that depend on features of very different sizes, with noise: 300 rows, 3 labels."""
    rng = np.random.default_rng(3)
    features = (rng.normal(size=(300, 8)) * np.geomspace(0.1, 20, 8) + 3).astype(np.float16)
    truth = StandardScaler().fit_transform(features) @ rng.normal(size=(8, 3)) + rng.normal(size=(300, 3)) > 0.5
    return Table(torch.from_numpy(features), torch.from_numpy(truth.astype(np.float32)), torch.arange(300))


@pytest.mark.parametrize("weight_decay", [1e-2, 1e-1])
def test_it_finds_the_solution_of_logistic_regression(table, weight_decay):
    """The mean over rows and labels plus half the decay times the squared norm is scikit-learn's sum, with this C."""
    features, targets = table.features.double().numpy(), table.targets.numpy()
    scaled = StandardScaler().fit_transform(features)
    (head,) = fit_heads(linear_head(8, 3, dropout=0.0), [Setting(weight_decay, 0.1)], table, bce, 300, 300, seed=0)
    found = apply_head(head, table.features).numpy()
    for label in range(3):
        oracle = LogisticRegression(C=1 / (weight_decay * targets.size), tol=1e-8, max_iter=1000)
        oracle.fit(scaled, targets[:, label])
        assert found[:, label] == pytest.approx(oracle.decision_function(scaled), abs=0.02)


@pytest.mark.parametrize("head", [linear_head(8, 3), fastai_head(8, 3, hidden=6)], ids=["linear", "fastai"])
def test_what_one_setting_comes_to_does_not_depend_on_the_others(table, head):
    settings = [Setting(0.0, 1e-2), Setting(1e-1, 3e-3), Setting(1e-3, 1e-2)]
    together = fit_heads(head, settings, table, bce, 3, 64, seed=5)
    for setting, found in zip(settings, together, strict=True):
        (alone,) = fit_heads(head, [setting], table, bce, 3, 64, seed=5)
        for name, value in alone.state_dict().items():
            torch.testing.assert_close(found.state_dict()[name], value)
    other = fit_heads(head, settings[:1], table, bce, 3, 64, seed=6)[0]
    assert not torch.equal(apply_head(other, table.features), apply_head(together[0], table.features))


def test_an_epoch_has_rows_as_often_as_their_factors_say(table):
    factors, seen = np.where(np.arange(300) < 30, 4.0, 1.0), []

    def noted(outputs, targets, rows):
        seen.append(rows)
        return bce(outputs, targets, rows)

    fit_heads(linear_head(8, 3), [Setting(0.0, 1e-2)], table, noted, 20, 64, 5, factors)
    counts = torch.cat(seen).bincount(minlength=300)
    assert counts.sum() == 20 * 300
    assert float(counts[:30].float().mean()) == pytest.approx(20 * 4 * 300 / 390, rel=0.02)


def test_no_batch_is_of_one_row(table):
    (head,) = fit_heads(linear_head(8, 3), [Setting(0.0, 1e-2)], table.take(torch.arange(300) < 5), bce, 1, 2, 0)
    assert apply_head(head, table.features).isfinite().all()


def test_the_head_itself_and_random_numbers_stay(table):
    head = linear_head(8, 3).eval()
    before, random = {name: value.clone() for name, value in head.state_dict().items()}, torch.get_rng_state()
    fit_heads(head, [Setting(0.0, 1e-2)], table, bce, 2, 64, seed=5)
    assert all(torch.equal(before[name], value) for name, value in head.state_dict().items())
    assert not head.training
    assert torch.equal(torch.get_rng_state(), random)


def test_statistics_are_those_of_the_whole_table(table):
    (head,) = fit_heads(linear_head(8, 3), [Setting(0.0, 1e-2)], table, bce, 1, 32, seed=0)
    norm = head[0]
    assert norm.running_mean.numpy() == pytest.approx(table.features.float().mean(0).numpy(), rel=1e-5)
    assert norm.running_var.numpy() == pytest.approx(table.features.float().var(0).numpy(), rel=1e-5)


def test_a_head_of_one_module_and_numbers(table):
    """No Sequential, and a loss of another kind: a plane through points."""

    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.layer = nn.BatchNorm1d(8), nn.Linear(8, 1)

        def forward(self, features):
            return self.layer(self.norm(features))

    plane = table.features.float() @ torch.linspace(-1, 1, 8)[:, None]
    plane = (plane - plane.mean()) / plane.std()
    table = table._replace(targets=plane)
    (head,) = fit_heads(Head(), [Setting(0.0, 0.05)], table, lambda out, true, rows: mse_loss(out, true), 100, 100, 0)
    assert apply_head(head, table.features).numpy() == pytest.approx(plane.numpy(), abs=0.05)
