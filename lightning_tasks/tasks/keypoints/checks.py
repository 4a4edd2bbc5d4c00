"""What is wrong with the points of a table as a whole: another unit, outside their images, not there at all.

Of the images the headers alone are read: 5,000 in 0.2 s.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_tasks.data.images.decode import file_size_px
from lightning_tasks.data.tables.csv_table import first_row, quote
from lightning_tasks.data.tables.splits import Rows
from lightning_tasks.data.tables.table_checks import Problem
from lightning_tasks.filesystem import is_file
from lightning_tasks.tasks.keypoints.table import point_names, point_positions

UNIT, OUTSIDE = "unit", "outside"  # kinds of problems

_LISTED = 6
_UNIT = 1.5  # where positions are shares of the image, a point that lies a little outside it has 1.2, say
_SMALLEST_IMAGE_PX = 16  # of smaller ones, shares and pixels cannot be told apart
_MOST, _NEARLY_ALL = 0.5, 0.9  # shares of the points
_SPREAD = 0.25  # of shares; what lies at the border of all images varies less
_ENOUGH = 10  # points, for a doubt about where all of them lie


class TablePoints(NamedTuple):
    """The points of a table of N images, and how large these are."""

    source: Path  # the table's file
    names: Sequence[str]  # P points
    positions_px: NDArray[np.float32]  # (N, P, 2), NaN where not annotated
    files: Sequence[str]  # N names
    sizes_px: NDArray[np.float32]  # (N, 2), width and height; NaN where not known

    @property
    def annotated(self) -> NDArray[np.bool_]:
        """(N, P)."""
        return np.asarray(~np.isnan(self.positions_px).any(-1))

    @property
    def outside(self) -> NDArray[np.bool_]:
        """(N, P), which lie outside their image; those whose image is of unknown size do not."""
        return np.asarray(~_inside(self.positions_px, self.sizes_px[:, None]) & self.known)

    @property
    def known(self) -> NDArray[np.bool_]:
        """(N, P), which are annotated in an image of known size."""
        return np.asarray(self.annotated & np.isfinite(self.sizes_px[:, :1]))

    @property
    def known_positions_and_sizes_px(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(K, 2) each, of the K points that are `known`."""
        known = self.known
        return self.positions_px[known], np.broadcast_to(self.sizes_px[:, None], self.positions_px.shape)[known]

    def of(self, rows: Rows) -> "TablePoints":
        """Return the points of some rows."""
        files = [self.files[row] for row in rows]
        return self._replace(positions_px=self.positions_px[rows], sizes_px=self.sizes_px[rows], files=files)

    def place(self, row: int, point: int) -> str:
        """Return how a point of a row is told to a person."""
        (x, y), (width, height) = self.positions_px[row, point], self.sizes_px[row]
        return f"{self.files[row]}: {self.names[point]} at ({x:g}, {y:g}), {width:g}×{height:g} pixels"


def image_sizes_px(folder: Path, files: Sequence[str]) -> NDArray[np.float32]:
    """Return the width and height (N, 2) of images, from their headers; NaN where there is none to read."""
    # Something that is no file, such as a pipe, could keep whoever opens it waiting.
    sizes = {name: file_size_px(folder / name) if is_file(folder / name) else None for name in dict.fromkeys(files)}
    return np.array([(np.nan, np.nan) if (s := sizes[name]) is None else (s[1], s[0]) for name in files], np.float32)


def find_point_problems(points: TablePoints, splits: Mapping[str, Rows]) -> list[Problem]:
    """Return what is wrong with the points of a table's rows that are for training, validation and testing."""
    used = np.unique(np.concatenate(list(splits.values())))
    unit = _other_unit(points, used)
    if unit is not None:
        return [Problem(UNIT, f"{points.source}: {unit}", is_error=True)]
    problems = [p for split, rows in splits.items() if len(rows) for p in _nothing_to_learn(points, split, rows)]
    return problems + _outside(points, used) + _placeholders(points, used) + _odd_rows(points, used)


