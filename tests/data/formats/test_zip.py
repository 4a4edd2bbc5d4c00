"""Zips from anywhere, unpacked without trusting them."""

import contextlib
import shutil
import stat
import zipfile

import pytest

from lightning_tasks.__main__ import console
from lightning_tasks.data.tables.formats import zip_files
from lightning_tasks.data.tables.formats.zip_files import unpack_zip
from lightning_tasks.errors import LightningTasksError, TableError
from tests.data.formats import test_voc_xml


def write(path, files, **options):
    """Write a zip of {name: content}."""
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def names_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_all_is_unpacked_and_stays(tmp_path):
    path = write(tmp_path / "a.zip", {"x/": "", "x/1.txt": "one", "2.txt": "two"})
    unpack_zip(path, tmp_path / "a")
    assert names_in(tmp_path) == ["a", "a.zip", "a/2.txt", "a/x", "a/x/1.txt"]
    before = (tmp_path / "a/2.txt").stat().st_mtime_ns
    unpack_zip(path, tmp_path / "a")
    assert (tmp_path / "a/2.txt").stat().st_mtime_ns == before
    (tmp_path / "a/2.txt").write_text("other")
    with pytest.raises(TableError, match=r"a is there already, and is not what .*a\.zip holds"):
        unpack_zip(path, tmp_path / "a")
    assert (tmp_path / "a/2.txt").read_text() == "other"


def test_backslashes_are_folders(tmp_path):
    """As some programs of Windows write them, for folders too."""
    path = write(tmp_path / "a.zip", {"images\\": "", "images\\x\\1.txt": "one", "2.txt": ""})
    unpack_zip(path, tmp_path / "a")
    assert (tmp_path / "a/images/x/1.txt").read_text() == "one"
    unpack_zip(path, tmp_path / "a")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../x.txt", "a name that leads out of its folder: '../x.txt'"),
        ("x/../../y.txt", "leads out"),
        ("/etc/x", "leads out"),
        ("..\\x.txt", "leads out"),
        ("C:\\x.txt", "leads out"),
        ("\\\\server\\x", "leads out"),
        (".", "leads out"),
        ("x/more.ZIP", r"another zip: 'x/more\.ZIP'\. Unpack it yourself"),
        ("n" * 300, "cannot be unpacked"),
        ("2.txt/x", "cannot be unpacked"),  # a file, and a folder of that name
    ],
)
def test_what_is_refused_leaves_nothing(tmp_path, name, message):
    path = write(tmp_path / "a.zip", {"2.txt": "two", name: "one"})
    with pytest.raises(TableError, match=message) as caught:
        unpack_zip(path, tmp_path / "to" / "a")
    assert str(caught.value).startswith(str(path))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"] == ["a.zip"]


def test_a_link_is_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(TableError, match="a link: 'link'"):
        unpack_zip(write(tmp_path / "a.zip", {link: "/etc"}), tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(zip_files, "_ALWAYS_FINE_BYTES", 2**16)
    path = write(tmp_path / "a.zip", {"x": b"\0" * 2**22}, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(TableError, match="unpacks to far more than its own size"):
        unpack_zip(path, tmp_path / "a")
    path.write_bytes(path.read_bytes().replace((2**22).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(TableError, match="cannot be unpacked"):  # it says that it is small
        unpack_zip(path, tmp_path / "a")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_zip_is_told_wherever_it_is_damaged(tmp_path, compression):
    content = bytes(range(256)) * 8
    good = write(tmp_path / "good.zip", {"x": content, "y": content}, compression=compression).read_bytes()
    path = tmp_path / "a.zip"
    for at in range(0, len(good), max(1, len(good) // 60)):
        for damaged in (good[:at], good[:at] + b"\xff\x07" + good[at + 2 :]):
            path.write_bytes(damaged)
            with contextlib.suppress(LightningTasksError):
                unpack_zip(path, tmp_path / "a")
            assert names_in(tmp_path / "a") in ([], ["x", "y"])  # all or nothing, and no other error
            shutil.rmtree(tmp_path / "a", ignore_errors=True)


def test_an_unpacking_that_is_killed_leaves_no_half_folder(tmp_path, monkeypatch):
    path = write(tmp_path / "a.zip", {"1.txt": "one", "2.txt": "two"})
    copied = []

    def copy(source, target, length):
        copied.append(target.name)
        if len(copied) == 2:
            raise KeyboardInterrupt
        target.write(source.read())

    with monkeypatch.context() as patched:
        patched.setattr(zip_files.shutil, "copyfileobj", copy)
        with pytest.raises(KeyboardInterrupt):
            unpack_zip(path, tmp_path / "a")
    assert not (tmp_path / "a").exists()
    left = tmp_path / ".a.new"  # of one that was killed
    left.mkdir()
    (left / "half.txt").write_text("")
    unpack_zip(path, tmp_path / "a")
    assert names_in(tmp_path) == ["a", "a.zip", "a/1.txt", "a/2.txt"]


def test_init_reads_a_zip(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = test_voc_xml.write_example(tmp_path / "made" / "set")
    (folder.parent / "__MACOSX" / "set").mkdir(parents=True)
    (folder.parent / "__MACOSX" / "set" / "._a.xml").write_bytes(b"\0\5\x16\7")
    shutil.make_archive("photos", "zip", folder.parent)
    shutil.rmtree(folder.parent)
    assert console(["init", "photos.zip"]) == 0
    assert (tmp_path / "labels.csv").read_text() == "fname,labels\na.jpg,tumour\nb.jpg,healthy\n"
    assert "images: photos/set" in (tmp_path / "labels.yaml").read_text()
