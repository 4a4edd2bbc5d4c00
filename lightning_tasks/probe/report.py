"""What a probe prints."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lightning_tasks.atomic_write import put_whole
from lightning_tasks.probe.features import Features
from lightning_tasks.probe.search import Candidate, Scores


class Compared(NamedTuple):
    """What a probe found of one backbone."""

    backbone: str
    parameters: int
    chosen: Candidate
    score: float  # of the validation split
    features: Features


def probe_lines(
    monitor: str,
    features: Features,
    candidates: Sequence[Candidate],
    chosen: Candidate,
    fit_seconds: float,
) -> list[str]:
    """Return lines about features, the grid and the choice."""
    views = f"{len(features.train)} {'view' if len(features.train) == 1 else 'views'} of each training image"
    new = f"{features.computed:,} computed" if features.computed else "all kept from before"
    new += f"; {features.unreadable:,} images cannot be read" if features.unreadable else ""
    n_folds = len(chosen.scores)
    header = f"  {'weight decay':>12}  {'rate':>8}  {monitor} over {n_folds} folds"
    rows = [
        f"  {found.setting.weight_decay:>12g}  {found.setting.lr:>8g}  {found.mean:.4f} ± {found.spread:.4f}"
        + ("  chosen" if found is chosen else "")
        for found in candidates
    ]
    fits = len(candidates) * n_folds + 1
    return [
        f"features         {features.images:,} in {features.seconds:.1f} s: {views}; {new}",
        *([header, *rows] if n_folds else []),
        f"heads            {fits} {'fit' if fits == 1 else 'fits'} in {fit_seconds:.1f} s",
    ]


def score_line(monitor: str, scores: Scores) -> str:
    """Return a line of what the validation split scores."""
    others = "".join(f", {name} {value:.4f}" for name, value in scores.items() if name != monitor)
    return f"validation       {monitor} {scores.get(monitor, math.nan):.4f}{others}"


def write_candidates(path: Path, monitor: str, candidates: Sequence[Candidate], chosen: Candidate) -> None:
    """Write the grid as csv: a row for each setting, with its score on each fold."""
    folds = [f"fold_{number}" for number in range(len(chosen.scores))]
    _write_csv(
        path,
        ["weight_decay", "lr", monitor, "spread", *folds, "chosen"],
        [[*found.setting, found.mean, found.spread, *found.scores, found is chosen] for found in candidates],
    )


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    def write(new: Path) -> None:
        with new.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *rows])

    put_whole(path, write)


def comparison_lines(monitor: str, compared: Sequence[Compared], best: Compared) -> list[str]:
    """Return a table of backbones: what they cost, and what a linear head makes of their features."""
    width = max(len("backbone"), *(len(one.backbone) for one in compared))
    lines = [
        f"{'backbone':<{width}}  million parameters  {monitor} over folds  validation  s / 1,000 images  features s"
    ]
    for one in compared:
        computed = one.features.computed
        rate = f"{one.features.seconds / computed * 1000:.1f}" if computed else "kept"
        cross_validated = f"{one.chosen.mean:.4f} ± {one.chosen.spread:.4f}".rjust(len(monitor) + 11)
        lines.append(
            f"{one.backbone:<{width}}  {one.parameters / 1e6:>18.1f}  {cross_validated}  {one.score:>10.4f}  "
            f"{rate:>16}  {one.features.seconds:>10.1f}" + ("  best" if one is best else "")
        )
    return lines


def write_comparison(path: Path, monitor: str, compared: Sequence[Compared], best: Compared) -> None:
    """Write the table of backbones as csv."""
    header = ["backbone", "parameters", monitor, "spread", f"{monitor} of validation", "features_s", "computed", "best"]
    rows = [
        [one.backbone, one.parameters, one.chosen.mean, one.chosen.spread, one.score, round(one.features.seconds, 2),
         one.features.computed, one is best]
        for one in compared
    ]  # fmt: skip
    _write_csv(path, header, rows)