def _other_unit(points: TablePoints, rows: Rows) -> str | None:
    """Return which unit the positions look like; None where they look like pixels of the images."""
    part = points.of(rows)
    known = part.known
    if not known.any():
        return None
    xy, size = part.known_positions_and_sizes_px
    n, ratio, placed = len(xy), xy / size, xy[xy.any(-1)]  # at (0, 0) many tables have what is not annotated
    if size.min() >= _SMALLEST_IMAGE_PX and len(placed) and (np.abs(placed) <= _UNIT).all(-1).mean() >= _NEARLY_ALL:
        scale, way_out = "0 to 1", "Multiply x by the width of the image and y by its height."
        if np.mean(xy < 0) > 1 - _NEARLY_ALL:
            scale, way_out = "-1 to 1", "Write (x + 1) * width / 2 and (y + 1) * height / 2."
            if np.abs(xy).max() <= 0.5:
                scale, way_out = "-0.5 to 0.5", "Write (x + 0.5) * width and (y + 0.5) * height."
        return f"{n:,} annotated points lie on the scale from {scale}, not in pixels. {way_out}"
    out = part.outside[known]
    if out.mean() <= _MOST:
        return None
    far = f"{out.sum():,} of {n:,} annotated points lie outside their images"
    turned = _turned(xy, size)
    if turned:
        return f"{far}: {turned}"
    if np.mean((ratio[out] > 0).all(-1)) >= _NEARLY_ALL:
        # Were the images the right ones, points would lie around their middle, and nearly all within them.
        factor = max(2 * ratio.mean(), np.quantile(ratio.max(-1), 0.95))
        times = f"{factor:.1f}" if factor < 3 else f"{factor:.0f}"  # it is only about so much
        return (
            f"{far}, to the right or below: their positions look like pixels of images about {times} times as large. "
            "Divide them by what the images were reduced by, or use the images that were annotated."
        )
    if np.mean((np.abs(ratio) <= 0.5).all(-1)) >= _NEARLY_ALL:
        return f"{far}: their positions look as if counted from the middle. Add half the width and half the height."
    return None


def _turned(xy: NDArray[np.float32], size: NDArray[np.float32]) -> str:
    """Return what puts positions (N, 2) into their images (N, 2) that are not in them as they are; empty: nothing."""
    changes = {
        "with x and y swapped they would lie inside. Rename the columns.": xy[:, ::-1],
        "with y counted from the top they would lie inside. Take the minus away.": xy * (1, -1),
    }
    share = _inside(xy, size).mean()
    return next((way for way, turned in changes.items() if _inside(turned, size).mean() > max(share, _NEARLY_ALL)), "")


