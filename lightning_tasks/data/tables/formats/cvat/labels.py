"""What CVAT's `<meta>` says of labels: which there are, and which points a skeleton has."""

from collections.abc import Iterator
from pathlib import Path

from lightning_tasks.data.tables.formats.xml_lines import Element, place
from lightning_tasks.errors import TableError


class Labels:
    """The labels that files declare; where they declare none, any is one."""

    def __init__(self) -> None:
        self._types: dict[str, str] = {}  # of labels that are not a skeleton's point, in the file's order
        self.skeletons: dict[str, list[str]] = {}  # the points of each, in the file's order

    def read(self, path: Path, meta: Element) -> None:
        """Add what a file declares."""
        for label in declared(meta):
            name, parent = label.text_of("name"), label.text_of("parent")
            if not name:
                raise TableError(f"{place(path, label)}: the label has no name. Export it again.")
            if parent:
                points = self.skeletons.setdefault(parent, [])
                points += [] if name in points else [name]
            else:
                self._types.setdefault(name, label.text_of("type"))

    def require(self, path: Path, element: Element) -> str:
        """Return an element's label; TableError: it has none, or one that is not declared."""
        label = element.attributes.get("label", "")
        if not label:
            raise TableError(f"{place(path, element)}: <{element.tag}> has no label. Export it again.")
        if self._types and label not in self._types:
            names = ", ".join(self._types)
            raise TableError(f"{place(path, element)}: {label!r} is not among the labels of <meta>: {names}.")
        return label

    @property
    def names(self) -> tuple[str, ...]:
        """All labels but those of skeletons' points."""
        return tuple(self._types)

    def vocab(self) -> tuple[str, ...]:
        """Return what may be the label of an image or of an object."""
        return tuple(name for name, kind in self._types.items() if kind != "points")


def declared(meta: Element) -> Iterator[Element]:
    """Yield the labels of a task, a project or a job, in the file's order."""
    waiting = [meta]
    while waiting:
        element = waiting.pop()
        if element.tag == "labels":
            yield from element.find_all("label")
        else:
            waiting += reversed(element.children)
