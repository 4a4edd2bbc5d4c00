"""Pixel errors of predicted points: what torchmetrics lacks.

Everywhere `predicted_norm` and `target_norm` are (B, P, 2), on the −1..1 scale of images that were resized as a whole;
`visible` is (B, P) bool; `original_size_px` is (B, 2), width and height on disk. ValueError: the shapes differ, and
(B, 2) against (B, 1, 2) would broadcast to nonsense in silence.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


def masked_mse(predicted_norm: Tensor, target_norm: Tensor, visible: Tensor) -> Tensor:
    """Return the mean squared error over the coordinates of the visible points; 0 where there are none."""
    squared = _difference(predicted_norm, target_norm, visible).square().sum(-1) * visible
    return squared.sum() / (2 * visible.sum()).clamp(min=1)


def point_losses(predicted_norm: Tensor, target_norm: Tensor, visible: Tensor) -> Tensor:
    """Return each image's mean squared error (B,) over its visible points; NaN where it has none."""
    squared = _difference(predicted_norm, target_norm, visible).square().sum(-1) * visible
    return squared.sum(1) / (2 * visible.sum(1))


def pixel_errors(predicted_norm: Tensor, target_norm: Tensor, visible: Tensor, original_size_px: Tensor) -> Tensor:
    """Return the Euclidean errors (n,) of the n visible points, in pixels of the original images."""
    return distances_px(predicted_norm, target_norm, visible, original_size_px)[visible]


def original_points_px(points_norm: Tensor, image_size: tuple[int, int], original_size_px: Tensor) -> Tensor:
    """Return points (B, P, 2) in the original images' pixels, for those of images resized to a height and width.

    The centre of the top-left pixel is (0, 0).
    """
    resized = torch.tensor([image_size[1], image_size[0]], device=points_norm.device)
    # Pixels span ±½ around their centres: that half grows with the image.
    half = (original_size_px / resized - 1) / 2
    return (points_norm + 1) * original_size_px[:, None] / 2 + half[:, None]


@dataclass(frozen=True)
class PointScores:
    """The scores of some points; NaN where there are none."""

    points: int
    mse_norm: float
    mean_px: float
    median_px: float
    p95_px: float
    pck_5px: float
    pck_10px: float


def point_scores(predicted_norm: Tensor, target_norm: Tensor, visible: Tensor, original_size_px: Tensor) -> PointScores:
    """Return the scores over all visible points.

    PCK is the share of correct keypoints: those within so many pixels of the annotated place.
    """
    errors_px = pixel_errors(predicted_norm, target_norm, visible, original_size_px).double()
    if not len(errors_px):
        return PointScores(0, *([math.nan] * 6))
    median, p95 = errors_px.quantile(torch.tensor([0.5, 0.95], dtype=torch.float64)).tolist()
    return PointScores(
        points=len(errors_px),
        mse_norm=float(masked_mse(predicted_norm, target_norm, visible)),
        mean_px=float(errors_px.mean()),
        median_px=median,
        p95_px=p95,
        pck_5px=float((errors_px <= 5).double().mean()),
        pck_10px=float((errors_px <= 10).double().mean()),
    )


def scores_by_point(
    point_names: Sequence[str], predicted_norm: Tensor, target_norm: Tensor, visible: Tensor, original_size_px: Tensor
) -> dict[str, PointScores]:
    """Return the scores of each of the P points by its name."""
    return {
        name: point_scores(predicted_norm[:, [p]], target_norm[:, [p]], visible[:, [p]], original_size_px)
        for p, name in enumerate(point_names)
    }


def scores_by_group(
    groups: Sequence[str], predicted_norm: Tensor, target_norm: Tensor, visible: Tensor, original_size_px: Tensor
) -> dict[str, PointScores]:
    """Return the scores of each group of the B images (person, say), in the order of their first image."""
    rows = {group: torch.tensor([other == group for other in groups]) for group in dict.fromkeys(groups)}
    return {
        group: point_scores(predicted_norm[of], target_norm[of], visible[of], original_size_px[of])
        for group, of in rows.items()
    }


_NOT_VISIBLE = -1.0  # no distance is


class PixelErrorQuantiles(Metric):
    """Median and 95th percentile of pixel errors, gathered over batches and processes."""

    higher_is_better = False
    full_state_update = False
    errors_px: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("errors_px", default=[], dist_reduce_fx="cat")

    def update(self, predicted_norm: Tensor, target_norm: Tensor, visible: Tensor, original_size_px: Tensor) -> None:
        """Add a batch."""
        # All of them: to count the visible ones, a GPU would have to be waited for in each batch.
        off_px = distances_px(predicted_norm, target_norm, visible, original_size_px)
        self.errors_px.append(torch.where(visible, off_px, _NOT_VISIBLE).flatten())

    def compute(self) -> dict[str, Tensor]:
        """Return `median_px` and `p95_px`; NaN before any error came."""
        errors = dim_zero_cat(self.errors_px) if len(self.errors_px) else torch.empty(0, device=self.device)
        errors = errors[errors != _NOT_VISIBLE].float()
        if not errors.numel():
            errors = errors.new_tensor([torch.nan])
        median, p95 = torch.quantile(errors, errors.new_tensor([0.5, 0.95]))
        return {"median_px": median, "p95_px": p95}


class NormalisedMeanError(Metric):
    """Mean pixel error as a share of the distance between two of the points, such as the outer corners of the eyes.

    Over the visible points of the images that have both, gathered over batches and processes; images of any scale
    count alike. Source: Sagonas et al., "300 Faces in-the-Wild Challenge", 2013.
    """

    higher_is_better = False
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, left: int, right: int) -> None:
        super().__init__()
        self.left, self.right = left, right  # positions of the two among the points
        self.add_state("total", default=torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", default=torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, predicted_norm: Tensor, target_norm: Tensor, visible: Tensor, original_size_px: Tensor) -> None:
        """Add a batch."""
        off_px = distances_px(predicted_norm, target_norm, visible, original_size_px)
        left, right = ((target_norm[:, [point]], visible[:, [point]]) for point in (self.left, self.right))
        apart_px = distances_px(left[0], right[0], left[1], original_size_px)
        counted = visible & left[1] & right[1] & (apart_px > 0)
        self.total += torch.where(counted, off_px / apart_px, 0.0).sum()
        self.count += counted.sum()

    def compute(self) -> Tensor:
        """Return the mean; NaN before any point came."""
        return (self.total / self.count).float()


def distances_px(predicted_norm: Tensor, target_norm: Tensor, visible: Tensor, original_size_px: Tensor) -> Tensor:
    """Return the Euclidean errors (B, P) of all points, visible or not, in pixels of the original images."""
    difference_px = _difference(predicted_norm, target_norm, visible) * original_size_px[:, None] / 2
    distances: Tensor = torch.linalg.vector_norm(difference_px, dim=-1)
    return distances


def _difference(predicted_norm: Tensor, target_norm: Tensor, visible: Tensor) -> Tensor:
    if predicted_norm.shape != target_norm.shape or predicted_norm.shape[:-1] != visible.shape:
        raise ValueError(
            f"predicted points of shape {tuple(predicted_norm.shape)}, targets of {tuple(target_norm.shape)} and "
            f"visibility of {tuple(visible.shape)} do not belong together"
        )
    return predicted_norm - target_norm
