"""Archives from a server that fails in every way, to a folder that is whole or not there."""

import hashlib
import shutil
import socket
from collections import namedtuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_tasks import BiwiDataModule, PascalDataModule
from lightning_tasks.__main__ import console
from lightning_tasks.data.download import archives
from lightning_tasks.data.download.archives import Archive
from lightning_tasks.data.download.fetch import fetch
from lightning_tasks.errors import DatasetNotFoundError, DownloadError
from tests.conftest import CONF
from tests.data.archive_server import PETS, QUICK, Fault, entry, noise, serving, tar_of
from tests.fakes import draw_biwi

TAR = tar_of(PETS)
GONE = "http://127.0.0.1:9/pets.tgz"  # nobody listens there


@pytest.fixture
def server():
    with serving(TAR) as made:
        yield made


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def is_whole(root):
    found = {f"pets/{path.relative_to(root)}": path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return found == PETS


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def get(server, root, *mirrors, content=TAR, **changes):
    fetch(entry(content, server.address, **changes), root, mirrors, QUICK)


def ranges(server):
    return [asked for _, asked in server.asked]


def test_an_archive_becomes_a_folder_and_nothing_else_is_left(server, tmp_path):
    get(server, tmp_path / "data" / "pets")
    assert is_whole(tmp_path / "data" / "pets")
    assert names(tmp_path / "data") == ["pets", "pets.sha256"]
    assert (tmp_path / "data" / "pets.sha256").read_text() == f"{hashlib.sha256(TAR).hexdigest()}  pets.tgz\n"
    assert ranges(server) == [None]


@pytest.mark.parametrize(
    "facts", [{"size_bytes": None, "md5_of_first_mib": None}, {"md5": hashlib.md5(TAR).hexdigest()}]
)
@pytest.mark.parametrize("fault", [Fault(), Fault(chunked=True), Fault(no_length=True)])
def test_less_or_more_may_be_known_of_it(server, tmp_path, facts, fault):
    server.always = fault
    get(server, tmp_path / "pets", **facts)
    assert is_whole(tmp_path / "pets")


@pytest.mark.parametrize("size_bytes", [len(TAR), None])
@settings(max_examples=10)
@given(cuts=st.lists(st.integers(0, len(TAR) - 1), max_size=2))
def test_a_cut_anywhere_costs_nothing(tmp_path_factory, cuts, size_bytes):
    root = tmp_path_factory.mktemp("data") / "pets"
    with serving(TAR) as server:
        server.faults = [Fault(cut_after=n) for n in cuts]
        get(server, root, size_bytes=size_bytes)
        assert is_whole(root)
        assert server.sent == len(TAR)  # nothing twice
        assert server.asked[0][1] is None


def test_a_connection_that_stalls_is_left_and_gone_on_with(server, tmp_path):
    server.faults = [Fault(stall_after=100_000), Fault(stall_after=0)]
    fetch(entry(TAR, server.address), tmp_path / "pets", (), QUICK._replace(stall_s=1.5))
    assert is_whole(tmp_path / "pets")
    assert ranges(server) == [None, "bytes=100000-", "bytes=100000-"]
    server.always = Fault(stall_after=10)
    with pytest.raises(DownloadError, match="Read timed out, 2 times"):
        fetch(entry(TAR, server.address), tmp_path / "more", (), QUICK._replace(stall_s=0.3, tries=2))


def test_chunks_that_are_cut_are_gone_on_with(server, tmp_path):
    server.faults = [Fault(chunked=True, cut_after=1000), Fault(no_length=True, cut_after=500)]
    get(server, tmp_path / "pets")
    assert is_whole(tmp_path / "pets")
    assert server.sent == len(TAR)


def test_tries_start_over_when_much_has_come(tmp_path):
    pets = {**PETS, "pets/large": noise(12 * 2**20)}
    content = tar_of(pets, packed=False)
    with serving(content) as server:
        server.always = Fault(cut_after=2**21)  # seven connections, where three tries are allowed
        get(server, tmp_path / "pets", content=content)
        assert (tmp_path / "pets" / "large").read_bytes() == pets["pets/large"]
        assert len(server.asked) == 7
        assert server.sent == len(content)


def test_a_server_that_always_cuts_is_left_after_its_tries_and_the_next_goes_on(server, tmp_path):
    server.always = Fault(cut_after=1000)
    with pytest.raises(DownloadError, match=r"3,000 bytes have come; the next try resumes there"):
        get(server, tmp_path / "pets")
    assert ranges(server) == [None, "bytes=1000-", "bytes=2000-"]
    assert names(tmp_path) == [".pets.lock", ".pets.part", ".pets.part.json"]
    server.always = Fault()
    get(server, tmp_path / "pets")
    assert ranges(server)[3:] == ["bytes=3000-"]
    assert server.sent == len(TAR)
    assert is_whole(tmp_path / "pets")
    assert names(tmp_path) == ["pets", "pets.sha256"]


def test_a_server_that_knows_no_ranges_starts_anew_but_not_for_ever(server, tmp_path):
    server.faults = [Fault(cut_after=1000), Fault(ignores_range=True)]
    get(server, tmp_path / "pets")
    assert is_whole(tmp_path / "pets")
    server.asked, server.always = [], Fault(cut_after=len(TAR) - 1, ignores_range=True)
    with pytest.raises(DownloadError, match="3 times"):
        get(server, tmp_path / "more")
    assert len(server.asked) == 3


def test_a_file_that_changes_between_is_fetched_from_its_start(server, tmp_path):
    old, new = tar_of({"pets/a": noise(100_000, 7)}, packed=False), tar_of({"pets/a": noise(100_000, 8)}, packed=False)
    server.content, server.faults = old, [Fault(cut_after=50_000)] * 3
    known = {"size_bytes": None, "md5_of_first_mib": None}
    with pytest.raises(DownloadError):
        fetch(entry(old, server.address, **known), tmp_path / "pets", (), QUICK._replace(tries=1))
    server.faults, server.content, server.etag = [], new, '"two"'
    get(server, tmp_path / "pets", **known)
    assert (tmp_path / "pets" / "a").read_bytes() == noise(100_000, 8)


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_halves_that_do_not_belong_together_are_fetched_again_from_the_start(server, tmp_path, etag):
    server.etag, server.content, server.faults = etag, TAR[:500] + noise(len(TAR) - 500), [Fault(cut_after=100_000)]
    with pytest.raises(DownloadError):
        fetch(entry(TAR, server.address), tmp_path / "pets", (), QUICK._replace(tries=1))
    server.content = TAR  # nothing tells that it is another
    get(server, tmp_path / "pets")
    assert is_whole(tmp_path / "pets")
    assert ranges(server) == [None, "bytes=100000-", None]


@pytest.mark.parametrize("size_bytes", [len(TAR), None])
def test_a_file_that_becomes_shorter_is_fetched_from_its_start(server, tmp_path, size_bytes):
    server.content, server.faults = TAR + bytes(1000), [Fault(cut_after=len(TAR) + 500, declared=len(TAR) + 1000)]
    with pytest.raises(DownloadError):
        fetch(entry(server.content, server.address), tmp_path / "pets", (), QUICK._replace(tries=1))
    server.content = TAR
    get(server, tmp_path / "pets", size_bytes=size_bytes)
    assert is_whole(tmp_path / "pets")


@pytest.mark.parametrize("etag", [None, '"two"'])
def test_a_file_of_unknown_size_that_becomes_longer_is_fetched_from_its_start(server, tmp_path, etag):
    known = {"size_bytes": None, "md5_of_first_mib": None}
    server.content, server.etag, server.faults = TAR[:-1000], None, [Fault(cut_after=1000)]
    with pytest.raises(DownloadError):
        fetch(entry(TAR, server.address, **known), tmp_path / "pets", (), QUICK._replace(tries=1))
    server.content, server.etag = TAR, etag
    get(server, tmp_path / "pets", **known)
    assert is_whole(tmp_path / "pets")
    assert ranges(server) == [None, "bytes=1000-", None]


def test_what_has_come_of_another_archive_is_not_gone_on_with(server, tmp_path):
    server.faults = [Fault(cut_after=1000)]
    with pytest.raises(DownloadError):
        fetch(entry(TAR, server.address), tmp_path / "pets", (), QUICK._replace(tries=1))
    other = f"{server.address}.2"
    fetch(entry(TAR, other), tmp_path / "pets", (), QUICK)
    assert server.asked[1:] == [("/pets.tgz.2", None)]


@pytest.mark.parametrize("note", ["", "{", "[]", '{"archive": 1}', "null", '"x"', "\xff"])
def test_without_its_note_what_has_come_is_fetched_again(server, tmp_path, note):
    (tmp_path / ".pets.part").write_bytes(noise(100))
    (tmp_path / ".pets.part.json").write_bytes(note.encode("latin-1"))
    get(server, tmp_path / "pets")
    assert is_whole(tmp_path / "pets")
    assert ranges(server) == [None]


@pytest.mark.parametrize("declared", [1000, len(TAR) + 1000])
def test_a_length_that_lies_is_seen_before_the_content_comes(server, tmp_path, declared):
    server.always = Fault(declared=declared, cut_after=0)
    with pytest.raises(DownloadError, match=f"it has {declared:,} bytes there, not {len(TAR):,}"):
        get(server, tmp_path / "pets")
    assert len(server.asked) == 1
    assert names(tmp_path) == [".pets.lock"]


@pytest.mark.parametrize("declared", [1000, len(TAR) + 1000])
def test_a_length_that_lies_is_found_where_nothing_is_known(server, tmp_path, declared):
    server.always = Fault(declared=declared, cut_after=len(TAR))
    with pytest.raises(DownloadError, match=r"cannot be unpacked|ends after|3 times"):
        get(server, tmp_path / "pets", size_bytes=None, md5_of_first_mib=None)
    assert not (tmp_path / "pets").exists()


def test_more_than_the_archive_is_not_read(server, tmp_path):
    server.content, server.always = TAR + noise(10**6), Fault(no_length=True)
    with pytest.raises(DownloadError, match="sends more than"):
        get(server, tmp_path / "pets")
    assert (tmp_path / ".pets.part").stat().st_size <= len(TAR)


def test_another_part_than_was_asked_for_is_refused(server, tmp_path):
    server.faults = [Fault(cut_after=1000), Fault(wrong_part=True)]
    with pytest.raises(DownloadError, match="another part than it was asked for"):
        get(server, tmp_path / "pets")


@pytest.mark.parametrize("at", [0, 1000, len(TAR) // 2, len(TAR) - 5])
@pytest.mark.parametrize("known", [{}, {"md5_of_first_mib": None}, {"md5_of_first_mib": None, "md5": "whole"}])
def test_a_byte_that_is_spoilt_is_found_wherever_it_is(server, tmp_path, at, known):
    if "md5" in known:
        known = {**known, "md5": hashlib.md5(TAR).hexdigest()}
    server.faults = [Fault(spoilt_at=at)]
    with pytest.raises(DownloadError, match="md5" if {"md5"} & set(known) or not known else "unpacked"):
        get(server, tmp_path / "pets", **known)
    assert names(tmp_path) == [".pets.lock"]
    get(server, tmp_path / "pets", **known)
    assert is_whole(tmp_path / "pets")


def test_another_folder_than_the_known_one_is_an_error(server, tmp_path):
    with pytest.raises(DownloadError, match="holds no folder cats"):
        get(server, tmp_path / "pets", folder="cats")
    assert names(tmp_path) == [".pets.lock"]


def test_an_archive_fetched_later_must_be_the_same(server, tmp_path):
    (tmp_path / "pets.sha256").write_text("0" * 64 + "  somewhere\n")
    with pytest.raises(DownloadError, match=r"sha256 is not the one of the last time.*pets\.sha256"):
        get(server, tmp_path / "pets")
    assert names(tmp_path) == [".pets.lock", "pets.sha256"]
    (tmp_path / "pets.sha256").unlink()
    get(server, tmp_path / "pets")
    shutil.rmtree(tmp_path / "pets")
    get(server, tmp_path / "pets")
    assert is_whole(tmp_path / "pets")


def test_a_redirection_is_followed(server, tmp_path):
    moved = {"Location": server.address.replace("pets.tgz", "moved/pets.tgz")}
    server.faults = [Fault(301, moved), Fault(cut_after=1000), Fault(307, moved), Fault()]
    get(server, tmp_path / "pets")
    assert is_whole(tmp_path / "pets")
    assert server.asked[1] == ("/moved/pets.tgz", None)
    assert server.asked[3] == ("/moved/pets.tgz", "bytes=1000-")
    server.always = Fault(302, {"Location": server.address})
    with pytest.raises(DownloadError, match="Exceeded 30 redirects"):
        get(server, tmp_path / "more")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_in_trouble_is_asked_again(server, tmp_path, status):
    server.faults = [Fault(status), Fault(status, {"Retry-After": "0"})]
    get(server, tmp_path / "pets")
    assert is_whole(tmp_path / "pets")
    server.always = Fault(status)
    with pytest.raises(DownloadError, match=rf"(?s)the server answers {status} .*--data\.root"):
        get(server, tmp_path / "more")
    assert len(server.asked) == 6


def test_a_wait_that_the_server_asks_for_is_kept_but_not_for_hours(server, tmp_path, monkeypatch):
    waits = []
    monkeypatch.setattr("time.sleep", waits.append)
    server.faults = [Fault(503, {"Retry-After": "1"}), Fault(503, {"Retry-After": "7200"})]
    get(server, tmp_path / "pets")
    assert [wait for wait in waits if wait] == [1, QUICK.longest_wait_s]


def test_tries_after_cuts_wait_longer_each_time(server, tmp_path, monkeypatch):
    waits = []
    monkeypatch.setattr("time.sleep", waits.append)
    server.always = Fault(cut_after=10)
    with pytest.raises(DownloadError):
        fetch(entry(TAR, server.address), tmp_path / "pets", (), QUICK._replace(tries=4, backoff_s=2))
    assert [wait for wait in waits if wait] == [2, 4, 8]


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_final(server, tmp_path, status):
    server.always = Fault(status)
    with pytest.raises(DownloadError, match=f"the server answers {status}"):
        get(server, tmp_path / "pets")
    assert len(server.asked) == 1


def test_one_mirror_after_the_other_is_tried_and_goes_on_where_the_last_was_cut(server, tmp_path):
    with serving(TAR) as flaky:
        flaky.always = Fault(cut_after=20_000)
        get(server, tmp_path / "pets", GONE, "no/such/file.tgz", flaky.address)
        assert ranges(flaky) == [None, "bytes=20000-", "bytes=40000-"]
    assert ranges(server) == ["bytes=60000-"]
    assert server.sent == len(TAR) - 60_000
    assert is_whole(tmp_path / "pets")


def test_a_mirror_with_something_else_does_no_harm(server, tmp_path):
    with serving(noise(len(TAR))) as wrong:
        get(server, tmp_path / "pets", wrong.address)
        assert len(wrong.asked) == 1
    assert is_whole(tmp_path / "pets")


@pytest.mark.parametrize("fault", [Fault(), Fault(headers={"Content-Type": "text/html; charset=utf-8"}, chunked=True)])
def test_what_has_come_survives_mirrors_that_have_something_else(server, tmp_path, fault):
    server.faults = [Fault(cut_after=200_000)]
    with pytest.raises(DownloadError):
        fetch(entry(TAR, server.address), tmp_path / "pets", (), QUICK._replace(tries=1))
    with serving(b"<html>sign in</html>") as portal, serving(b"") as empty:
        portal.always = fault
        get(server, tmp_path / "pets", portal.address, empty.address, GONE)
        assert len(portal.asked) == 1
    assert ranges(server) == [None, "bytes=200000-"]
    assert is_whole(tmp_path / "pets")


def test_the_message_names_each_address_with_its_reason_and_no_secret(server, tmp_path):
    server.always = Fault(404)
    secret = server.address.replace("//", "//me:word@") + "?signature=word"
    with pytest.raises(DownloadError) as caught:
        get(server, tmp_path / "pets", GONE, secret, "ftp://x/pets.tgz", "no/such/file.tgz", "http://[x")
    lines = str(caught.value).splitlines()
    assert lines[0] == "pets.tgz cannot be fetched:"
    assert lines[1].startswith(f"  {GONE}: ")
    assert lines[1].endswith("Connection refused")
    assert lines[2] == lines[6] == f"  {server.address}: the server answers 404 Not Found"
    assert lines[3].startswith("  ftp://x/pets.tgz: No connection adapters")
    assert lines[4] == "  no/such/file.tgz: there is no such file"
    assert lines[5].startswith("  http://[x: ")
    assert "--data.mirrors" in lines[7]
    assert "--data.root FOLDER" in lines[7]


@pytest.mark.parametrize("form", ["path", "file://"])
def test_a_file_that_somebody_has_is_a_mirror_and_stays(tmp_path, form):
    (tmp_path / "my pets.tgz").write_bytes(TAR)
    address = str(tmp_path / "my pets.tgz") if form == "path" else (tmp_path / "my pets.tgz").as_uri()
    fetch(entry(TAR, GONE), tmp_path / "pets", [address], QUICK)
    assert is_whole(tmp_path / "pets")
    assert names(tmp_path) == ["my pets.tgz", "pets", "pets.sha256"]


def test_through_a_proxy(server, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", server.address.removesuffix("/pets.tgz"))
    monkeypatch.setenv("no_proxy", "")
    server.faults = [Fault(cut_after=1000)]
    fetch(entry(TAR, "http://archives.invalid/pets.tgz"), tmp_path / "pets", (), QUICK)
    asked = "http://archives.invalid/pets.tgz"  # whole, as a proxy is asked; no such host could be found otherwise
    assert server.asked == [(asked, None), (asked, "bytes=1000-")]
    assert is_whole(tmp_path / "pets")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match="Connection refused"):
        fetch(entry(TAR, "http://archives.invalid/pets.tgz"), tmp_path / "more", (), QUICK)


def test_a_host_that_is_not_found_is_said(tmp_path, monkeypatch):
    def unknown(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(DownloadError, match=r"archives\.invalid/pets\.tgz: .*Name or service not known"):
        fetch(entry(TAR, "http://archives.invalid/pets.tgz"), tmp_path / "pets", (), QUICK)


def test_too_little_room_is_said_before_anything_comes(server, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage(0, 0, 2 * len(TAR)))
    for size_bytes in (len(TAR), None):
        with pytest.raises(DownloadError, match=r"0\.00 GB free, and 0\.00 GB are needed.*--data\.root"):
            get(server, tmp_path / "pets", size_bytes=size_bytes)
        assert (tmp_path / ".pets.part").stat().st_size == 0
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage(0, 0, 3 * len(TAR)))
    get(server, tmp_path / "pets")
    assert is_whole(tmp_path / "pets")


def test_a_disk_that_fills_up_keeps_what_has_come(server, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("shutil.copyfileobj", full)
        with pytest.raises(DownloadError, match=r"pets cannot be made \(No space left on device\)"):
            get(server, tmp_path / "pets", GONE)
    assert names(tmp_path) == [".pets.lock", ".pets.part", ".pets.part.json"]
    server.asked = []
    get(server, tmp_path / "pets")
    assert is_whole(tmp_path / "pets")
    assert server.asked == []  # all of it had come


def test_the_working_folder_may_be_the_data(tmp_path, monkeypatch):
    draw_biwi(tmp_path / "biwi", frames=1)
    monkeypatch.chdir(tmp_path / "biwi")
    BiwiDataModule(".").prepare_data()
    PascalDataModule("/").prepare_data()
    assert len(BiwiDataModule(".").table) == 8


def test_a_link_to_an_empty_folder_is_followed(server, tmp_path):
    (tmp_path / "disk" / "pets").mkdir(parents=True)
    (tmp_path / "pets").symlink_to(tmp_path / "disk" / "pets")
    get(server, tmp_path / "pets")
    assert is_whole(tmp_path / "pets")
    assert (tmp_path / "pets").is_symlink()
    assert names(tmp_path / "disk") == ["pets", "pets.sha256"]


def test_an_empty_folder_is_filled_and_another_is_left_alone(server, tmp_path):
    (tmp_path / "pets").mkdir()
    get(server, tmp_path / "pets")
    assert is_whole(tmp_path / "pets")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a").touch()
    get(server, tmp_path / "mine")
    assert names(tmp_path / "mine") == ["a"]


def test_a_place_where_nothing_can_be_made_is_named(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DatasetNotFoundError, match=r"cannot be made.*--data\.root"):
        get(server, tmp_path / "file" / "pets")
    assert server.asked == []


def test_with_the_data_there_nothing_is_asked_of_the_network(tmp_path, monkeypatch):
    def forbidden(*args):
        raise AssertionError("the network was asked")

    draw_biwi(tmp_path / "biwi", frames=2)
    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, forbidden, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    data = BiwiDataModule(str(tmp_path / "biwi"), mirrors=["http://archives.invalid/x.tgz"])
    data.prepare_data()
    assert "16 images" in data.describe()
    (tmp_path / "pascal").mkdir()
    (tmp_path / "pascal" / "train.csv").touch()
    PascalDataModule(str(tmp_path / "pascal")).prepare_data()


@pytest.mark.parametrize(
    ("task", "config", "archive"), [("multilabel", "pascal", "PASCAL_2007"), ("keypoints", "biwi", "BIWI_HEAD_POSE")]
)
def test_prepare_takes_mirrors_and_says_what_is_wrong_in_one_message(
    tmp_path, capsys, monkeypatch, task, config, archive
):
    no_addresses = Archive((GONE,), "pets", size_bytes=len(TAR))
    monkeypatch.setattr(f"lightning_tasks.tasks.{task}.{config}.{archive}", no_addresses)
    monkeypatch.setattr("lightning_tasks.data.download.fetch.Patience", lambda: QUICK)
    args = ["--config", str(CONF / f"{config}.yaml"), "--data.root", str(tmp_path / "new")]
    assert console(["prepare", *args, "--data.mirrors", f"[{tmp_path}/none.tgz, {GONE}]"]) == 2
    said = capsys.readouterr().err
    assert said.index("none.tgz: there is no such file") < said.index(f"{GONE}: ")
    assert "Traceback" not in said


@pytest.mark.parametrize("kind", [PascalDataModule, BiwiDataModule])
def test_mirrors_are_of_the_machine_and_not_in_the_checkpoint(kind, tmp_path):
    assert "mirrors" not in kind(str(tmp_path), mirrors=["x"]).hparams


def test_the_archives_entries_are_complete():
    entries = {name: value for name, value in vars(archives).items() if isinstance(value, Archive)}
    assert len(entries) == 2
    for value in entries.values():
        assert all(url.endswith(value.name) for url in value.urls)
        assert all(len(md5) == 32 for md5 in (value.md5, value.md5_of_first_mib) if md5 is not None)
