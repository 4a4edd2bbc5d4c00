"""CVAT's attributes: numbers of tags are numbers of the image; all others are left out, and counted by name."""

from collections import Counter, defaultdict
from pathlib import Path

from lightning_tasks.data.tables.formats.annotations import Annotations
from lightning_tasks.data.tables.formats.cvat.labels import declared
from lightning_tasks.data.tables.formats.text_lines import finite_number
from lightning_tasks.data.tables.formats.xml_lines import Element, place
from lightning_tasks.errors import TableError

_MAY_BE_NUMBERS = ("number", "text", "")  # input types; the last one where none is declared
_CARRIER = "numbers"  # a tag that is called so stands for nothing but its attributes

_Name = tuple[str, str]  # of the tag, and of its attribute
_Cell = tuple[int, str, str]  # image, text, where


class Attributes:
    """The attributes of all images."""

    def __init__(self) -> None:
        self._types: dict[_Name, str] = {}
        self._cells: defaultdict[_Name, list[_Cell]] = defaultdict(list)
        self._of_shapes: Counter[str] = Counter()
        self._n_images = 0

    def declare(self, meta: Element) -> None:
        """Add what a file declares."""
        for label in declared(meta):
            attributes = label.find("attributes")
            for attribute in [] if attributes is None else attributes.find_all("attribute"):
                self._types[label.text_of("name"), attribute.text_of("name")] = attribute.text_of("input_type")

    def next_image(self) -> None:
        """Begin an image."""
        self._n_images += 1

    def read_tag(self, path: Path, tag: Element, label: str) -> bool:
        """Add a tag's attributes; return whether it is a label of the image."""
        attributes = tag.find_all("attribute")
        for attribute in attributes:
            cell = (self._n_images - 1, attribute.text.strip(), place(path, attribute))
            self._cells[label, attribute.attributes.get("name", "")].append(cell)
        return label != _CARRIER or not attributes

    def count(self, shape: Element) -> None:
        """Count a shape's attributes."""
        self._of_shapes.update(child.attributes.get("name", "") for child in shape.find_all("attribute"))

    def fill(self, annotations: Annotations) -> list[dict[str, float]]:
        """Return the numbers of each image; their names, and what is left out, are set in `annotations`.

        Raises:
            TableError: an attribute of the type number is none, or an image has two of one name.
        """
        values: list[dict[str, float]] = [{} for _ in range(self._n_images)]
        numbers = {name: found for name, cells in self._cells.items() if (found := self._numbers(name, cells))}
        times = Counter(attribute for _, attribute in numbers)
        for (label, attribute), found in numbers.items():
            name = attribute if times[attribute] == 1 else f"{label}_{attribute}"
            annotations.value_names += (name,)
            for image, value, where in found:
                if name in values[image]:
                    raise TableError(f"{where}: a second {attribute!r} of the image. Remove one of them.")
                values[image][name] = value
        for (_, attribute), cells in self._cells.items():
            if (_, attribute) not in numbers:
                annotations.left_out[f"values of the attribute {attribute!r}"] += len(cells)
        for attribute, n in self._of_shapes.items():
            annotations.left_out[f"values of the attribute {attribute!r} of objects"] += n
        return values

    def _numbers(self, name: _Name, cells: list[_Cell]) -> list[tuple[int, float, str]]:
        """Return all that is given of an attribute, if these are numbers; else nothing."""
        kind = self._types.get(name, "")
        if kind not in _MAY_BE_NUMBERS:
            return []
        found = []
        for image, text, where in cells:
            value = finite_number(text)
            if text and value is None:
                if kind == "number":
                    raise TableError(f"{where}: {name[1]!r} is {text!r}, which is no number. Correct it.")
                return []
            found += [] if value is None else [(image, value, where)]
        return found
