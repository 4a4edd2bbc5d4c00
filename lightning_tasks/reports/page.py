"""One html page about a checkpoint that holds everything it shows: no file beside it, no network."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_tasks.atomic_write import write_whole
from lightning_tasks.reports.page_figures import error_histogram
from lightning_tasks.reports.page_gallery import (
    LabelCard,
    PointCard,
    ReadReduced,
    label_tags,
    point_paths,
    sample_rows,
    thumbnail,
    worst_rows,
)
from lightning_tasks.reports.page_run import Run
from lightning_tasks.tasks.keypoints.scores import PointScores, point_scores, scores_by_group, scores_by_point
from lightning_tasks.tasks.multiclass.scores import class_losses
from lightning_tasks.tasks.multilabel.scores import label_losses, label_scores
from lightning_tasks.tasks.multilabel.threshold_counts import STEPS, threshold_counts

_HERE = Path(__file__).parent


def label_page(
    run: Run,
    split: str,
    probabilities: Tensor,
    targets: Tensor,
    vocab: list[str],
    predicted: Tensor,
    thresholds: Tensor | None,
    paths: Sequence[Path],
    groups: Sequence[str],
    read: ReadReduced,
) -> str:
    """Return the page of a classifier.

    Args:
        run: what is known of the training.
        split: which images these are, for the text.
        probabilities: (N, C) float32.
        targets: (N, C) of 1, 0 and −1.
        vocab: the C labels.
        predicted: (N, C) bool, which labels are said to be there.
        thresholds: (C,), which that follows from; None: the likeliest label is predicted, of exactly one an image.
        paths: N image files.
        groups: N names, or none.
        read: what reads a file, upright and at most so large; raises ImageError.
    """
    losses = (class_losses if thresholds is None else label_losses)(probabilities, targets)
    involved = (targets == 1) | (predicted & (targets == 0))
    group_keys = _group_keys(groups)

    def keys(row: int) -> list[str]:
        return [f"label-{c}" for c in involved[row].nonzero().flatten().tolist()] + group_keys[row : row + 1]

    def card(row: int) -> LabelCard:
        return LabelCard(
            path=paths[row],
            image=thumbnail(paths[row], read),
            keys=" ".join(keys(row)),
            loss=float(losses[row]),
            tags=label_tags(probabilities[row], targets[row], vocab, predicted[row]),
            group=groups[row] if groups else "",
        )

    scores = label_scores(probabilities, targets, vocab, predicted)
    limits = [] if thresholds is None else thresholds.tolist()
    common = limits[0] if len(set(limits)) == 1 else None
    return _render(
        "multilabel/page.html.j2",
        run=run,
        split=split,
        n_images=len(paths),
        scores=scores,
        by_precision=sorted(scores.classes, key=lambda one: -_or_zero(one.average_precision)),
        vocab=vocab,
        threshold=common,
        thresholds=limits,
        one_label=thresholds is None,
        most_common=float((targets == 1).sum(0).max() / len(targets)),
        slider=0.5 if common is None else round(common * STEPS) / STEPS,
        counts=threshold_counts(probabilities, targets),
        filters={"Label": {f"label-{c}": name for c, name in enumerate(vocab)}, "Group": _group_filter(groups)},
        sample=[card(row) for row in sample_rows(len(paths))],
        worst=[card(row) for row in worst_rows(losses, keys, len(vocab) + len(set(groups)))],
    )


def point_page(
    run: Run,
    split: str,
    points_norm: Tensor,
    targets_norm: Tensor,
    visible: Tensor,
    original_size_px: Tensor,
    points_px: Tensor,
    targets_px: Tensor,
    point_names: list[str],
    paths: Sequence[Path],
    groups: Sequence[str],
    read: ReadReduced,
) -> str:
    """Return the page of a regressor.

    Args:
        run: what is known of the training.
        split: which images these are, for the text.
        points_norm: (N, P, 2), predicted, on the −1..1 scale.
        targets_norm: (N, P, 2).
        visible: (N, P) bool, whether a point is annotated.
        original_size_px: (N, 2), width and height on disk.
        points_px: (N, P, 2), predicted, in pixels of the images on disk.
        targets_px: (N, P, 2); NaN where not visible.
        point_names: the P points.
        paths: N image files.
        groups: N names, or none.
        read: what reads a file, upright and at most so large; raises ImageError.
    """
    errors_px = torch.linalg.vector_norm(points_px - targets_px, dim=-1)  # (N, P)
    image_errors_px = errors_px.nanmean(1)
    group_keys = _group_keys(groups)

    def card(row: int) -> PointCard:
        width_px, height_px = (int(side) for side in original_size_px[row])
        annotated, predicted, lines = point_paths(points_px[row], targets_px[row], max(width_px, height_px))
        furthest = int(errors_px[row].nan_to_num(-1).argmax())
        return PointCard(
            path=paths[row],
            image=thumbnail(paths[row], read),
            keys=" ".join(group_keys[row : row + 1]),
            width_px=width_px,
            height_px=height_px,
            annotated=annotated,
            predicted=predicted,
            errors=lines,
            error_px=float(image_errors_px[row]),
            furthest=point_names[furthest] if len(point_names) > 1 else "",
            furthest_px=float(errors_px[row, furthest]),
            group=groups[row] if groups else "",
        )

    tensors = (points_norm, targets_norm, visible, original_size_px)
    shown_errors = errors_px[visible]
    worst = worst_rows(image_errors_px, lambda row: group_keys[row : row + 1], len(set(groups)))
    return _render(
        "keypoints/page.html.j2",
        run=run,
        split=split,
        n_images=len(paths),
        scores=point_scores(*tensors),
        by_point=_worst_first(scores_by_point(point_names, *tensors)),
        by_group=_worst_first(scores_by_group(groups, *tensors) if groups else {}),
        histogram=error_histogram(shown_errors) if len(shown_errors) else None,
        filters={"Group": _group_filter(groups)},
        sample=[card(row) for row in sample_rows(len(paths))],
        worst=[card(row) for row in worst],
    )


def write_page(path: Path, page: str) -> None:
    """Write the page, the whole file or none of it.

    Raises:
        ConfigError: it cannot be written there.
    """
    # A file's name, and so the page, may hold what is no text.
    write_whole(path, lambda new: new.write_text(page, encoding="utf-8", errors="replace"))


def _render(template: str, **values: Any) -> str:  # noqa: ANN401 - what a template takes
    # Everything but css, js and our own figures is escaped: labels and file names are not markup.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # here alone: training draws no page

    environment = Environment(
        loader=FileSystemLoader([_HERE, _HERE.parent / "tasks"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    environment.filters["significant"] = "{:.3g}".format  # a threshold may be small
    css, js = ((_HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return environment.get_template(template).render(css=css, js=js, **values)


def _number(value: float, digits: int = 3) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def _or_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def _worst_first(scores: Mapping[str, PointScores]) -> dict[str, PointScores]:
    return dict(sorted(scores.items(), key=lambda item: -_or_zero(item[1].median_px)))


def _group_filter(groups: Sequence[str]) -> dict[str, str]:
    return {f"group-{g}": name for g, name in enumerate(sorted(set(groups)))}


def _group_keys(groups: Sequence[str]) -> list[str]:
    """Return the filter's key of each image; none where there are no groups."""
    key_of = {name: key for key, name in _group_filter(groups).items()}
    return [key_of[group] for group in groups]
