"""The labels of one cell: parts between a separator, or a list as Python, numpy, pandas and JSON write one."""

import ast
import contextlib
import json
import re
from collections.abc import Iterator, Sequence

from lightning_tasks.data.tables.cells import normalize

AUTO = "auto"  # a blank, until somebody says otherwise
WHOLE = "none"  # a cell is one label
BLANK = " "

_STRING = r"""[uUrRbB]?(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
_TOKEN = re.compile(
    rf"\s*(?:(?:np\.str_\((?P<scalar>{_STRING})\))|(?P<string>{_STRING})|(?P<mark>[\[\](){{}},:])"
    r"|(?P<word>[^\s\[\](){},:\"'](?:[^\[\](){},:]*[^\s\[\](){},:])?))\s*",
    re.DOTALL,
)
_STARTS_A_LIST = re.compile(r"[\[{]|\(\s*(?:['\"]|np\.str_\(|\)$)")
_CALL = re.compile(
    r"(?:np\.|numpy\.)?(?:set|frozenset|array|list|tuple|Index)\((?P<inside>(?:[\[({].*[\])}])?)(?:,\s*(?:shape|dtype)=.*)?\)",
    re.DOTALL,
)
_ENDS = {"[": "]", "(": ")", "{": "}"}
_COLON = object()  # between a key and its value


class _Entries(list[tuple[object, object]]):
    """A dictionary's keys and values."""


def looks_like_a_list(cell: str) -> bool:
    """Return whether a cell starts like a list: `[`, `{`, or `(` before a quoted word; or is a call such as `set()`."""
    return _STARTS_A_LIST.match(cell.strip()) is not None or _CALL.fullmatch(cell.strip()) is not None


def split_cell(cell: str, separator: str) -> tuple[str, ...]:
    """Return the labels of a cell, normalized; none where it is empty.

    Args:
        cell: a list, whatever the separator: `['a', 'b']`, `["a"]`, `("a", "b")`, numpy's `['a' 'b']`, `[a, b]`, lists
            in lists, `{"choices": ["a"]}`, `{"a": true, "b": false}`, `set()`, `array(['a'], dtype=object)`. Else
            labels with separators between them.
        separator: AUTO and BLANK: any white space; WHOLE: there is none.

    Raises:
        ValueError: the cell starts like a list and is none; says why.
    """
    if looks_like_a_list(cell):
        call = _CALL.fullmatch(cell.strip())
        parts: Sequence[str] = list(_words(_parse(cell if call is None else call["inside"] or "[]")))
    elif separator == WHOLE:
        parts = [cell]
    else:
        parts = cell.split(None if separator in (AUTO, BLANK) else separator)
    return tuple(label for label in map(normalize, parts) if label)


def _parse(cell: str) -> object:
    """Return what a cell holds as words, lists and entries; bare words, numbers among them, stay as they are written.

    `ast.literal_eval` would make one word of numpy's `['a' 'b']`, and of 1e3 a number.
    """
    levels: list[list[object]] = [[]]
    ends: list[str] = []
    position = 0
    while position < len(cell):
        token = _TOKEN.match(cell, position)
        if token is None:
            raise ValueError(f"it is not clear what {cell[position : position + 10]!r} is")
        position = token.end()
        mark = token["mark"]
        if mark is None:
            levels[-1].append(token["word"] or _unquote(token["string"] or token["scalar"]))
        elif mark in _ENDS:
            levels.append([])
            ends.append(_ENDS[mark])
        elif mark == ":" and ends[-1:] == ["}"]:
            levels[-1].append(_COLON)
        elif mark == ":":
            raise ValueError("a colon stands outside of {...}")
        elif mark != ",":
            if not ends or ends.pop() != mark:
                raise ValueError(f"{mark!r} closes nothing")
            inner = levels.pop()
            levels[-1].append(_entries(inner) if _COLON in inner else inner)
            if not ends:
                break
    if ends:
        raise ValueError(f"{ends[-1]!r} is missing")
    if position < len(cell):
        raise ValueError(f"something stands behind its end: {cell[position : position + 10]!r}")
    return levels[0][0]


def _unquote(text: str) -> str:
    for read in (json.loads, ast.literal_eval) if text.startswith('"') else (ast.literal_eval,):
        with contextlib.suppress(SyntaxError, ValueError):
            word = read(text)  # \/ and 😀 are JSON's
            break
    else:
        raise ValueError(f"{text} cannot be read")
    if isinstance(word, bytes):
        word = word.decode("utf-8", "surrogateescape")
    try:
        word.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{text} is half a character") from None
    return str(word)


def _entries(parts: Sequence[object]) -> _Entries:
    keys, colons, values = parts[0::3], parts[1::3], parts[2::3]
    if len(parts) % 3 or any(colon is not _COLON for colon in colons) or _COLON in (*keys, *values):
        raise ValueError("keys and values do not go in pairs")
    return _Entries(zip(keys, values, strict=True))


def _words(content: object) -> Iterator[str]:
    levels = [iter([content])]
    while levels:
        for part in levels[-1]:
            if isinstance(part, str):
                yield part
                continue
            levels.append(iter(_choose(part) if isinstance(part, _Entries) else part))  # type: ignore[call-overload]  # JSON
            break
        else:
            levels.pop()


def _choose(entries: _Entries) -> list[object]:
    """Return the one value of `{"choices": [...]}`, or what is true in `{"cat": true, "dog": false}`."""
    truths = [str(value).lower() in ("true", "false") and isinstance(value, str) for _, value in entries]
    if all(truths):
        return [key for key, value in entries if str(value).lower() == "true"]
    if len(entries) == 1 and entries[0][1] not in ("0", "1"):
        return [entries[0][1]]
    keys = ", ".join(str(key) for key, _ in entries)
    raise ValueError(f"it does not say which of its names ({keys}) or values is the label")
