"""A server process under load: nothing lost, nothing wrong, and the memory flat."""

import http.client
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lightning_tasks import load
from tests.deploy.test_serve_page import serving

pytest.importorskip("fastapi")

AT_ONCE = 200
GROWTH_KB = 20_000


@pytest.fixture(scope="module")
def server(labels_run):
    with serving(labels_run[0] / labels_run[1], "--max_mb", "0.5", "--max_megapixels", "1") as (process, url):
        yield process, url.removeprefix("http://")


def rss_kb(process):
    status = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


def ask(address, body, headers=None, chunked=False):
    """Return the answer's status and what it says."""
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        content = iter([body[i : i + 9999] for i in range(0, len(body), 9999)]) if chunked else body
        connection.request(
            "POST", "/predict", content, headers or {"Content-Type": "image/jpeg"}, encode_chunked=chunked
        )
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def send_raw(address, data):
    """Send bytes that are no request, or not all of one, and go."""
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(data)


def requests(images):
    """Return what is sent, each with the image that it is of, or the status that refuses it."""
    large = bytes(np.random.default_rng(0).integers(0, 256, 700_000, dtype=np.uint8))
    form = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n%s\r\n--b--\r\n'
    as_form = {"Content-Type": "multipart/form-data; boundary=b"}
    kinds = [(200, body, None, False, wanted) for body, wanted in images]
    kinds += [(200, form % body, as_form, False, wanted) for body, wanted in images[:4]]
    bad = [
        (b"", None, False, 422),
        (images[0][0][:600], None, False, 422),
        (b"hello", None, False, 422),
        (b"{}", {"Content-Type": "application/json"}, False, 415),
        (large, None, False, 413),
        (large, None, True, 413),
        (b"no form", as_form, False, 400),
    ]
    kinds += [(status, body, headers, chunked, None) for body, headers, chunked, status in bad]
    return [kinds[i % len(kinds)] for i in range(AT_ONCE)]


def a_round(address, images):
    """Send all at once, while others trickle, vanish and speak no HTTP; return what was answered wrongly."""
    started = threading.Barrier(AT_ONCE)

    def one(request):
        status, body, headers, chunked, wanted = request
        started.wait()
        found, said = ask(address, body, headers, chunked)
        if found != status:
            return f"{found} for {status}: {said}"
        if wanted is None:
            return None if set(said) == {"detail"} else f"{status}: {said}"
        numbers = {one["label"]: one["probability"] for one in said["predicted"]}
        return None if numbers == pytest.approx(wanted, abs=1e-6) else f"{numbers} for {wanted}"

    host, port = address.split(":")
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n"
    tricklers = [socket.create_connection((host, int(port))) for _ in range(20)]
    for i, trickler in enumerate(tricklers):
        trickler.sendall(head[: 30 + 9 * i])
        trickler.sendall(b"x" * i if i > 10 else b"")
    for raw in (head + b"x" * 99, b"\0\xff no HTTP\r\n\r\n", b"GET / HTTP/1.1\r\n", b""):
        send_raw(address, raw)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        wrong = [fault for fault in pool.map(one, requests(images)) if fault is not None]
    for trickler in tricklers:
        trickler.close()
    return wrong


@pytest.mark.processes
def test_nothing_is_lost_and_the_memory_is_flat(server, labels_run):
    folder, ckpt = labels_run
    predictor = load(folder / ckpt, "cpu")
    process, address = server
    images = []
    for path in sorted((folder / "root").glob("*.jpg")):
        prediction = predictor(path)
        wanted = dict(zip(prediction.vocab, prediction.probabilities.tolist(), strict=True))
        images.append((path.read_bytes(), wanted))
    assert a_round(address, images) == []
    before_kb = rss_kb(process)
    for _ in range(3):
        assert a_round(address, images) == []
    assert rss_kb(process) - before_kb < GROWTH_KB
    connection = http.client.HTTPConnection(address)
    connection.request("GET", "/health")
    assert json.loads(connection.getresponse().read()) == {"status": "ok", "running": 0, "waiting": 0}
    connection.close()
