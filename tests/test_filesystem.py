"""Names that no file can have, and folders that may not be entered: a message, nowhere a traceback."""

import os
from pathlib import Path

import pytest

from lightning_tasks.atomic_write import require_place
from lightning_tasks.data.download.atomic_folder import atomic_folder, is_there
from lightning_tasks.data.tables.csv_table import read_cells, require_folder
from lightning_tasks.errors import ConfigError, DatasetNotFoundError, LightningTasksError, what_is_wrong
from lightning_tasks.filesystem import as_text, exists, expand_path, is_file, is_folder, why_missing
from lightning_tasks.reports.figure_file import require_figure_place
from lightning_tasks.run_folders import last_run_folder, new_run_folder
from lightning_tasks.tasks.multilabel.voc import find_voc
from lightning_tasks.verbs.init import init

LONG = Path("x" * 300)


def make(target):
    with atomic_folder(target):
        pass


@pytest.mark.parametrize(
    "ask",
    [
        require_folder,
        read_cells,
        make,
        lambda path: new_run_folder(path, "name"),
        lambda path: new_run_folder(Path("there.csv"), str(path)),
        lambda path: last_run_folder(path, "name"),
        lambda path: init(str(path)),
        lambda path: init("there.csv", str(path)),
        lambda path: require_place(path / "a"),
        lambda path: require_figure_place(path.with_suffix(".png")),
    ],
)
def test_a_name_that_no_file_can_have(ask, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("there.csv").write_text("fname,labels\na.jpg,b\n")
    for path in (LONG, Path("there.csv/below")):
        with pytest.raises(LightningTasksError):
            ask(path)
    assert [path.name for path in tmp_path.iterdir()] == ["there.csv"]


def test_questions_never_raise(monkeypatch, tmp_path):
    for path in (LONG, Path("a\0b"), tmp_path / "none"):
        assert not any(ask(path) for ask in (is_file, is_folder, exists, is_there))
    assert find_voc(LONG) is None
    assert (why_missing(LONG), why_missing(tmp_path / "none")) == (" (File name too long)", "")
    assert why_missing(tmp_path) == " (it is a folder)"

    def refuse(*given, **more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "stat", refuse)  # who runs the tests may be allowed everything
    assert not any(ask(tmp_path) for ask in (is_file, is_folder, exists))
    with pytest.raises(DatasetNotFoundError, match="Permission denied"):
        require_folder(tmp_path)


def test_two_names_that_are_no_text_stay_two():
    assert [as_text(os.fsdecode(name)) for name in (b"\xe4", b"\xf6", "ä".encode())] == ["\\udce4", "\\udcf6", "ä"]


def test_a_place_is_only_looked_at(tmp_path):
    require_place(tmp_path / "new" / "deeper" / "a.csv")
    require_figure_place(tmp_path / "a.PNG")
    assert not list(tmp_path.iterdir())
    (tmp_path / "a.csv").touch()
    require_place(tmp_path / "a.csv", [tmp_path / "b.csv"])
    (tmp_path / "b.csv").symlink_to("a.csv")
    with pytest.raises(ConfigError, match="is read here"):
        require_place(tmp_path / "a.csv", [tmp_path / "b.csv"])


def test_a_message_that_only_announces_brings_the_next_line():
    assert (
        what_is_wrong(RuntimeError("Error(s) in X:\n\tsize mismatch for a.\n\tmore"))
        == "Error(s) in X: size mismatch for a."
    )
    assert what_is_wrong(RuntimeError("one\ntwo")) == "one"
    assert what_is_wrong(KeyError()) == "KeyError"


@pytest.fixture
def places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DATA", str(tmp_path / "data"))
    monkeypatch.setenv("NAME", "x")
    monkeypatch.delenv("NOTHING", raising=False)
    for name in ("a$NAME.csv", "d$NOTHING/b.csv", "~here/c.csv", "sub/e$NOTHING.csv"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("~/a.csv", "{0}/home/a.csv"),
        ("$DATA/a.csv", "{0}/data/a.csv"),
        ("${DATA}/a.csv", "{0}/data/a.csv"),
        ("sub/${NAME}y/$NAME.csv", "sub/xy/x.csv"),
        ("$HOME", "{0}/home"),
        ("a$NAME.csv", "a$NAME.csv"),  # it is there
        ("d$NOTHING/new.csv", "d$NOTHING/new.csv"),  # its folder is
        ("~here/c.csv", "~here/c.csv"),
        ("sub/e$NOTHING.csv", "sub/e$NOTHING.csv"),
        ("price$.csv", "price$.csv"),
        ("5$-7$", "5$-7$"),
        ("a~b", "a~b"),
        ("-", "-"),
        (".", "."),
        ("/", "/"),
        ("", ""),
        ("a/", "a/"),
    ],
)
def test_a_path_means_what_a_shell_makes_of_it_unless_it_is_there(name, meant, places):
    assert expand_path(name) == meant.format(places)


def test_what_is_there_is_looked_for_in_the_folder(places):
    assert expand_path("e$NOTHING.csv", Path("sub")) == "e$NOTHING.csv"
    with pytest.raises(ConfigError, match=r"'e\$NOTHING.csv'.*no variable NOTHING"):
        expand_path("e$NOTHING.csv")


@pytest.mark.parametrize("name", ["$NOTHING/a", "${NOTHING}/a", "a/b$NOTHING"])
def test_a_variable_that_is_not_set_is_named(name, places):
    with pytest.raises(ConfigError, match="no variable NOTHING"):
        expand_path(name)


def test_a_folders_files_are_on_the_disk_before_its_name_is(tmp_path, monkeypatch):
    there = []
    monkeypatch.setattr(os, "sync", lambda: there.append((tmp_path / "data").exists()))
    with atomic_folder(tmp_path / "data") as work:
        (work / "x").write_text("whole")
    assert there == [False]
    assert (tmp_path / "data" / "x").read_text() == "whole"
