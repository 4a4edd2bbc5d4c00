"""A file name in a table that looks right and is not there: every door takes the one file that it fits."""

import csv
import pickle
import warnings
from pathlib import Path

import pytest

from lightning_tasks import KeypointDataModule, MultiLabelDataModule
from lightning_tasks.__main__ import console
from lightning_tasks.data.tables.file_checks import find_files
from lightning_tasks.data.tables.near_names import NearNames
from lightning_tasks.data.tables.paths import Confines
from lightning_tasks.deploy.sources import search
from lightning_tasks.errors import DatasetNotFoundError, LightningTasksWarning, TableError
from lightning_tasks.verbs.check import check
from lightning_tasks.verbs.init import init
from tests.fakes import write_image, write_multilabel, write_points

NFC, NFD = "caf\u00e9.jpg", "cafe\u0301.jpg"
FITS = {  # in the table: on disk
    NFD: NFC,
    NFC: NFD,
    "A.JPG": "a.jpg",
    "a.jpg": "A.jpg",
    "a.jpg ": "a.jpg",
    "\ta.jpg": "a.jpg",
    "a.jpg\u00a0": "a.jpg",
    "b.jpg": "b.jpg ",
    "sub\\a.jpg": "sub/a.jpg",
    ".\\sub\\deep\\a.jpg": "sub/deep/a.jpg",
    "a": "a.jpg",
    "img.0001": "img.0001.png",
    "Sub/A": "sub/a.jpeg",
    " SUB\\Cafe\u0301 ": "sub/CAF\u00c9.JPG",
    "sub /a.jpg": "sub/a.jpg",
    "straße.jpg": "STRASSE.jpg",
}


@pytest.mark.parametrize(("name", "file"), FITS.items())
def test_the_one_file_that_a_name_fits_is_taken(name, file, tmp_path):
    write_image((tmp_path / file.strip()).with_suffix(".png"))
    path = tmp_path / file
    (tmp_path / file.strip()).with_suffix(".png").rename(path)
    (tmp_path / "other.jpg").touch()
    for confines in (Confines(tmp_path), None):
        files = find_files([name, "other.jpg", "gone.jpg"], tmp_path, confines)
        assert (files.names, files.respelt) == ([file, "other.jpg", "gone.jpg"], {0: name})
        assert files.missing.tolist() == [False, False, True]
    assert pickle.loads(pickle.dumps(files)).names == files.names  # a data module goes to spawned processes


@pytest.mark.parametrize(
    ("name", "there", "said"),
    [
        ("a.jpg", ["A.jpg", "a.JPG"], "it may be any of 'A.jpg', 'a.JPG'"),
        ("a", ["a.jpg", "a.png"], "it may be any of 'a.jpg', 'a.png'"),
        ("x/a.jpg", ["X/a.jpg", "x/A.jpg"], "it may be any of 'X/a.jpg', 'x/A.jpg'"),
        ("a.jpg", ["a.png", "a.txt"], "there is 'a.png'"),  # perhaps its mask
        ("home/me/sub/a.jpg", ["a.jpg", "sub/A.jpg"], "there is 'sub/A.jpg'"),  # of another machine
        ("C:\\data\\a.jpg", ["a.jpg"], "there is 'a.jpg'"),
        ("sub/a.jpg", ["images/sub/a.jpg"], "there is 'images/sub/a.jpg'"),
        ("\0/b.jpg", ["a.jpg"], "there is no image"),
        ("/\0\0/x/a.jpg", ["a.jpg"], "there is 'a.jpg'"),
        ("a", ["a.txt", "a"], "there is no image"),
        ("a.jpg", ["b.jpg", "aa.jpg", "a.jpg.jpg"], "there is no image"),
    ],
)
def test_where_none_or_several_fit_none_is_taken_and_they_are_named(name, there, said, tmp_path):
    for file in there:
        (tmp_path / file).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / file).mkdir() if file == name else (tmp_path / file).touch()
    files = find_files([name], tmp_path, Confines(tmp_path))
    assert files.missing.tolist() == [True]
    assert files.what_is_missing(0).endswith(said) or said == "there is no image"
    assert files.what_is_missing(0).startswith(f"there is no image {tmp_path / name}")


def test_a_path_of_another_machine_is_not_opened_and_the_file_of_that_name_is_told(tmp_path):
    write_multilabel(tmp_path, ["fname,labels", *(f"/home/me/data/{i}.jpg,cat" for i in range(8))])
    with pytest.raises(TableError, match=r"'/home/me/data/0\.jpg' leads out of the data's folder; there is '0\.jpg'\."):
        module(tmp_path).setup("fit")


def test_of_several_the_one_that_differs_in_less_is_taken(tmp_path):
    for file in ("a.jpg", "A.jpg", "b", "b.jpg", "B.jpg"):
        (tmp_path / file).touch() if file != "b" else (tmp_path / file).mkdir()
    assert NearNames(tmp_path, None).fitting("a.jpg ") == ["a.jpg"]
    assert NearNames(tmp_path, None).fitting("b") == ["b.jpg"]


def test_a_name_that_is_there_is_never_another_and_nothing_is_listed(tmp_path, monkeypatch):
    for file in ("a.jpg", "A.jpg", "a.jpg "):
        (tmp_path / file).touch()
    monkeypatch.setattr("os.listdir", None)
    assert find_files(["a.jpg", "A.jpg", "a.jpg "], tmp_path, Confines(tmp_path)).respelt == {}


def test_a_folder_is_listed_once(tmp_path, monkeypatch):
    import os

    listed, real = [], os.listdir
    for i in range(50):
        (tmp_path / f"{i}.jpg").touch()
    monkeypatch.setattr("os.listdir", lambda folder: listed.append(folder) or real(folder))
    files = find_files([f"{i}.JPG" for i in range(50)], tmp_path, Confines(tmp_path))
    assert (len(files.respelt), len(listed)) == (50, 1)


