"""The report's page of a regressor of points."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from lightning_tasks.reports.figures import INK, Chart, draw_chart
from lightning_tasks.reports.gallery import ReadReduced, make_gallery
from lightning_tasks.reports.page import render_page
from lightning_tasks.reports.run_info import RunInfo
from lightning_tasks.tasks.keypoints.scores import PointScores, scores_by_group, scores_by_point

if TYPE_CHECKING:
    from lightning_tasks.tasks.keypoints.predictions import PointPredictions

_TEMPLATE = Path(__file__).with_name("page.html.j2")
_FEW_POINTS = 10
_BINS = 30


@dataclass(frozen=True)
class PointDetails:
    """An image's points, drawn in the pixels of the original, and how far off they are."""

    n_points: int
    width_px: int
    height_px: int
    annotated: str  # SVG paths
    predicted: str
    errors: str
    error_px: float  # the mean over annotated points; NaN where there are none
    furthest: str  # the name of the point that is furthest off; empty with a single one
    furthest_px: float


def point_details(found: "PointPredictions", row: int) -> PointDetails:
    """Return what is shown of an image."""
    errors_px = found.take(torch.tensor([row])).errors_px()[0]
    width_px, height_px = (int(side) for side in found.original_size_px[row])
    furthest = int(errors_px.nan_to_num(-1).argmax())
    return PointDetails(
        len(found.point_names),
        width_px,
        height_px,
        *_point_paths(found.points_px[row], found.targets_px[row], max(width_px, height_px)),
        error_px=float(errors_px.nanmean()),
        furthest=found.point_names[furthest] if len(found.point_names) > 1 else "",
        furthest_px=float(errors_px[furthest]),
    )


def point_page(found: "PointPredictions", run: RunInfo, split: str, read: ReadReduced, ci: float | None = None) -> str:
    """Return the page; see `SplitPredictions.report`."""
    errors_px = found.errors_px()
    image_errors_px = errors_px.nanmean(1)
    visible_errors_px = errors_px[found.visible]
    intervals = None if ci is None else found.intervals(ci)
    medians = intervals.each["median_px_of_each"] if intervals else []
    return render_page(
        _TEMPLATE,
        run,
        split,
        make_gallery(found.paths, found.groups, image_errors_px, read, found.card_details),
        scores=found.scores(),
        ci=intervals,
        medians=dict(zip(found.point_names, medians, strict=False)),
        by_point=_worst_first(scores_by_point(found.point_names, *found.of_points)),
        by_group=_worst_first(scores_by_group(found.groups, *found.of_points)),
        histogram=error_histogram(visible_errors_px) if len(visible_errors_px) else None,
    )


def error_histogram(errors_px: Tensor) -> Chart:
    """Return how often errors (n,) of which size occur, with n > 0; what lies above 99 of 100 is in the last bar."""
    median, p95, p99 = (float(errors_px.quantile(share)) for share in (0.5, 0.95, 0.99))
    top = p99 or 1.0

    def draw(ax: Axes) -> None:
        ax.hist(errors_px.clamp(max=top).tolist(), bins=_BINS, range=(0, top), histtype="stepfilled", color="#3d84d6")
        ax.axvline(median, color=INK, ls="--", label=f"median {median:.1f} px")
        ax.axvline(p95, color=INK, ls=":", label=f"95th percentile {p95:.1f} px")
        ax.set(xlabel="error in pixels of the original image", ylabel="points")
        ax.yaxis.set_major_locator(MaxNLocator(integer=True))

    alt = f"Histogram of {len(errors_px):,} errors: half are below {median:.1f} px, 95 of 100 below {p95:.1f} px."
    return draw_chart("Errors", f"{alt} The last bar holds all from {top * (1 - 1 / _BINS):.1f} px on.", draw)


def _point_paths(points_px: Tensor, targets_px: Tensor, side_px: float) -> tuple[str, str, str]:
    """Return SVG paths of circles at the annotated places, diamonds at the predicted ones, and lines between."""
    r = side_px / (40 if len(points_px) < _FEW_POINTS else 100)
    circles, diamonds, lines = "", "", ""
    for (x, y), (true_x, true_y) in zip(points_px.tolist(), targets_px.tolist(), strict=True):
        diamonds += f"M{x:.1f} {y - r:.1f}l{r:.1f} {r:.1f} {-r:.1f} {r:.1f} {-r:.1f} {-r:.1f}z"
        if true_x == true_x:  # NaN: not annotated
            half = f"a{r:.1f} {r:.1f} 0 1 0"
            circles += f"M{true_x - r:.1f} {true_y:.1f}{half} {2 * r:.1f} 0{half} {-2 * r:.1f} 0z"
            lines += f"M{true_x:.1f} {true_y:.1f}L{x:.1f} {y:.1f}"
    return circles, diamonds, lines


def _worst_first(scores: Mapping[str, PointScores]) -> dict[str, PointScores]:
    return dict(sorted(scores.items(), key=lambda item: 0.0 if math.isnan(item[1].median_px) else -item[1].median_px))
