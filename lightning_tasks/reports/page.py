"""One html page about a checkpoint that holds everything it shows: no file beside it, no network."""

import math
from collections.abc import Sequence
from pathlib import Path

from lightning_tasks.atomic_write import write_whole
from lightning_tasks.reports.bootstrap import Interval
from lightning_tasks.reports.gallery import Gallery
from lightning_tasks.reports.run_info import RunInfo


def render_page(template: Path, run: RunInfo, split: str, gallery: Gallery, **scores: object) -> str:
    """Return the page that a task's template makes of a split's images and `scores`, which are its own.

    The template extends `base.html.j2`, and finds what lies in tasks' folders by their names: `multilabel/page.css`.
    """
    tasks = template.parents[1]
    return render_template(
        template.relative_to(tasks).as_posix(), [tasks], run=run, split=split, gallery=gallery, **scores
    )


def render_template(name: str, folders: Sequence[Path] = (), /, **values: object) -> str:
    """Return the page that a template makes of values; it lies beside this file or in one of the folders."""
    # Everything but css, js and our own figures is escaped: labels and file names are not markup.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # here alone: training draws no page

    environment = Environment(
        loader=FileSystemLoader([Path(__file__).parent, *folders]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "significant": "{:.3g}".format}  # a threshold may be small
    environment.filters |= {"within": _within, "signed": _signed}
    return environment.get_template(name).render(**values)


def write_page(path: Path, page: str) -> None:
    """Write the page, the whole file or none of it; see `write_whole`."""
    # A file's name, and so the page, may hold what is no text.
    write_whole(path, lambda new: new.write_text(page, encoding="utf-8", errors="replace"))


def _number(value: float, digits: int = 3) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def _within(found: Interval | None, form: str = "{:.3f}", factor: float = 1.0) -> str:
    """Return an interval as text, each end as `form` says; empty where there is none."""
    if found is None or math.isnan(found.low):
        return ""
    ends = (form.format(factor * end).replace("-", "−") for end in (found.low, found.high))
    return (" to " if found.low < 0 else "–").join(ends)


def _signed(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:+.3f}".replace("-", "−")
