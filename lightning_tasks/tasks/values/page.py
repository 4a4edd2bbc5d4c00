"""The report's page of a regressor of numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from matplotlib.axes import Axes
from torch import Tensor

from lightning_tasks.reports.figures import INK, Chart, draw_chart
from lightning_tasks.reports.gallery import ReadReduced, make_gallery
from lightning_tasks.reports.page import render_page
from lightning_tasks.reports.run_info import RunInfo
from lightning_tasks.tasks.values.scores import ValueScores, scores_by_group

if TYPE_CHECKING:
    from lightning_tasks.tasks.values.predictions import ValuePredictions

_TEMPLATE = Path(__file__).with_name("page.html.j2")
_BLUE = "#3d84d6"
_BINS = 30
_CHARTS = 12  # targets that have their own
_DOTS = 2000  # of a figure: more would make the page large, and show no more


@dataclass(frozen=True)
class ValueDetails:
    """What stands below an image: of each target its name, the true number (NaN: unknown) and the predicted one."""

    numbers: list[tuple[str, float, float]]


def value_page(found: "ValuePredictions", run: RunInfo, split: str, read: ReadReduced, ci: float | None = None) -> str:
    """Return the page; see `SplitPredictions.report`."""
    charts = []
    for name, targets, predicted in list(zip(found.names, found.targets.T, found.predicted.T, strict=True))[:_CHARTS]:
        known = ~targets.isnan()
        if known.any():
            charts += [scatter(name, targets[known], predicted[known]), residuals(name, (predicted - targets)[known])]
    by_group = scores_by_group(found.groups, found.predicted, found.targets, found.names, found.mean, found.median)
    return render_page(
        _TEMPLATE,
        run,
        split,
        make_gallery(found.paths, found.groups, found.losses(), read, found.card_details),
        scores=found.scores(),
        ci=None if ci is None else found.intervals(ci),
        charts=charts,
        by_group={name: _worst_first({g: of[name] for g, of in by_group.items()}) for name in found.names},
    )


def scatter(name: str, targets: Tensor, predicted: Tensor) -> Chart:
    """Return the predicted numbers (n,) against the true ones, evenly thinned where they are many."""
    step = -(-len(targets) // _DOTS)
    low, high = (float(bound) for bound in torch.cat([targets, predicted]).aminmax())

    def draw(ax: Axes) -> None:
        ax.plot([low, high], [low, high], color=INK, ls="--", lw=1, label="predicted = true")
        ax.scatter(targets[::step].numpy(), predicted[::step].numpy(), s=14, alpha=0.7, color=_BLUE, linewidths=0)
        ax.set(xlabel=f"{name}, true", ylabel=f"{name}, predicted")

    alt = f"Predicted {name} against the true one, for {len(targets):,} images from {low:.4g} to {high:.4g}."
    return draw_chart(f"{name}: predicted against true", alt, draw)


def residuals(name: str, errors: Tensor) -> Chart:
    """Return how often errors (n,), predicted minus true, of which size occur."""
    mean = float(errors.mean())

    def draw(ax: Axes) -> None:
        ax.hist(errors.tolist(), bins=_BINS, histtype="stepfilled", color=_BLUE)
        ax.axvline(0, color=INK, lw=1)
        ax.axvline(mean, color=INK, ls="--", label=f"mean {mean:.3g}")
        ax.set(xlabel=f"{name}: predicted − true", ylabel="images")

    alt = f"Histogram of {len(errors):,} errors of {name}, predicted minus true; their mean is {mean:.3g}."
    return draw_chart(f"{name}: residuals", alt, draw)


def _worst_first(scores: Mapping[str, ValueScores]) -> dict[str, ValueScores]:
    return dict(sorted(scores.items(), key=lambda item: -item[1].mae if item[1].n else 0.0))