def _inside(xy_px: NDArray[np.float32], size_px: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which positions (N, 2) lie in images of these sizes (N, 2)."""
    return np.asarray(((xy_px >= -0.5) & (xy_px <= size_px - 0.5)).all(-1))


def _nothing_to_learn(points: TablePoints, split: str, rows: Rows) -> list[Problem]:
    """Return that of a split, or of some points in it, nothing can be trained on (training) or scored (the others)."""
    part = points.of(rows)
    usable = part.annotated & ~part.outside if split == "training" else part.annotated
    if not usable.any():
        why = "all points lie outside their images" if part.annotated.any() else "no point is annotated"
        what = "nothing can be learnt from it" if split == "training" else "it can score nothing"
        message = f"{points.source}: in the {len(rows):,} rows for {split} {why}: {what}"
        return [Problem("points", message, None, split != "testing", "Write where the points are, in pixels.")]
    never = [name for point, name in enumerate(points.names) if not usable[:, point].any()]
    if not never:
        return []
    what = "what is predicted for them means nothing" if split == "training" else "the scores say nothing of them"
    listed = quote(never[:_LISTED]) + ", ..." * (len(never) > _LISTED)
    inside = " inside its image" if split == "training" else ""
    message = f"{points.source}: no row for {split} has one of these points annotated{inside}, so {what}: {listed}."
    return [Problem("points", message)]


def _outside(points: TablePoints, rows: Rows) -> list[Problem]:
    part = points.of(rows)
    outside = part.outside
    if not outside.any():
        return []
    where = _count_points(points, rows, outside, "outside their images")
    told = f"{where}: they count in the scores, and training leaves them out"
    larger = (part.positions_px[outside] > 0).all() and outside.sum() >= _ENOUGH
    doubt = " All lie to the right or below: are they pixels of larger images?" if larger else ""
    turned = _turned(*part.known_positions_and_sizes_px)
    way_out = turned[:1].upper() + turned[1:] or f"Correct them, or leave their cells empty.{doubt}"
    return [Problem(OUTSIDE, told, way_out=way_out)]


def _placeholders(points: TablePoints, rows: Rows) -> list[Problem]:
    """Return a doubt about points at (0, 0), or twice and more at a place such as (−1, −1): are these annotated?"""
    part = points.of(rows)
    x, y = part.positions_px[..., 0], part.positions_px[..., 1]
    suspect = (x == y) & ((x == 0) | part.outside)
    values, counts = np.unique(x[suspect], return_counts=True)
    if not len(values) or counts.max() < 2:
        return []
    value = values[counts.argmax()]
    alike = suspect & (x == value)
    where = _count_points(points, rows, alike, f"at exactly ({value:g}, {value:g})")
    way_out = "If that means not annotated, leave their cells empty, or write 0 in a column <point>_v."
    return [Problem("placeholder", where, None, bool((alike == part.annotated).all()), way_out)]


def _odd_rows(points: TablePoints, rows: Rows) -> list[Problem]:
    """Return a doubt about rows or columns on a scale from 0 to 1 among others, or all points in one quarter."""
    part = points.of(rows)
    known = part.known
    if not known.any():
        return []
    near = (np.abs(part.positions_px) <= _UNIT).all(-1) & (part.positions_px != 0).any(-1)
    parts_of_pixels = np.nan_to_num(part.positions_px % 1).any((1, 2))  # (1, 1) is a pixel, and no share
    odd = known & ((near | ~part.annotated).all(1) & parts_of_pixels)[:, None]
    if odd.any():
        where = _count_points(points, rows, odd, f"within {_UNIT:g} pixels of the upper left corner")
        return [Problem("scale", where, way_out="Are these rows on a scale from 0 to 1?")]
    columns = [
        f"{name}_{axis}" for i, name in enumerate(points.names) for j, axis in enumerate("xy") if _is_share(part, i, j)
    ]
    if columns:
        listed = quote(columns[:_LISTED]) + ", ..." * (len(columns) > _LISTED)
        message = f"{points.source}: all numbers in these columns lie between 0 and 1, others do not: {listed}"
        return [Problem("scale", message, way_out="Are these shares of the image, and not pixels?")]
    ratio = (part.positions_px / part.sizes_px[:, None])[known]
    if len(ratio) < _ENOUGH or ratio.max() >= 0.5:
        return []
    unit = "percent" if 50 < part.positions_px[known].max() <= 100 else "pixels of images that were smaller"
    message = f"{points.source}: all {len(ratio):,} annotated points lie in the upper left quarter of their images"
    return [Problem("scale", message, way_out=f"Are they {unit}?")]


def _is_share(part: TablePoints, point: int, axis: int) -> bool:
    """Return whether one column has what looks like shares of the image among others that have pixels."""
    column, size = (array[part.known[:, point], ...][:, axis] for array in (part.positions_px[:, point], part.sizes_px))
    if len(column) < _ENOUGH or size.min() < _SMALLEST_IMAGE_PX or column.min() < 0 or column.max() > 1:
        return False
    return bool(np.mean(column % 1 != 0) > _MOST and np.ptp(column) > _SPREAD)


def _count_points(points: TablePoints, rows: Rows, which: NDArray[np.bool_], where: str) -> str:
    """Return how many of the points of `rows`, `which` (n, P), lie somewhere, and the first of them."""
    row, point = (int(number) for number in np.argwhere(which)[0])
    n, in_rows = int(which.sum()), int(which.any(1).sum())
    first = f"row {int(rows[row]) + first_row(points.source)} ({points.place(int(rows[row]), point)})"
    return (
        f"{points.source}: {n:,} annotated point{'s' * (n > 1)} in {in_rows:,} row{'s' * (in_rows > 1)} "
        f"{'lies' if n == 1 else 'lie'} {where}, first {first}"
    )


def find_points_outside(table: pd.DataFrame, source: Path, sizes_px: NDArray[np.int64]) -> list[Problem]:
    """Return each point of a table that lies outside its image, (N, 2) wide and high; 0: one that cannot be read."""
    positions, names = point_positions(table), point_names(table)
    outside = ~np.isnan(positions).any(-1) & ~_inside(positions, sizes_px[:, None]) & sizes_px.all(1, keepdims=True)
    problems = []
    for row, point in np.argwhere(outside):
        (x, y), (width, height) = positions[row, point], sizes_px[row]
        place = f"{names[point]} at ({x:g}, {y:g}) is outside the image of {width}×{height} pixels"
        problems.append(Problem("point", f"{source}: row {row + first_row(source)}: {place}", int(row)))
    return problems
