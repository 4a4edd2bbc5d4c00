"""A run's curves, and the report's figures as SVG text, in colours that can be read on a light and a dark page."""

import io
import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, MaxNLocator

from lightning_tasks.atomic_write import put_whole
from lightning_tasks.reports.canvas import letter_figure

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
_LR_COLUMNS = ("lr", "loss", "smoothed_loss")


class Chart(NamedTuple):
    """A figure of the page."""

    title: str
    alt: str  # what it shows, in words
    svg: str


def learning_curves(rows: Sequence[Mapping[str, str]]) -> list[Chart]:
    """Return what can be drawn of a metrics.csv's rows: losses, scores and pixel errors by epoch, rates by step."""
    columns = list(rows[0]) if rows else []
    val = [column for column in columns if column.startswith("val/") and column != "val/loss"]
    kinds: list[tuple[str, str, list[str]]] = [
        ("Loss", "epoch", [column for column in ("train/loss_epoch", "val/loss") if column in columns]),
        ("Scores on validation", "epoch", [column for column in val if not column.endswith("_px")]),
        ("Error on validation, in pixels", "epoch", [column for column in val if column.endswith("_px")]),
        ("Learning rate", "step", [column for column in columns if column.startswith("lr")]),
    ]
    charts = [_curves(title, x, {name: _series(rows, x, name) for name in names}) for title, x, names in kinds]
    return [chart for chart in charts if chart is not None]


def lr_find_chart(rows: Sequence[Mapping[str, str]], lr: float | None) -> Chart | None:
    """Return the curve of a lr_find.csv's rows, if there are any, with the rate that the run took, if that is known."""
    points = _series(rows, "lr", "smoothed_loss")
    if not points:
        return None
    lrs, smoothed = zip(*points, strict=True)
    with matplotlib.rc_context(_STYLE):
        figure = lr_figure(lrs, smoothed, {} if lr is None else {"this run": lr}, None)
        _plain_log(figure.axes[0].xaxis)
        svg = _svg(figure)
    taken = "" if lr is None else f"; this run's rate is {lr:.2e}"
    alt = f"Smoothed loss over rates from {lrs[0]:.0e} to {lrs[-1]:.0e}{taken}."
    return Chart("Smoothed loss by learning rate", alt, svg)


def write_lr_csv(path: Path, lrs: Sequence[float], losses: Sequence[float], smoothed: Sequence[float]) -> None:
    """Write one row a step."""
    rows = [_LR_COLUMNS, *zip(lrs, losses, smoothed, strict=True)]
    text = "".join(f"{','.join(map(str, row))}\r\n" for row in rows)
    put_whole(path, lambda new: new.write_text(text, encoding="ascii", newline=""))


def lr_table(lrs: Sequence[float], losses: Sequence[float], smoothed: Sequence[float]) -> str:
    """Return the same in Markdown, for TensorBoard's page of texts."""
    rows = [f"| {lr:.3e} | {loss:.5f} | {mean:.5f} |" for lr, loss, mean in zip(lrs, losses, smoothed, strict=True)]
    return "\n".join([f"| {' | '.join(_LR_COLUMNS)} |", "|---|---|---|", *rows])


def lr_figure(
    lrs: Sequence[float], smoothed: Sequence[float], suggestions: Mapping[str, float], taken: str | None
) -> Figure:
    """Draw the smoothed loss over the rate, with the suggestions marked; the one that is `taken` stands out."""
    figure = Figure(figsize=(7, 4.3), layout="constrained")
    ax = figure.subplots()
    ax.plot(lrs, smoothed, color=_LR_CURVE, linewidth=1.5)
    for (name, lr), colour in zip(suggestions.items(), ("#1a7f37", "#0969da", "#bc4c00", "#8250df"), strict=False):
        nearest = min(range(len(lrs)), key=lambda i: abs(lrs[i] / lr - 1))
        marker, size, note = ("D", 9, "  (taken)") if name == taken else ("o", 6, "")
        look: Any = {"markersize": size, "color": colour, "markeredgecolor": "white"}
        ax.plot(lr, smoothed[nearest], marker, label=f"{name}  {lr:.2e}{note}", **look)
    ax.set(xscale="log", xlabel="learning rate", ylabel="smoothed loss")
    finite = [loss for loss in smoothed if math.isfinite(loss)]
    if finite:
        low, high = min(finite), min(max(finite), 1.25 * finite[0])  # the run-away would flatten the rest
        margin = 0.06 * (high - low) or 1.0
        ax.set_ylim(low - margin, high + margin)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25)
    if suggestions:
        ax.legend(frameon=False)
    return figure


def draw_chart(title: str, alt: str, draw: Callable[[Axes], None]) -> Chart:
    """Return a chart of what `draw` draws in the page's style; `INK` becomes the page's colour of text."""
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
