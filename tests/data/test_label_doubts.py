"""What is said of a separator: names that it tears apart are seen, and labels that are freely mixed are left alone."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_tasks.data.tables.label_separators import names_with_blanks
from lightning_tasks.tasks import MultiLabelDataModule, PascalSampleDataModule
from lightning_tasks.tasks.multilabel.label_doubts import separator_problems
from lightning_tasks.tasks.multilabel.pascal import draw_pascal
from lightning_tasks.tasks.multilabel.voc import CLASSES

NAMES = [
    ["hot dog", "not hot dog"],
    ["hot dog", "dog", "cat"],
    ["granny smith", "red delicious", "gala"],
    ["golden retriever", "labrador retriever", "cat"],
    ["german shepherd", "australian shepherd", "golden retriever", "labrador retriever"],
    ["red car", "blue car", "red truck", "blue truck"],
    [f"{colour} {thing}" for colour in ("red", "green", "blue") for thing in ("car", "bus", "van")],
    ["traffic light", "stop sign", "car"],
    ["potted plant", "dining table", "tv monitor", "dog"],
]


@pytest.mark.parametrize("names", NAMES, ids=lambda names: names[0])
@given(seed=st.integers(0, 2**20), rows=st.integers(0, 300))
def test_names_are_seen(names, seed, rows):
    drawn = random.Random(seed)
    cells = Counter([*names * 5, *drawn.choices([*names, ""], k=rows)])
    assert names_with_blanks(cells)


def mixtures(vocab, rows, share, in_order, drawn):
    for _ in range(rows):
        chosen = [label for label in vocab if drawn.random() < share]
        if not in_order:
            drawn.shuffle(chosen)
        yield " ".join(chosen)


@settings(max_examples=300)
@given(
    seed=st.integers(0, 2**20),
    labels=st.integers(4, 20),
    rows=st.integers(60, 400),
    share=st.floats(0.1, 0.5),
    in_order=st.booleans(),
)
def test_free_mixtures_are_left_alone(seed, labels, rows, share, in_order):
    cells = Counter(mixtures(CLASSES[:labels], rows, share, in_order, random.Random(seed)))
    assert names_with_blanks({cell: n for cell, n in cells.items() if cell}) == ""


def test_the_samples_and_one_word_a_cell_are_left_alone(tmp_path):
    draw_pascal(tmp_path / "sample", n=200)
    data = PascalSampleDataModule(str(tmp_path / "sample"))
    assert said_of(data) == []
    assert names_with_blanks({"cat": 4, "dog": 4}) == names_with_blanks({}) == ""
    assert names_with_blanks({"cat dog": 1, "dog": 1, "cat": 2}) == ""


def test_a_name_among_mixtures_is_seen():
    drawn = random.Random(3)
    vocab = [name.replace("tvmonitor", "tv monitor") for name in CLASSES]
    said = names_with_blanks(Counter(mixtures(vocab, 300, 0.1, True, drawn)))
    assert said == "the words of 'tv monitor' always stand together, as if they were one name."


def data_of(folder, cells, **more):
    lines = [f'{i}.jpg,"{cell}"' for i, cell in enumerate(cells)]
    (folder / "labels.csv").write_text("\n".join(["fname,labels", *lines]) + "\n", encoding="utf-8")
    return MultiLabelDataModule(str(folder), **more)


def said_of(data):
    problems = data.find_problems(data.table, *data.split)
    return [problem.message for problem in problems if problem.kind == "separator"]


def test_the_doubt_says_what_to_do_and_is_silent_once_it_is_done(tmp_path):
    cells = ["hot dog", "not hot dog"] * 5
    (doubt,) = said_of(data_of(tmp_path, cells))
    assert "labels.csv: column 'labels': the words of 'hot dog' always stand together" in doubt
    assert "--data.label_separator none; where blanks do separate labels, --data.label_separator ' '" in doubt
    assert said_of(data_of(tmp_path, cells, label_separator=" ")) == []
    whole = data_of(tmp_path, cells, label_separator="none")
    assert (said_of(whole), whole.vocab) == ([], ["hot dog", "not hot dog"])


@pytest.mark.parametrize(
    ("cells", "separator", "meant"),
    [
        (["cat;dog", "dog", "cow"], "auto", ";"),
        (["cat;dog", "dog", "cow"], " ", ";"),
        (["cat|dog", "cow|hen"], " ", "|"),
        (["cat,dog", "dog,cow"], " ", ","),
        (["potted plant; tv", "tv", "potted plant"], " ", ";"),
        (["cat|dog", "dog"], ";", "|"),
        (["cat,dog", "dog"], "|", ","),
        (["cat/dog", "dog", "cat"], "auto", "/"),
        (["cat & dog", "dog", "cat"], "auto", "&"),
        (["cat、dog", "dog", "cat"], "auto", "、"),
    ],
)
def test_another_separator_is_seen(tmp_path, cells, separator, meant):
    (doubt,) = said_of(data_of(tmp_path, cells * 3, label_separator=separator))
    assert f"{meant!r} seems to stand between labels" in doubt
    assert f"--data.label_separator '{meant}'" in doubt
    assert said_of(data_of(tmp_path, cells * 3, label_separator=meant)) == []


@pytest.mark.parametrize(
    ("cells", "separator"),
    [
        (["Chair, folding;Table", "Chair, office"], ";"),
        (["a,b", "c"], " "),
        (["AC/DC U2", "U2", "AC/DC"], "auto"),
        (["animal/cat", "animal/dog", "animal"], "auto"),
        (["A+", "A", "B+", "B"], "auto"),
        (["potted plant", "tv"], ";"),
        (["cat (left)", "it's"], ";"),
        (["['hot dog', 'cat']"] * 6, "auto"),
        (["cat;dog", "dog"], "none"),
    ],
)
def test_names_may_have_marks(tmp_path, cells, separator):
    assert said_of(data_of(tmp_path, cells * 3, label_separator=separator)) == []


@pytest.mark.parametrize("cell", ["'cat'", "a]", "cat dog]", "'hot dog'"])
def test_quotes_and_brackets_around_labels_are_told(tmp_path, cell):
    assert "begin or end with quotes or brackets" in said_of(data_of(tmp_path, [cell, "dog"] * 3))[0]


def test_the_file_is_asked_not_what_was_made_of_it(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("fname;labels;is_valid\n1.jpg;hot dog;0.0\n2.jpg;hot dog;1.0\n;;\n", encoding="utf-16")
    assert len(separator_problems(path, "auto")) == 1


def test_labels_that_are_nearly_alike_are_told_unless_somebody_named_them(tmp_path):
    cells = ["Cat", "cat", "hot_dog", "dog"] * 3

    def alike(**more):
        data = data_of(tmp_path, cells, **more)
        return [problem for problem in data.find_problems(data.table, *data.split) if problem.kind == "alike"]

    (doubt,) = alike()
    assert "'Cat', 'cat' are nearly alike" in doubt.message
    assert not doubt.is_error
    assert alike(vocab=["Cat", "cat", "dog", "hot_dog"]) == []
