"""Words such as "No Finding": not a label, but that an image has none of the labels."""

import difflib
import re
from collections.abc import Sequence

from lightning_tasks.data.tables.cells import normalize
from lightning_tasks.data.tables.formats.annotations import AnnotatedImage, Annotations
from lightning_tasks.errors import ConfigError

_LIKELY = frozenset(
    (
        *("nofinding", "nofindings", "nolabel", "nolabels", "nothing", "none", "normal", "healthy", "negative"),
        *("nodisease", "unlabeled", "unlabelled", "empty", "background", "noobject", "noneoftheabove"),
    )
)


def take_out_none(annotations: Annotations, words: Sequence[str]) -> None:
    """Take words for none out of all labels, in place; where an image has one, labels that are not known are absent.

    Labels beside such a word stay: some tables have labels that it does not speak of.

    Raises:
        ConfigError: no image has such a label.
    """
    none = {normalize(word) for word in words}
    _note_likely(annotations, none)
    if not none:
        return
    found: set[str] = set()
    beside = 0
    for i, image in enumerate(annotations.images):
        said = {normalize(label) for label in (*image.labels, *(thing.label for thing in image.objects))}
        mine = none & said
        found |= none & {*said, *map(normalize, image.unknown)}
        beside += bool(mine) and bool(said - none - {""})
        annotations.images[i] = _without(image, none, bool(mine))
    if missing := sorted(none - found - set(map(normalize, annotations.vocab))):
        labels = sorted({label for image in annotations.images for label in image.labels} | set(annotations.vocab))
        near = difflib.get_close_matches(missing[0], labels, n=1)
        raise ConfigError(f"--none {missing[0]!r}: no image has this label. " + (f"Is it {near[0]!r}?" if near else ""))
    annotations.vocab = tuple(label for label in annotations.vocab if normalize(label) not in none)
    if beside:
        words_said = ", ".join(sorted(none))
        annotations.notes.append(f"{beside:,} images have other labels beside {words_said!r}: these stay")


def _note_likely(annotations: Annotations, none: set[str]) -> None:
    """Tell which labels look like words for none, and were not named as such."""
    labels = {label for image in annotations.images for label in image.labels}
    for word in sorted(label for label in labels - none if re.sub(r"[\W_]+", "", label).lower() in _LIKELY):
        annotations.notes.append(
            f"{word!r} is a label like others; --none '{word}' says that an image has none of them"
        )


def _without(image: AnnotatedImage, none: set[str], has_none: bool) -> AnnotatedImage:
    unknown = () if has_none else [label for label in image.unknown if normalize(label) not in none]
    return image._replace(
        labels=[label for label in image.labels if normalize(label) not in none],
        unknown=unknown,
        objects=[thing._replace(label="") if normalize(thing.label) in none else thing for thing in image.objects],
    )