@pytest.mark.parametrize("name", ["..\\secret\\0.jpg", "../Secret/0.jpg", "LINK.jpg", "Folder/0.jpg", "folder/0", "0"])
def test_a_name_is_not_taken_for_a_file_outside(name, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    write_image(tmp_path / "secret" / "0.jpg")
    (root / "link.jpg").symlink_to(tmp_path / "secret" / "0.jpg")
    (root / "folder").symlink_to(tmp_path / "secret")
    (root / "0.jpg").symlink_to(tmp_path / "secret" / "0.jpg")
    files = find_files([name], root, Confines(root))
    assert files.respelt == {}
    assert files.missing[0] or files.leads_out[0]
    assert "secret/0.jpg" not in files.what_is_missing(0).removeprefix(f"there is no image {root / name}")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Eight images, of which a table calls three otherwise, one of these by no name that fits one file."""
    monkeypatch.chdir(tmp_path)
    rows = [
        "0.JPG,cat,False",
        "1,dog,False",
        " 2.jpg,cat,False",
        *(f"{i}.jpg,{'dog' if i % 2 else 'cat'},{i > 5}" for i in range(3, 8)),
    ]
    write_multilabel(Path("root"), ["fname,labels,is_valid", *rows])
    return Path("root")


NAMES = [f"{i}.jpg" for i in range(8)]
LINE = (
    "root/labels.csv: row 2, column 'fname': '0.JPG' is taken for '0.jpg', which it fits: 3 files are called a little"
)


def module(root):
    return MultiLabelDataModule(str(root), num_workers=0, cache="none", size=16, batch_size=2)


def said(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [
        str(w.message) for w in caught if issubclass(w.category, LightningTasksWarning) and "fname" in str(w.message)
    ]


def test_all_doors_agree(root, capsys):
    for call in (lambda data: data.setup("fit"), lambda data: data.describe(), lambda data: data.one_batch()):
        data = module(root)
        (line,) = said(lambda data=data, call=call: call(data))
        assert line.startswith(LINE)
        assert data.table["fname"].tolist() == NAMES
        assert [path.name for path in data.train_set.paths] == NAMES[:6]
    problems = check(module(root), min_positives=0, max_distance=0)
    assert [(problem.kind, problem.row, problem.message[: len(LINE)]) for problem in problems] == [("name", None, LINE)]
    found = []
    (line,) = said(lambda: found.extend(search([str(root / "labels.csv")], None).found))
    assert line.startswith(LINE)
    assert [(one.path.name, one.name.name) for one in found] == [(name, name) for name in NAMES]
    init(str(root / "labels.csv"))
    assert f"names            {LINE}" in (printed := capsys.readouterr().out)
    assert "8 images)" in printed


def test_two_names_that_fit_one_file_are_two_rows_of_one_image(root):
    with (root / "labels.csv").open("a") as file:
        file.write("0.jpg,dog,False\n")
    with pytest.raises(TableError, match=r"row 10: 0\.jpg stands in row 2 already, with other cells in 'labels'"):
        module(root).setup("fit")


def test_points_and_a_test_table_too(tmp_path):
    write_points(tmp_path, ["fname,is_valid,l_x,l_y", *(f"{i}.JPG,{i > 3},1,2" for i in range(6))])
    (tmp_path / "test.csv").write_text("fname,l_x,l_y\n6.Jpg,1,2\n7,1,2\n")
    data = KeypointDataModule(str(tmp_path), test_csv="test.csv", num_workers=0, cache="none", size=16)
    lines = said(data.describe)
    assert ["6 files" in lines[0], len(lines)] == [True, 1]
    assert [path.name for path in data.test_set.paths] == ["6.jpg", "7.jpg"]


def test_what_is_not_taken_is_named_by_the_command_line(root, capsys):
    (root / "A.jpg").symlink_to("3.jpg")
    (root / "a.JPG").symlink_to("4.jpg")
    with (root / "labels.csv").open("a") as file:
        file.write("a.jpg,dog,False\n9.jpg,dog,False\n")
    with pytest.raises(
        DatasetNotFoundError,
        match=r"row 10, .* no image root/a\.jpg; it may be any of 'A\.jpg', 'a\.JPG'\. 1 more is",
    ):
        module(root).setup("fit")
    (ambiguous, gone) = [problem for problem in check(module(root), 0, 0) if problem.kind == "image"]
    assert "it may be any of" in ambiguous.message
    assert gone.message.endswith("row 11: there is no image root/9.jpg")
    lines = said(lambda: search([str(root / "labels.csv")], None))
    assert "row 10, column 'fname': there is no image root/a.jpg; it may be any of" in lines[1]


@pytest.mark.filterwarnings("default::lightning_tasks.errors.LightningTasksWarning")
def test_predictions_name_the_files(labels_run, monkeypatch, tmp_path):
    folder, checkpoint = labels_run
    root = tmp_path / "root"
    write_multilabel(
        root, ["fname,labels,is_valid", *(f"{i}.JPG,{'cat' if i % 2 else 'dog'},{i > 5}" for i in range(8))]
    )
    monkeypatch.chdir(tmp_path)
    best = str(folder / checkpoint)
    assert console(["get_preds", best, "--data.root", "root", "--output", "a.csv", "--data.num_workers", "0"]) == 0
    assert console(["predict", best, "root/labels.csv", "--output", "b.csv", "--device", "cpu"]) == 0
    for output, names in (("a.csv", NAMES[6:]), ("b.csv", NAMES)):
        with Path(output).open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["fname"] for row in rows] == [f"root/{name}" for name in names]
        assert not any(row.get("error") for row in rows)
