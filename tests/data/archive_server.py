"""A local HTTP server that gives an archive, with faults; tars to give; and the archive's entry."""

import gzip
import hashlib
import io
import tarfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from lightning_tasks.data.download.archives import Archive, Patience

QUICK = Patience(tries=3, connect_s=30, stall_s=30, backoff_s=0, longest_wait_s=1)  # a busy machine is no fault


def noise(size, seed=0):
    """Bytes that do not compress."""
    return np.random.default_rng(seed).bytes(size)


def tar_of(members, packed=True):
    """A tar of names and contents, or of TarInfos as they are; the same bytes in every process."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for member in members.items() if isinstance(members, dict) else members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            tar.addfile(info, io.BytesIO(member[1]))
    return gzip.compress(buffer.getvalue(), mtime=0) if packed else buffer.getvalue()


PETS = {"pets/train.csv": b"fname,labels\n", "pets/train/a.jpg": noise(150_000), "pets/train/b.jpg": noise(150_000, 1)}


@dataclass
class Fault:
    """How the server fails, for one request."""

    status: int | None = None  # answered instead of the content
    headers: dict = field(default_factory=dict)  # beside the others
    cut_after: int | None = None  # bytes of the body, then the connection is closed
    stall_after: int | None = None  # bytes of the body, then nothing comes
    declared: int | None = None  # as Content-Length
    no_length: bool = False  # the end of the connection is that of the body
    chunked: bool = False
    ignores_range: bool = False
    wrong_part: bool = False  # another than was asked for
    spoilt_at: int | None = None  # the byte there is another


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.asked.append((self.path, asked))
        fault = server.faults.pop(0) if server.faults else server.always
        if fault.status is not None:
            self.answer(fault.status, {"Content-Length": "0", **fault.headers}, [])
            return
        content, status, begin = server.content, 200, 0
        if fault.spoilt_at is not None:
            content = bytearray(content)
            content[fault.spoilt_at] ^= 1
        headers = {"ETag": server.etag} if server.etag else {}
        unchanged = self.headers.get("If-Range") in (None, server.etag)
        if asked and unchanged and not fault.ignores_range:
            begin = int(asked.removeprefix("bytes=").removesuffix("-"))
            if begin >= len(content):
                self.answer(416, {"Content-Length": "0", "Content-Range": f"bytes */{len(content)}"}, [])
                return
            begin -= int(fault.wrong_part)
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
            status = 206
        body = bytes(content[begin:])
        headers["Content-Length"] = str(len(body) if fault.declared is None else fault.declared)
        if fault.no_length or fault.chunked:
            del headers["Content-Length"]
        if fault.chunked:
            headers["Transfer-Encoding"] = "chunked"
        pieces = [body] if server.pause_s is None else [body[i : i + 4096] for i in range(0, len(body), 4096)]
        end = min((n for n in (fault.cut_after, fault.stall_after) if n is not None), default=None)
        self.answer(status, {**headers, **fault.headers}, pieces if end is None else [body[:end]], fault)

    def answer(self, status, headers, pieces, fault=Fault()):  # noqa: B008 - it is not changed
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        for piece in pieces:
            try:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if fault.chunked else piece)
            except OSError:  # whoever asked was killed
                self.close_connection = True
                return
            self.server.sent += len(piece)
            time.sleep(self.server.pause_s or 0)
        if fault.stall_after is not None:
            self.server.over.wait(30)
        if fault.chunked and fault.cut_after is None:
            self.wfile.write(b"0\r\n\r\n")
        if fault.cut_after is not None or fault.stall_after is not None or fault.no_length:
            self.close_connection = True

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Say nothing: whoever asked has gone, which is what some tests are about."""


@contextmanager
def serving(content):
    """Yield a server; it notes what it was `asked`, as (path, range), and how many bytes it `sent`."""
    server = Server(("127.0.0.1", 0), Handler)
    server.content, server.etag, server.pause_s = content, '"one"', None
    server.faults, server.always = [], Fault()
    server.asked, server.sent, server.over = [], 0, threading.Event()
    server.address = f"http://127.0.0.1:{server.server_port}/pets.tgz"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()


def entry(content, *urls, **changes):
    """The archive's entry, with all that is known of it."""
    facts = {
        "size_bytes": len(content),
        "md5_of_first_mib": hashlib.md5(content[: 2**20]).hexdigest(),
        "folder": "pets",
    }
    return Archive(urls=urls, **{**facts, **changes})
