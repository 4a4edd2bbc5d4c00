"""Tars that mean harm, or are broken, and what else tars hold."""

import errno
import gzip
import io
import os
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_tasks.data.download import unpack as module
from lightning_tasks.data.download.archives import NotTheArchiveError
from lightning_tasks.data.download.unpack import unpack
from tests.data.archive_server import PETS, noise, tar_of

TAR = tar_of(PETS)


def member(name, kind, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def unpacked(tmp_path, content, folder="pets"):
    (tmp_path / "x.tgz").write_bytes(content)
    (tmp_path / "in").mkdir(exist_ok=True)
    unpack(tmp_path / "x.tgz", folder, tmp_path / "in")
    return files_of(tmp_path / "in")


@pytest.mark.parametrize("packed", [True, False])
def test_the_folders_content_is_unpacked_and_nothing_beside_it(tmp_path, packed):
    beside = {"._pets": b"mac", "petsy/a": b"a", **PETS, "./pets/c.txt": b"c"}
    found = unpacked(tmp_path, tar_of(beside, packed))
    assert found == {name.removeprefix("pets/"): content for name, content in PETS.items()} | {"c.txt": b"c"}


def test_modes_are_a_users_own(tmp_path):
    info = member("pets/a", tarfile.REGTYPE)
    info.mode = 0o6777  # set user id, written to by everybody
    unpacked(tmp_path, tar_of([info]))
    assert (tmp_path / "in" / "a").stat().st_mode & 0o7022 == 0


def test_python_3_11_0_can_do_it(tmp_path, monkeypatch):
    for name in ("extract", "extractall"):  # without a filter, which came with 3.11.4, they are not safe
        monkeypatch.delattr(tarfile.TarFile, name)
    folders = [member("pets/deep", tarfile.DIRTYPE), member("pets/deep/empty", tarfile.DIRTYPE)]
    found = unpacked(tmp_path, tar_of([*folders, ("pets/deep/down/a.txt", b"a")]))
    assert found == {"deep/down/a.txt": b"a"}
    assert (tmp_path / "in" / "deep" / "empty").is_dir()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (("../evil", b"x"), "leads out"),
        (("pets/../../evil", b"x"), "leads out"),
        (("/tmp/evil_of_lightning_tasks", b"x"), "leads out"),
        (("beside/../../evil", b"x"), "leads out"),
        (member("pets/l", tarfile.SYMTYPE, "/etc/passwd"), "link or a device"),
        (member("pets/l", tarfile.SYMTYPE, "train.csv"), "link or a device"),
        (member("pets/l", tarfile.LNKTYPE, "pets/train.csv"), "link or a device"),
        (member("pets/l", tarfile.LNKTYPE, "/etc/passwd"), "link or a device"),
        (member("pets/d", tarfile.CHRTYPE), "link or a device"),
        (member("pets/d", tarfile.BLKTYPE), "link or a device"),
        (member("pets/d", tarfile.FIFOTYPE), "link or a device"),
        (("pets/train.csv/x", b"x"), "cannot be unpacked"),  # a file is there
        (("pets/" + "x" * 300, b"x"), "cannot be unpacked"),  # no such name is possible
        (("pets/\udcff\x00", b"x"), "cannot be unpacked"),
    ],
)
def test_what_leads_out_or_is_no_file_is_refused(tmp_path, bad, message):
    with pytest.raises(NotTheArchiveError, match=message):
        unpacked(tmp_path, tar_of([*PETS.items(), bad]))
    assert {path.name for path in tmp_path.iterdir()} == {"x.tgz", "in"}
    assert not os.path.lexists("/tmp/evil_of_lightning_tasks")
    assert all(path.is_file() or path.is_dir() for path in (tmp_path / "in").rglob("*"))


