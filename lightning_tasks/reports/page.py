"""One html page about a checkpoint that holds everything it shows: no file beside it, no network."""

import math
from pathlib import Path

from lightning_tasks.atomic_write import write_whole
from lightning_tasks.reports.gallery import Gallery
from lightning_tasks.reports.run_info import RunInfo

_HERE = Path(__file__).parent


def render_page(template: Path, run: RunInfo, split: str, gallery: Gallery, **scores: object) -> str:
    """Return the page that a task's template makes of its scores.

    Args:
        template: extends `base.html.j2`; it finds what lies in its own folder and in those beside it by the folder's
            name, such as `multilabel/page.css`.
        run: what is known of the training.
        split: which images these are, for the text.
        gallery: the images.
        scores: what the template shows besides.
    """
    # Everything but css, js and our own figures is escaped: labels and file names are not markup.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # here alone: training draws no page

    tasks = template.parents[1]
    environment = Environment(
        loader=FileSystemLoader([_HERE, tasks]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    environment.filters["significant"] = "{:.3g}".format  # a threshold may be small
    found = environment.get_template(template.relative_to(tasks).as_posix())
    return found.render(run=run, split=split, gallery=gallery, **scores)


def write_page(path: Path, page: str) -> None:
    """Write the page, the whole file or none of it.

    Raises:
        ConfigError: it cannot be written there.
    """
    # A file's name, and so the page, may hold what is no text.
    write_whole(path, lambda new: new.write_text(page, encoding="utf-8", errors="replace"))


def _number(value: float, digits: int = 3) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"
