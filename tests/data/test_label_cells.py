"""Cells that hold lists, whoever wrote them."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_tasks.data.tables.cells import normalize
from lightning_tasks.data.tables.label_cells import AUTO, WHOLE, split_cell


@pytest.mark.parametrize("separator", [AUTO, " ", ";", ",", WHOLE])
@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        ("['Action', 'Drama']", ("Action", "Drama")),
        ('["Cat","Dog"]', ("Cat", "Dog")),
        ('{"choices":["Cat"]}', ("Cat",)),
        ('{"choices": "hot dog"}', ("hot dog",)),
        ("{'choices': ['Cat', 'Dog']}", ("Cat", "Dog")),
        ('[{"choices": ["Cat"]}, {"choices": ["Dog"]}]', ("Cat", "Dog")),
        ('{"cat": true, "dog": false}', ("cat",)),
        ("{'cat': True, 'dog': False}", ("cat",)),
        ('("a","b")', ("a", "b")),
        ("('a',)", ("a",)),
        ("{'a', 'b'}", ("a", "b")),
        ("['a' 'b']", ("a", "b")),
        ("['a'\n 'b']", ("a", "b")),
        ("[np.str_('a'), np.str_('b c')]", ("a", "b c")),
        ("[Action, Sci-Fi]", ("Action", "Sci-Fi")),
        ("[hot dog, cat]", ("hot dog", "cat")),
        ("[1e3, 007]", ("1e3", "007")),
        ("[['a'], ['b', 'c']]", ("a", "b", "c")),
        ('["it\'s", "say \\"x\\""]', ("it's", 'say "x"')),
        ('["a, b", "[c]"]', ("a, b", "[c]")),
        ('["\\ud83d\\ude00", "a\\/b"]', ("\U0001f600", "a/b")),
        ("[b'a', u'b']", ("a", "b")),
        ("[]", ()),
        ("()", ()),
        ("{}", ()),
        ("['', ' ']", ()),
        ("  ['a']  ", ("a",)),
        ("set()", ()),
        ("frozenset({'a', 'b c'})", ("a", "b c")),
        ("array(['a', 'b'], dtype=object)", ("a", "b")),
        ("np.array(['a'])", ("a",)),
        ("array([], dtype='<U1')", ()),
    ],
)
def test_lists_are_lists_whatever_the_separator(cell, labels, separator):
    assert split_cell(cell, separator) == labels


@pytest.mark.parametrize(
    ("cell", "separator", "labels"),
    [
        ("cat dog", AUTO, ("cat", "dog")),
        ("cat\tdog\ncow\u00a0pig", " ", ("cat", "dog", "cow", "pig")),
        ("hot dog; cat;", ";", ("hot dog", "cat")),
        ("not hot dog", WHOLE, ("not hot dog",)),
        ("", WHOLE, ()),
        ("(unknown)", AUTO, ("(unknown)",)),
        ("set(blue) array", AUTO, ("set(blue)", "array")),
        ("Smith (left)", WHOLE, ("Smith (left)",)),
        ("cafe\u0301", AUTO, ("caf\u00e9",)),
    ],
)
def test_other_cells_are_split(cell, separator, labels):
    assert split_cell(cell, separator) == labels


@pytest.mark.parametrize(
    "cell",
    [
        "['a",
        "['a']]",
        "['a', 'b'",
        "[a] [b]",
        "{'a': 1, 'b': 2}",
        "{'a':}",
        "[a: b]",
        "['a\\x']",
        '["\\ud83d"]',
        "[a}",
        '{"cat": 1}',
    ],
)
def test_what_starts_like_a_list_and_is_none_is_refused(cell):
    with pytest.raises(ValueError, match=r"\w"):
        split_cell(cell, AUTO)


LABEL = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1).filter(normalize)
LABELS = st.lists(LABEL, max_size=5, unique=True)


@given(LABELS)
def test_lists_of_any_text_are_read_as_json_python_and_numpy_write_them(labels):
    wanted = tuple(normalize(label) for label in labels)
    cells = [
        json.dumps(labels),
        json.dumps(labels, ensure_ascii=False),
        repr(labels),
        str([np.str_(x) for x in labels]),
    ]
    cells += [str(np.array(labels)) if labels else "[]"]
    cells += [json.dumps({"choices": labels}), repr(set(labels)) if labels else "[]"]
    for cell in cells[:-1]:
        assert split_cell(cell, AUTO) == wanted
    assert set(split_cell(cells[-1], AUTO)) == set(wanted)


@given(st.text())
def test_any_cell_is_labels_or_a_word_why_not(cell):
    with contextlib.suppress(ValueError):
        assert all(label == normalize(label) != "" for label in split_cell(cell, AUTO))


@pytest.mark.parametrize(
    "text", ["caf\u00e9 noir", "cafe\u0301  noir", "\ufeffcaf\u00e9\u00a0noir\u200b", "ca\u00adf\u00e9\nnoir "]
)
def test_what_looks_alike_is_one_label(text):
    assert split_cell(text, WHOLE) == split_cell(json.dumps([text]), AUTO) == ("caf\u00e9 noir",)
