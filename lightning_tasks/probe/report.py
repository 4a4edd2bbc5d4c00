"""What a probe prints."""

from collections.abc import Sequence
from typing import NamedTuple

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
    scores: Scores,
    fit_seconds: float,
) -> list[str]:
    """Return lines about features, the grid, the choice, and the score of the validation split."""
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
    others = "".join(f", {name} {value:.4f}" for name, value in scores.items() if name != monitor)
    return [
        f"features         {features.images:,} in {features.seconds:.1f} s: {views}; {new}",
        header,
        *rows,
        f"heads            {fits} fits in {fit_seconds:.1f} s",
        f"validation       {monitor} {scores[monitor]:.4f}{others}",
    ]


def comparison_lines(monitor: str, compared: Sequence[Compared], best: Compared) -> list[str]:
    """Return a table of backbones: what they cost, and what a linear head makes of their features."""
    width = max(len("backbone"), *(len(one.backbone) for one in compared))
    lines = [f"{'backbone':<{width}}  million parameters  {monitor} over folds  validation  s / 1,000 images  features s"]
    for one in compared:
        computed = one.features.computed
        rate = f"{one.features.seconds / computed * 1000:.1f}" if computed else "kept"
        cross_validated = f"{one.chosen.mean:.4f} ± {one.chosen.spread:.4f}".rjust(len(monitor) + 11)
        lines.append(
            f"{one.backbone:<{width}}  {one.parameters / 1e6:>18.1f}  {cross_validated}  {one.score:>10.4f}  {rate:>16}  "
            f"{one.features.seconds:>10.1f}" + ("  best" if one is best else "")
        )
    return lines
