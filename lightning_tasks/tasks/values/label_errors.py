"""Numbers that are probably wrong: residuals against the model's own spread."""

from collections.abc import Sequence

from torch import Tensor

from lightning_tasks.tasks.suspects import SUSPICIOUS, Suspect, most_suspicious, robust_deviations


def value_suspects(predicted: Tensor, targets: Tensor, names: Sequence[str]) -> list[Suspect]:
    """Return the numbers that are probably wrong, the most suspicious first.

    The residuals of each target are measured in their own spread, which a few wrong ones do not change.

    Args:
        predicted: (N, T), out of sample.
        targets: (N, T), NaN where not known.
        names: of the T targets.
    """
    residuals = (predicted - targets).double()
    scores = robust_deviations(residuals)
    suspects = []
    for row, target in (scores > SUSPICIOUS).nonzero().tolist():
        name, score = names[target], float(scores[row, target])
        given, found = (f"{float(numbers[row, target]):.7g}" for numbers in (targets, predicted))
        reason = f"{name}: {found} is predicted for {given} ({score:.1f} times the spread)"
        suspects.append(Suspect(row, name, "value", score, given, found, reason))
    return most_suspicious(suspects)
