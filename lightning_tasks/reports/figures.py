"""The report's figures as SVG text, in colours that can be read on a light and on a dark page."""

import io
import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, MaxNLocator

from lightning_tasks.reports.fonts import letter_figure
from lightning_tasks.reports.lr_curve import lr_figure

INK, _LR_CURVE = "#767676", "#57606a"  # each becomes the page's own colour of text
_INCHES = (4.6, 3.1)  # small, so that a phone shows them at their own size
# Told apart without colour too.
_LINES = (("#3d84d6", "-"), ("#d9772b", "--"), ("#3c9a5f", "-."), ("#9a6dd7", ":"))
_STYLE: Any = {  # matplotlib types every key
    "svg.fonttype": "none",
    "svg.hashsalt": "report",  # or every page would have other ids
    "text.parse_math": False,  # names of metrics are the user's
    "font.size": 9,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
}


class Chart(NamedTuple):
    """A figure of the page."""

    title: str
    alt: str  # what it shows, in words
    svg: str


def learning_curves(rows: Sequence[Mapping[str, str]]) -> list[Chart]:
    """Return what can be drawn of a run's metrics.csv: losses, scores and pixel errors by epoch, rates by step.

    Args:
        rows: of the csv, as text; an empty cell is no value.
    """
    columns = list(rows[0]) if rows else []
    val = [column for column in columns if column.startswith("val/") and column != "val/loss"]
    kinds: list[tuple[str, str, list[str]]] = [
        ("Loss", "epoch", [column for column in ("train/loss_epoch", "val/loss") if column in columns]),
        ("Scores on validation", "epoch", [column for column in val if not column.endswith("_px")]),
        ("Error on validation, in pixels", "epoch", [column for column in val if column.endswith("_px")]),
        ("Learning rate", "step", [column for column in columns if column.startswith("lr")]),
    ]
    charts = (
        _curves(title, against, {name: _series(rows, against, name) for name in names})
        for title, against, names in kinds
    )
    return [chart for chart in charts if chart is not None]


def lr_find_chart(rows: Sequence[Mapping[str, str]], lr: float | None) -> Chart | None:
    """Return the learning-rate finder's curve; None where there is none.

    Args:
        rows: of lr_find.csv, as text.
        lr: the rate that the run took, to be marked; None: none is.
    """
    points = _series(rows, "lr", "smoothed_loss")
    if not points:
        return None
    lrs, smoothed = zip(*points, strict=True)
    with matplotlib.rc_context(_STYLE):
        figure = lr_figure(lrs, smoothed, {} if lr is None else {"this run": lr}, None)
        _plain_log(figure.axes[0].xaxis)
        svg = _svg(figure)
    taken = "" if lr is None else f"; this run's rate is {lr:.2e}"
    return Chart(
        "Smoothed loss by learning rate", f"Smoothed loss over rates from {lrs[0]:.0e} to {lrs[-1]:.0e}{taken}.", svg
    )


def draw_chart(title: str, alt: str, draw: Callable[[Axes], None]) -> Chart:
    """Return a chart of what `draw` draws on axes in the page's style, with a legend above of what has a label.

    Args:
        title: stands over it.
        alt: what it shows, in words.
        draw: `INK` in it becomes the page's own colour of text.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=_INCHES, layout="constrained")
        ax = figure.subplots()
        draw(ax)
        if ax.get_legend_handles_labels()[0]:
            figure.legend(loc="outside upper left", ncols=2)
        return Chart(title, alt, _svg(figure))


def _curves(title: str, against: str, curves: Mapping[str, Sequence[tuple[float, float]]]) -> Chart | None:
    curves = {name.removesuffix("_epoch"): points for name, points in curves.items() if points}
    if not curves:
        return None

    def draw(ax: Axes) -> None:
        for (name, points), (colour, line) in zip(curves.items(), itertools.cycle(_LINES), strict=False):
            x, y = zip(*points, strict=True)
            ax.plot(x, y, color=colour, ls=line, marker="o" if against == "epoch" else "", markersize=3, label=name)
        ax.set(xlabel=against, yscale="log" if against == "step" else "linear")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        if against == "step":
            _plain_log(ax.yaxis)

    ends = "; ".join(f"{name} from {points[0][1]:.3g} to {points[-1][1]:.3g}" for name, points in curves.items())
    return draw_chart(title, f"{title} by {against}: {ends}.", draw)


def _plain_log(axis: Axis) -> None:
    """Write 1e-05: powers in mathematics would stand there as source, as no text of ours is parsed for it."""
    axis.set_major_formatter(LogFormatter())
    axis.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(1, 0.4)))


def _series(rows: Sequence[Mapping[str, str]], x: str, y: str) -> list[tuple[float, float]]:
    pairs = ((_number(row.get(x)), _number(row.get(y))) for row in rows)
    return [pair for pair in pairs if all(map(math.isfinite, pair))]


def _number(cell: str | None) -> float:
    try:
        return float(cell or "nan")
    except ValueError:  # of a row that a kill cut short
        return math.nan


def _svg(figure: Figure) -> str:
    letter_figure(figure)
    figure.set_size_inches(*_INCHES)
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)  # "axes_1" stands in every figure; what is referred to are paths
    return re.sub(f"{INK}|{_LR_CURVE}", "currentColor", svg)
