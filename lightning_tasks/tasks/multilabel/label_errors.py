"""Labels that are probably wrong, by confident learning: cleanlab on predictions of images not trained on."""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lightning_tasks.errors import MissingLibraryError
from lightning_tasks.tasks.multilabel.scores import IGNORED
from lightning_tasks.tasks.suspects import Kind, Suspect, most_suspicious

_TAIL = 20  # annotated cells


class _Cell(NamedTuple):
    """A cell that cleanlab takes for an issue."""

    row: int
    label: str
    has: bool  # whether the label is annotated
    p: float  # its probability
    quality: float  # by cleanlab
    usual: float  # how often the label is annotated so all the same: see `_usual_rates`


def label_suspects(probabilities: Tensor, targets: Tensor, vocab: Sequence[str]) -> list[Suspect]:
    """Return the cells of (N, C) that are probably wrong, the most suspicious first.

    Each label is looked at by itself, as cleanlab does with any number of labels, over the cells that count: of a cell
    that does not, nothing is said that could be wrong. A label that all of them have, or none, has no errors that could
    be told from rare cases.

    The score is cleanlab's doubt of the cell (1 − its label quality), times a share where the model is often wrong of
    this label: where it is annotated against the model's word more often than the median label is, by that much less.
    Else a label that is hard to see, as `person` in the background, would be at the head of the list.

    Args:
        probabilities: (N, C), out of sample.
        targets: (N, C) of 1, 0 and −1, which does not count.
        vocab: C labels.

    Raises:
        MissingLibraryError: cleanlab is not installed.
    """
    cells: list[_Cell] = []
    typical: dict[bool, list[float]] = {True: [], False: []}
    for label, column, given in zip(vocab, probabilities.T, targets.T, strict=True):
        rows = (given != IGNORED).nonzero().flatten().numpy()
        has = (given[rows] == 1).numpy()
        if has.all() or not has.any():
            continue
        p = column[rows].double().numpy()
        issues, quality = _judge(has.astype(np.int64), np.stack([1 - p, p], 1))
        usual = np.where(has, _usual_rates(p, has), _usual_rates(-p, ~has))
        for is_given in (True, False):
            typical[is_given].append(float(usual[has == is_given].min()))
        cells += [_Cell(int(rows[i]), label, bool(has[i]), p[i], quality[i], usual[i]) for i in np.flatnonzero(issues)]
    common = {has: float(np.median(rates)) for has, rates in typical.items() if rates}
    return most_suspicious(_suspect(cell, min(1.0, common[cell.has] / cell.usual)) for cell in cells)


def _usual_rates(p: NDArray[np.float64], has: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return for each of n cells which share of those that have at most its p are annotated.

    It is taken over _TAIL annotated cells at least: the rate of a few says nothing.
    """
    annotated, every = np.sort(p[has]), np.sort(p)
    limits = np.maximum(p, annotated[min(_TAIL, len(annotated)) - 1])
    rates: NDArray[np.float64] = np.searchsorted(annotated, limits, "right") / np.searchsorted(every, limits, "right")
    return rates


def _suspect(cell: _Cell, share: float) -> Suspect:
    kind: Kind = "extra" if cell.has else "missing"
    reason = f"{cell.label} is {'' if cell.has else 'not '}annotated; the model gives it {cell.p:.0%}"
    score = (1 - cell.quality) * share
    return Suspect(cell.row, cell.label, kind, score, f"{cell.has:d}", f"{cell.p:.6f}", reason)


def class_suspects(probabilities: Tensor, targets: Tensor, vocab: Sequence[str]) -> list[Suspect]:
    """Return the images whose one label is probably wrong; see `label_suspects`. Each of the targets (N, C) has one."""
    given, likeliest = targets.argmax(1).numpy(), probabilities.argmax(1).numpy()
    if len(np.unique(given)) < 2:
        return []
    shares = probabilities.double().numpy()
    issues, quality = _judge(given, shares / shares.sum(1, keepdims=True))
    return most_suspicious([
        Suspect(
            row,
            what := vocab[given[row]],
            "other",
            1 - float(quality[row]),
            what,
            vocab[likeliest[row]],
            f"{what} is annotated; the model gives it {shares[row, given[row]]:.0%}, and "
            f"{vocab[likeliest[row]]} {shares[row, likeliest[row]]:.0%}",
        )
        for row in np.flatnonzero(issues).tolist()
    ])  # fmt: skip


def _judge(given: NDArray[np.int64], shares: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return which of n given classes are issues, and the quality of each, for the shares (n, K) of K classes."""
    require_cleanlab()
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it flags no more where a class has hardly an image
        issues = find_label_issues(given, shares, n_jobs=1)
    return issues, get_label_quality_scores(given, shares)


def require_cleanlab() -> None:
    """Raise MissingLibraryError where cleanlab is not installed."""
    try:
        import cleanlab.filter  # noqa: F401 - what is used of it
    except ImportError as error:
        raise MissingLibraryError(
            "Suspicious labels need cleanlab: pip install 'lightning-tasks[label-errors]'"
        ) from error
