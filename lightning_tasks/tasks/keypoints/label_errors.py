"""Points that are probably annotated at a wrong place: residuals against the model's own spread."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_tasks.tasks.suspects import SUSPICIOUS, Place, Suspect, most_suspicious

_MEDIAN_LENGTH = 1.1774  # of a vector of two normal numbers, in their standard deviation
_BETTER = 4.0  # times smaller two points' squared residuals must be in each other's place: half as far off


def point_suspects(
    points_px: Tensor, targets_px: Tensor, sizes_px: Tensor, names: Sequence[str], order: Sequence[int] | None
) -> list[Suspect]:
    """Return the annotated points that are probably at a wrong place, the most suspicious first.

    A point's residuals are measured in their own spread over all images, which a few wrong ones do not change: the
    corner of an eye is found more exactly than a jaw. In an image where the model is off throughout, by more than
    usual, its points may be off by that much more. Two points of both sides that are half as far off in each other's
    place are taken for swapped.

    Args:
        points_px: predicted (N, P, 2), out of sample.
        targets_px: annotated (N, P, 2), NaN where not.
        sizes_px: (N, 2), width and height of the images.
        names: P points.
        order: which point each becomes in a mirrored image; None: not known.
    """
    partners = list(range(len(names)) if order is None else order)
    scores, swapped = suspicion(points_px, targets_px, sizes_px, partners)
    distances_px = torch.linalg.vector_norm(points_px - targets_px, dim=-1)
    suspects = []
    for row, point in (scores > SUSPICIOUS).nonzero().tolist():
        name, partner, spreads = names[point], partners[point], f"{float(scores[row, point]):.1f} times the usual"
        given, predicted = (Place(*places[row, point].tolist()) for places in (targets_px, points_px))
        if is_swapped := bool(swapped[row, point]):
            both = " and ".join(names[each] for each in sorted((point, partner)))
            reason = f"{both} seem to be in each other’s place ({spreads} spread off)"
        else:
            reason = f"{name} is {float(distances_px[row, point]):.1f} px off ({spreads} spread)"
        suspects.append(
            Suspect(
                row,
                name,
                "swapped" if is_swapped else "moved",
                float(scores[row, point]),
                _cell(given),
                _cell(predicted),
                reason,
                given,
                Place(*targets_px[row, partner].tolist()) if is_swapped else predicted,
            )
        )
    return most_suspicious(suspects)


def suspicion(
    points_px: Tensor, targets_px: Tensor, sizes_px: Tensor, partners: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Return how many spreads each point is off (N, P), NaN where not annotated, and which are swapped (N, P) bool.

    `partners`: the point of the other side of each of the P, or itself. For the rest see `point_suspects`.
    """
    scale = sizes_px.double().prod(1).sqrt()[:, None, None]  # residuals are shares of the images' size
    residuals = (points_px.double() - targets_px) / scale
    centre = residuals.nanmedian(0).values
    lengths = torch.linalg.vector_norm(residuals - centre, dim=-1)
    spread = lengths.nanmedian(0).values / _MEDIAN_LENGTH
    exchanged = (points_px.double() - targets_px[:, list(partners)]) / scale
    others = _in_spreads(torch.linalg.vector_norm(exchanged - centre, dim=-1), spread)
    scores = _in_spreads(lengths, spread)
    squares, in_others_place = (each.square() + each[:, list(partners)].square() for each in (scores, others))
    swapped = squares > _BETTER * in_others_place  # False where one of them is not annotated, and of what is its own
    right = torch.where(swapped, others, scores)  # a whole face that is swapped is not a face that is hard to read
    of_image = right.nanmedian(1, keepdim=True).values / _MEDIAN_LENGTH
    both = torch.where(swapped, torch.maximum(scores, scores[:, list(partners)]), scores)  # of a pair, both are wrong
    return both / of_image.clamp(min=1), swapped


def _in_spreads(lengths: Tensor, spread: Tensor) -> Tensor:
    """Return lengths (N, P) in spreads (P,); 0 of 0, also where there is no spread."""
    return torch.where(lengths == 0, lengths, lengths / spread)


def _cell(place: Place) -> str:
    return f"{place.x_px:.2f} {place.y_px:.2f}"
