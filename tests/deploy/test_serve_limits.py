"""How much the server does at once, and how long it waits."""

import asyncio
import socket
import threading
import time

import pytest

from lightning_tasks import load
from tests.deploy.test_serve import IMAGES

httpx = pytest.importorskip("httpx")
uvicorn = pytest.importorskip("uvicorn")
from lightning_tasks.deploy.server import limits as protocol  # noqa: E402 - an extra
from lightning_tasks.deploy.server.app import make_app  # noqa: E402
from lightning_tasks.deploy.server.limits import Limits  # noqa: E402


@pytest.fixture(scope="module")
def labels(labels_run):
    return load(labels_run[0] / labels_run[1], "cpu")


class Held:
    """A predictor that waits until it is let go, and counts how many do."""

    def __init__(self, predictor):
        self.predictor, self.output_format, self.module = predictor, predictor.output_format, predictor.module
        self.white_level = predictor.white_level
        self.go, self.lock = threading.Event(), threading.Lock()
        self.now = self.most = self.calls = 0

    def __call__(self, image):
        with self.lock:
            self.now, self.calls = self.now + 1, self.calls + 1
            self.most = max(self.most, self.now)
        assert self.go.wait(20)
        with self.lock:
            self.now -= 1
        return self.predictor(image)


def run_with(app, use):
    async def main():
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await asyncio.wait_for(use(client), timeout=60)

    return asyncio.run(main())


def test_so_many_at_once_so_many_wait_and_the_rest_come_again(labels):
    held = Held(labels)

    async def use(client):
        asked = [asyncio.create_task(client.post("/predict", content=IMAGES["png"])) for _ in range(9)]
        while sum(task.done() for task in asked) < 4 or held.now < 2:
            await asyncio.sleep(0.01)
        health = (await client.get("/health")).json()  # answered all the same
        held.go.set()
        return health, await asyncio.gather(*asked)

    health, answers = run_with(make_app(held, Limits(concurrency=2, queue=3), "a.ckpt"), use)
    assert health == {"status": "ok", "running": 2, "waiting": 3}
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [503] * 4
    assert all(int(one.headers["retry-after"]) > 0 for one in answers if one.status_code == 503)
    assert (held.most, held.calls) == (2, 5)


def test_images_that_are_sent_share_a_budget(labels):
    held = Held(labels)

    async def use(client):
        first = asyncio.create_task(client.post("/predict", content=IMAGES["bmp"]))
        while not held.now:
            await asyncio.sleep(0.01)
        refused = await client.post("/predict", content=IMAGES["bmp"])
        held.go.set()
        await first
        return refused, await client.post("/predict", content=IMAGES["bmp"])

    limits = Limits(held_bytes=len(IMAGES["bmp"]) + 10, drain_timeout_s=0.1)
    refused, after = run_with(make_app(held, limits, "a.ckpt"), use)
    assert (refused.status_code, "memory" in refused.json()["detail"]) == (503, True)
    assert after.status_code == 200


def test_who_trickles_is_sent_away_and_holds_nobody_up(labels):
    async def drops():
        for byte in IMAGES["jpeg"]:
            yield bytes([byte])
            await asyncio.sleep(0.02)

    async def use(client):
        slow = asyncio.create_task(client.post("/predict", content=drops()))
        await asyncio.sleep(0.1)
        return await client.post("/predict", content=IMAGES["jpeg"]), slow.done(), await slow

    quick, done, slow = run_with(make_app(labels, Limits(concurrency=1, queue=0, body_s=0.6), "a.ckpt"), use)
    assert (quick.status_code, done) == (200, False)
    assert (slow.status_code, slow.headers["connection"]) == (408, "close")
    assert "0.6 seconds" in slow.json()["detail"]


def test_connections_on_which_nothing_comes_are_closed(labels, monkeypatch):
    monkeypatch.setattr(protocol, "_HEAD_S", 0.3)
    held = Held(labels)
    app = make_app(held, Limits(drain_timeout_s=0.1), "a.ckpt")
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, http=protocol.Protocol, lifespan="off", log_level="error"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        post = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n" % len(IMAGES["png"])
        starts = (b"", b"GET / HT", post + b"Content-Type: text/html\r\n\r\nabc", post + b"\r\n" + IMAGES["png"])
        sockets = [socket.create_connection(listener.getsockname()) for _ in starts]
        for one, start in zip(sockets, starts, strict=True):
            one.settimeout(10)
            one.sendall(start)
        for one in sockets[:2]:
            assert not read(one)
        assert sockets[2].recv(4096).startswith(b"HTTP/1.1 415")
        sockets[2].sendall(b"a")  # a refused body that goes on
        read(sockets[2])
        time.sleep(0.3)
        held.go.set()  # a prediction may take longer
        assert sockets[3].recv(99).startswith(b"HTTP/1.1 200")
        for one in sockets:
            one.close()
    finally:
        held.go.set()
        server.should_exit = True
        thread.join()


def read(connection):
    """Return what comes until the other side closes."""
    got = b""
    try:
        while more := connection.recv(4096):
            got += more
    except ConnectionResetError:
        pass
    return got
