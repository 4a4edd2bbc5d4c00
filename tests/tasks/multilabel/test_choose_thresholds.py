"""What `thresholds` chooses and says, from logits alone."""

import re
from types import SimpleNamespace

import pytest
import torch

from lightning_tasks.tasks.multilabel.thresholds import choose_thresholds
from tests.fakes import label_predictions

VOCAB = ["cat", "dog"]
TRUTH = torch.tensor([[0, 1], [1, 0]] * 10)


def choose(logits, truth, vocab, temperature, *args, **kwargs):
    found = label_predictions((logits / temperature).sigmoid(), truth, vocab, logits=logits)
    choice = choose_thresholds(found, temperature, *args, **kwargs)
    return SimpleNamespace(table=choice.table, **choice.hyper_parameters)


def logits_at(low, high):
    """Twenty images whose labels are ranked perfectly, their logits around `high` and `low`."""
    spread = torch.linspace(0, 0.5, 20)[:, None]
    return torch.where(TRUTH == 1, high + spread, low - spread)


@pytest.mark.parametrize("calibrate", [False, True])
@pytest.mark.parametrize("each_label", [False, True])
@pytest.mark.parametrize("aim", ["accuracy", "f1", "precision_at_recall"])
@pytest.mark.parametrize(
    "logits", [logits_at(-6, -4), logits_at(-40, -30), logits_at(14, 15)], ids=["5%", "0%", "100%"]
)
def test_what_is_ranked_perfectly_is_told_apart(logits, aim, each_label, calibrate):
    choice = choose(logits, TRUTH, VOCAB, 1.0, aim, 0.8, each_label, calibrate)
    said = (logits / choice.temperature).sigmoid() > torch.tensor(choice.threshold)  # as the model says it
    assert torch.equal(said, TRUTH == 1)
    rows = [line for line in choice.table.splitlines() if re.match("cat |dog |one for ", line)]
    assert all(re.search(r"1\.0000 +1\.0000 +1\.0000$", row) for row in rows)
    assert len(rows) == 5
    assert " 0.000 " not in choice.table  # a small threshold is no 0
    assert "recall" not in choice.table.replace("precision  recall", "")


@pytest.mark.parametrize("aim", ["accuracy", "f1", "precision_at_recall"])
@pytest.mark.parametrize(("logit", "end"), [(-200, "0"), (20, "1")])
def test_labels_whose_probabilities_all_round_to_an_end_are_named(logit, end, aim):
    logits = logits_at(-6, -4)
    logits[:, 1] = logit + TRUTH[:, 1]  # ranked perfectly, which float32 does not see
    named = "dog: every probability rounds to "
    assert f"{named}{end}, which no threshold tells apart" in choose(logits, TRUTH, VOCAB, 1.0, aim).table
    assert named not in choose(logits, TRUTH, VOCAB, 1.0, aim, calibrate=True).table


def test_a_temperature_is_chosen_of_logits_that_all_round_to_1():
    """Sure and often wrong: of their probabilities, all 1, no temperature could be told."""
    logits = torch.linspace(20, 40, 20)[:, None].expand(-1, 2).clone()
    choice = choose(logits, TRUTH, VOCAB, 1.0, calibrate=True)
    assert choice.temperature == 20
    again = choose(logits, TRUTH, VOCAB, 4.0, calibrate=True)  # whatever the checkpoint's was
    assert (again.temperature, again.threshold) == (
        choice.temperature,
        choice.threshold,
    )


def test_a_recall_that_no_threshold_reaches_is_told():
    logits = logits_at(-6, -4)
    logits[1::2, 0][:4] = -200.0  # four of the ten cats have a probability of 0: above no threshold
    choice = choose(logits, TRUTH, VOCAB, 1.0, "precision_at_recall", 0.8)
    assert "cat: recall 0.6000 is the most that a threshold finds, not 0.8" in choice.table
    assert "dog: recall" not in choice.table
    one = choose(logits, TRUTH, VOCAB, 1.0, "precision_at_recall", 0.9, each_label=False)
    assert "all labels: recall 0.8000 is the most that a threshold finds, not 0.9" in one.table


def test_a_recall_that_other_images_do_not_keep_is_told():
    logits = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    choice = choose(logits, TRUTH, VOCAB, 1.0, "precision_at_recall", 1.0)
    kept = float(re.search(r"one for each, cross-fitted +[0-9.]+ +[0-9.]+ +([0-9.]+)", choice.table)[1])
    assert kept < 1
    assert f"expect a recall of {kept:.4f} of other images, not 1" in choice.table


def test_labels_without_a_positive_are_named():
    truth = TRUTH.clone()
    truth[:, 0] = 0
    choice = choose(logits_at(-6, -4), truth, VOCAB, 1.0)
    assert choice.threshold[0] == 0.5
    assert "cat: no positive to choose by, so 0.5" in choice.table
