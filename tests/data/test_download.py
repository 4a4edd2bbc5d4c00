import hashlib
import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lightning_tasks.data.download import Archive, fetch
from lightning_tasks.errors import DownloadError


def tar_of(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def server():
    """A local HTTP server that answers with `server.content`, or with an error where that is None."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            content = self.server.content
            self.send_response(200 if content is not None else 503)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *args):
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.content = tar_of({"pets/train.csv": b"fname,labels\n", "pets/train/a.txt": b"a"})
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()


def archive_of(server, **changes):
    content = server.content or b""
    facts = {
        "url": f"http://127.0.0.1:{server.server_port}/pets.tgz",
        "size_bytes": len(content),
        "md5_of_first_mib": hashlib.md5(content[: 2**20]).hexdigest(),
        "folder": "pets",
    }
    return Archive(**{**facts, **changes})


def nothing_left(folder, *, but=()):
    return sorted(path.name for path in folder.iterdir()) == sorted(but)


def test_an_archive_becomes_a_folder(server, tmp_path):
    fetch(archive_of(server), tmp_path / "data" / "pets")
    assert (tmp_path / "data" / "pets" / "train" / "a.txt").read_text() == "a"
    assert nothing_left(tmp_path / "data", but=["pets", "pets.sha256"])
    assert hashlib.sha256(server.content).hexdigest() in (tmp_path / "data" / "pets.sha256").read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size_bytes": 7}, "7 were expected"),
        ({"md5_of_first_mib": "0" * 32}, "first mebibyte"),
        ({"folder": "x"}, "unpacked"),
    ],
)
def test_a_wrong_archive_leaves_nothing(server, tmp_path, changes, message):
    with pytest.raises(DownloadError, match=message):
        fetch(archive_of(server, **changes), tmp_path / "pets")
    assert nothing_left(tmp_path)


def test_what_is_no_tar_leaves_nothing(server, tmp_path):
    server.content = b"no tar"
    with pytest.raises(DownloadError, match="unpacked"):
        fetch(archive_of(server), tmp_path / "pets")
    assert nothing_left(tmp_path)


def test_a_tar_cannot_write_outside(server, tmp_path):
    server.content = tar_of({"pets/a": b"a", "../evil": b"b"})
    with pytest.raises(DownloadError, match="unpacked"):
        fetch(archive_of(server), tmp_path / "pets")
    assert nothing_left(tmp_path)


def test_an_archive_fetched_later_must_be_the_same(server, tmp_path):
    (tmp_path / "pets.sha256").write_text("0" * 64 + "  somewhere\n")
    with pytest.raises(DownloadError, match="sha256"):
        fetch(archive_of(server), tmp_path / "pets")
    assert nothing_left(tmp_path, but=["pets.sha256"])


def test_a_server_that_fails_or_is_gone_is_named(server, tmp_path):
    archive = archive_of(server)
    server.content = None
    with pytest.raises(DownloadError, match=r"pets\.tgz cannot be fetched.*--data\.root"):
        fetch(archive, tmp_path / "pets")
    server.shutdown()
    server.server_close()
    with pytest.raises(DownloadError, match=r"pets\.tgz cannot be fetched"):
        fetch(archive, tmp_path / "pets")
    assert nothing_left(tmp_path)