def test_a_link_is_not_written_through(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    with pytest.raises(NotTheArchiveError, match="link"):
        unpacked(tmp_path, tar_of([member("pets/l", tarfile.SYMTYPE, str(outside)), ("pets/l/evil", b"x")]))
    assert not list(outside.iterdir())


def test_a_bomb_is_refused_before_it_is_written(tmp_path):
    bomb = tar_of({"pets/zeros": bytes(64 * 2**20)})
    assert len(bomb) < 2**17
    with pytest.raises(NotTheArchiveError, match="more than its own size"):
        unpacked(tmp_path, bomb)
    assert files_of(tmp_path / "in") == {}


@pytest.mark.parametrize("where", ["beside the folder", "in many files", "behind the end", "in a header"])
def test_a_bomb_elsewhere_is_refused(tmp_path, where):
    zeros = bytes(20 * 2**20)
    if where == "beside the folder":
        bomb = tar_of({"other/zeros": zeros, **PETS})
    elif where == "in many files":
        bomb = tar_of({**PETS, **{f"pets/{i}": zeros[: 2**20] for i in range(20)}})
    elif where == "behind the end":
        bomb = tar_of(PETS) + gzip.compress(zeros)
    else:
        info = member("pets/a", tarfile.REGTYPE)
        info.pax_headers = {"comment": "x" * len(zeros)}
        bomb = tar_of([info])
    assert len(bomb) < 400_000
    with pytest.raises(NotTheArchiveError, match="more than its own size"):
        unpacked(tmp_path, bomb)


def test_a_file_with_holes_counts_in_full(tmp_path):
    info = member("pets/holes", tarfile.REGTYPE)
    info.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.name": "pets/holes"}
    info.pax_headers |= {"GNU.sparse.size": str(2**40), "GNU.sparse.numblocks": "1", "GNU.sparse.map": "0,0"}
    with pytest.raises(NotTheArchiveError, match="more than its own size"):
        unpacked(tmp_path, tar_of([info]))
    assert files_of(tmp_path / "in") == {}


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_MOST_FILES", 10)
    assert len(unpacked(tmp_path, tar_of({f"pets/{i}": b"" for i in range(10)}))) == 10
    with pytest.raises(NotTheArchiveError, match="more than 10 files"):
        unpacked(tmp_path, tar_of({f"pets/{i}": b"" for i in range(11)}))


@settings(max_examples=40)
@given(st.integers(0, len(TAR) - 1))
def test_cut_anywhere_it_is_refused(tmp_path_factory, end):
    with pytest.raises(NotTheArchiveError):
        unpacked(tmp_path_factory.mktemp("cut"), TAR[:end])


@settings(max_examples=40)
@given(st.integers(0, len(TAR) - 1), st.integers(0, 7))
def test_a_bit_that_is_turned_is_found_or_does_not_matter(tmp_path_factory, at, bit):
    spoilt = bytearray(TAR)
    spoilt[at] ^= 1 << bit
    try:
        found = unpacked(tmp_path_factory.mktemp("spoilt"), bytes(spoilt))
    except NotTheArchiveError:
        return
    assert found == {name.removeprefix("pets/"): content for name, content in PETS.items()}  # gzip's own header


@pytest.mark.parametrize(
    "content", [b"", b"no tar", noise(5000), gzip.compress(b"no tar", mtime=0), gzip.compress(noise(5000), mtime=0)]
)
def test_what_is_no_tar_is_refused(tmp_path, content):
    with pytest.raises(NotTheArchiveError, match=r"cannot be unpacked|holds no folder"):
        unpacked(tmp_path, content)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(NotTheArchiveError, match="holds no folder cats"):
        unpacked(tmp_path, TAR, "cats")


def test_a_full_disk_is_not_the_archives_fault(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(OSError, match="No space left"):
        unpacked(tmp_path, TAR)


def test_compressed_otherwise_it_is_refused(tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz"):
        pass
    with pytest.raises(NotTheArchiveError):
        unpacked(tmp_path, buffer.getvalue())
