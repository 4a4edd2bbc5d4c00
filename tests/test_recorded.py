"""The checkpoints of an earlier version say what they said then: see tests/recorded/record.py."""

import shutil
from pathlib import Path

import pytest

from tests.recorded.answers import ANSWERS
from tests.recorded.compare import difference, in_order, masked, renamed

HERE = Path(__file__).with_name("recorded")
QUICK = ("labels", "onnx.json")  # one of the exports that take seconds to translate
TRAINED = {"resumed.json": 1e-3}  # steps of Adam enlarge the rounding of gradients


def case(variant, name):
    slow = name in ("onnx.json", "torch.json") and (variant, name) != QUICK
    return pytest.param(variant, name, id=f"{variant}-{name}", marks=[pytest.mark.slow] if slow else [])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for part in ("data", "runs"):
        shutil.copytree(HERE / part, tmp_path / part)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("variant", "name"), [case(*asked) for asked in ANSWERS])
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_it_says_what_it_said(variant, name, folder):
    recorded = (HERE / "answers" / variant / name).read_text(encoding="utf-8")
    now = masked(ANSWERS[variant, name](variant))
    found = difference(in_order(name, renamed(name, recorded)), in_order(name, now), TRAINED.get(name))
    assert found is None, f"{variant}/{name}: {found}"


def test_each_recorded_answer_is_asked_for():
    written = {(path.parent.name, path.name) for path in (HERE / "answers").glob("*/*")}
    assert written == set(ANSWERS)


@pytest.mark.parametrize(
    ("then", "now", "alike"),
    [
        ("dog 0.4213 of 12", "dog 0.4213 of 12", True),
        ("a    0.42135,0.5", "a 0.42134,0.5", True),
        ("0.42,8.2 px", "0.43,8.3 px", True),  # printed as rounded to the other side
        ("0.4213", "0.4223", False),
        ("threshold 0.5", "threshold 0.6", False),
        ("dog 0.4213", "cat 0.4213", False),
        ("12 pictures", "13 pictures", False),
        ("1,234 pictures", "1,235 pictures", False),
        ("-0.5", "0.5", False),
        ("a\nb", "a", False),
        ("a", "a\nb", False),
    ],
)
def test_differences_are_found(then, now, alike):
    assert (difference(then, now) is None) == alike


def test_renamed_words_are_exchanged_in_what_was_recorded(monkeypatch):
    words = {"*": {"picture": "image"}, "predict*.csv": {"labels": "predicted"}}
    monkeypatch.setattr("tests.recorded.compare.RENAMED", words)
    assert (
        renamed("predict_flip.csv", "labels,a picture,pictures,one_labels")
        == "predicted,a image,pictures,one_predicted"
    )
    assert renamed("get_preds.csv", "labels") == "labels"


def test_what_is_of_the_machine_is_masked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = f'"torch": "2.9.0+cpu" in {Path.cwd()}/a on 2026-01-02 10:11 took 1.5 s'
    assert masked(text) == '"torch": "MASKED" in FOLDER/a on DATE took TIME'
