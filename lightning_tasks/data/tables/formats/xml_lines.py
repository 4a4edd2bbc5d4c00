"""XML whose elements know their line, read piece by piece: a file may hold a hundred thousand images.

A document type is refused, and with it every entity that XML's bombs and its ways to other files are made of; no
annotation tool writes one.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn
from xml.parsers import expat

from lightning_tasks.data.tables.formats.text_lines import finite_number
from lightning_tasks.errors import TableError

_CHUNK = 2**16  # bytes
_BEFORE_ROOT = re.compile(r"\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^\[>]*(?:\[[^\]]*\]\s*)?>", re.DOTALL)
_TAG = re.compile(r"<([\w:.-]+)[\s/>]")


class Element:
    """An element: what it is called, its attributes, the text right in it, its children, and its line from 1."""

    __slots__ = ("attributes", "children", "line", "tag", "text")

    def __init__(self, tag: str, attributes: dict[str, str], line: int) -> None:
        self.tag = tag
        self.attributes = attributes
        self.line = line
        self.text = ""
        self.children: list[Element] = []

    def find(self, tag: str) -> "Element | None":
        """Return the first child of a name; None: there is none."""
        return next((child for child in self.children if child.tag == tag), None)

    def find_all(self, tag: str) -> "list[Element]":
        """Return the children of a name."""
        return [child for child in self.children if child.tag == tag]

    def text_of(self, tag: str) -> str:
        """Return what stands in the first child of a name, without blanks around; "" where there is none."""
        child = self.find(tag)
        return "" if child is None else child.text.strip()


class _Builder:
    """Puts together the children of the root; the finished ones wait in `done`."""

    def __init__(self) -> None:
        self.root: Element | None = None
        self.done: list[Element] = []
        self._open: list[Element] = []
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.StartDoctypeDeclHandler = self._refuse

    def feed(self, content: bytes, is_last: bool) -> None:
        """Parse some more; raises expat.ExpatError, LookupError or ValueError."""
        self._parser.Parse(content, is_last)

    @property
    def line(self) -> int:
        """Where the parser is."""
        return self._parser.CurrentLineNumber

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        element = Element(tag, attributes, self._parser.CurrentLineNumber)
        if self.root is None:
            self.root = element
        self._open.append(element)

    def _end(self, _: str) -> None:
        element = self._open.pop()
        if len(self._open) > 1:
            self._open[-1].children.append(element)
        elif self._open:
            self.done.append(element)

    def _characters(self, text: str) -> None:
        self._open[-1].text += text

    def _refuse(self, *_: Any) -> NoReturn:  # noqa: ANN401 - expat's own
        raise ValueError("a document type, which no annotation has")


def root_tag(head: str) -> str:
    """Return what the root is called in XML that begins so; "" where it does not begin like XML."""
    start = len(head) - len(head.removeprefix("\ufeff"))
    while before := _BEFORE_ROOT.match(head, start):
        start = before.end()
    match = _TAG.match(head, start)
    return match[1] if match else ""


def parse_xml(content: bytes) -> Element:
    """Return the root, with all that is in it.

    Raises:
        ValueError: it is no XML, or has a document type; says what and where.
    """
    builder = _Builder()
    try:
        builder.feed(content, is_last=True)
    except (expat.ExpatError, LookupError) as error:  # the latter of strange encodings
        raise ValueError(str(error)) from error
    if builder.root is None:
        raise ValueError("no element found")
    builder.root.children = builder.done
    return builder.root


def read_children(path: Path, root: str) -> Iterator[Element]:
    """Yield the elements right below the root, in turn, as they are read.

    Raises:
        TableError: the file cannot be read, is no XML, or its root has another name; names the line.
    """
    builder = _Builder()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                builder.feed(chunk, is_last=False)
                _require_root(path, builder.root, root)
                yield from _taken(builder)
            builder.feed(b"", is_last=True)
        yield from _taken(builder)
    except OSError as error:
        raise TableError(f"{path}: cannot be read ({error.strerror}).") from error
    except (expat.ExpatError, LookupError, ValueError) as error:
        why = f"{path}: line {builder.line}: not XML that can be read ({error}). Export it again."
        raise TableError(why) from error


def _taken(builder: _Builder) -> list[Element]:
    done, builder.done = builder.done, []
    return done


def _require_root(path: Path, element: Element | None, root: str) -> None:
    if element is not None and element.tag != root:
        raise TableError(f"{path}: line {element.line}: XML of <{element.tag}>, not of <{root}>.")


def place(path: Path, element: Element) -> str:
    """Return where an element is, for a message."""
    return f"{path}: line {element.line}"


def number(path: Path, element: Element, name: str, text: str | None) -> float:
    """Return a text as a finite number.

    Raises:
        TableError: it is none; `name` says in the message what it stands for.
    """
    value = finite_number(text or "")
    if value is None:
        said = "is missing" if text is None else f"is {text!r}, which is no number"
        raise TableError(f"{place(path, element)}: <{element.tag}>: {name} {said}. Correct it, or export it again.")
    return value
