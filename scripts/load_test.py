"""Serve a checkpoint, send it thousands of requests at once, and compare every answer with the checkpoint's own.

    python scripts/load_test.py best.ckpt folder/of/images --requests 2000 --at_once 200

A fifth of the requests is malformed: empty, cut short, too large, of another type, a bomb, half a form; some clients
vanish, some trickle. Prints how long the answers took and how the server's memory went. Exits with 1 if any good
image has no answer or a wrong one, or any bad one not its error. Linux, for the memory.
"""

import argparse
import http.client
import json
import re
import socket
import statistics
import struct
import subprocess
import sys
import time
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lightning_tasks import LabelPrediction, PointPrediction, load

FORM_TYPE = "multipart/form-data; boundary=b"
FORM = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n%s\r\n--b--\r\n'
MAX_MB = 5
CLOSE = 1e-4  # of a probability, or 1e-2 px of a point: sums in another order


class Sent(NamedTuple):
    """What is sent, and what is to come back."""

    body: bytes
    content_type: str
    status: int
    prediction: LabelPrediction | PointPrediction | None


def main() -> int:
    """Serve, send, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("images", type=Path)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--at_once", type=int, default=200)
    parser.add_argument("--different", type=int, default=50, help="images that are sent again and again")
    arguments = parser.parse_args()
    paths = sorted(path for path in arguments.images.rglob("*") if path.suffix.lower() in (".jpg", ".png"))
    paths = paths[:: max(1, len(paths) // arguments.different)][: arguments.different]
    predictor = load(arguments.checkpoint, "cpu")
    images = [(path.read_bytes(), predictor(path)) for path in paths]
    sent = requests(images, arguments.requests)
    command = [sys.executable, "-m", "lightning_tasks", "serve", arguments.checkpoint, "--port", "0", "--device", "cpu"]
    with subprocess.Popen([*command, "--max_mb", str(MAX_MB)], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = re.search(r"http://([\d.:]+)", "".join(server.stdout.readline() for _ in range(3)))
            assert address is not None
            faults = rounds(server.pid, address.group(1), sent, arguments.at_once)
        finally:
            server.terminate()
        code = server.wait(30)
    print(f"the server ended with {code}; {len(faults)} faults")
    for fault in faults[:9]:
        print(fault)
    return 1 if faults or code else 0


def requests(images: list[tuple[bytes, LabelPrediction | PointPrediction]], n: int) -> list[Sent]:
    """Return `n` requests, of which every fifth is bad."""
    first = images[0][0]
    bad = [
        Sent(b"", "image/jpeg", 422, None),
        Sent(first[: len(first) // 2], "image/jpeg", 422, None),
        Sent(b"no image", "image/png", 422, None),
        Sent(bytes(MAX_MB * 1_000_000 + 1), "image/jpeg", 413, None),
        Sent(bomb(), "image/png", 413, None),
        Sent(b"{}", "application/json", 415, None),
        Sent(b"half a form", FORM_TYPE, 400, None),
    ]
    sent = []
    for i in range(n):
        body, prediction = images[i % len(images)]
        good = Sent(body, "image/jpeg", 200, prediction) if i % 2 else Sent(FORM % body, FORM_TYPE, 200, prediction)
        sent.append(bad[i // 5 % len(bad)] if i % 5 == 0 else good)
    return sent


def bomb() -> bytes:
    """Return a PNG of a few kilobytes that says it is of 900 megapixels."""
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(10**6))))
    made = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)


def rounds(pid: int, address: str, sent: list[Sent], at_once: int) -> list[str]:
    """Send all, three times over, and return what was wrong."""
    faults: list[str] = []
    host, port = address.split(":")
    print(f"memory at the start: {rss_mb(pid):,.0f} MB")
    for turn in range(3):
        idle = [socket.create_connection((host, int(port))) for _ in range(20)]
        for one in idle:
            one.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\nabc")
        for one in idle[::2]:
            one.close()
        started = time.monotonic()
        with ThreadPoolExecutor(at_once) as pool:
            answers = list(pool.map(lambda one: ask(address, one), sent))
        seconds = time.monotonic() - started
        for one in idle:
            one.close()
        found = [fault for _, _, fault in answers if fault is not None]
        statuses = dict(sorted(Counter(status for status, _, _ in answers).items()))
        waits = sorted(wait for _, wait, _ in answers)
        print(
            f"round {turn + 1}: {len(sent):,} requests, {at_once} at once, in {seconds:.1f} s "
            f"({len(sent) / seconds:.0f}/s); {statuses}; median {statistics.median(waits):.2f} s, "
            f"99 % {waits[int(0.99 * len(waits))]:.2f} s; {len(found)} faults; memory {rss_mb(pid):,.0f} MB",
            flush=True,
        )
        faults += found
    return faults


def ask(address: str, sent: Sent) -> tuple[int, float, str | None]:
    """Send one, and return the status, the seconds and what was wrong."""
    started = time.monotonic()
    connection = http.client.HTTPConnection(address, timeout=300)
    try:
        connection.request("POST", "/predict", sent.body, {"Content-Type": sent.content_type})
        answer = connection.getresponse()
        status, said = answer.status, json.loads(answer.read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        return 0, time.monotonic() - started, f"{type(error).__name__}: {error}"
    finally:
        connection.close()
    seconds = time.monotonic() - started
    if status != sent.status:
        return status, seconds, f"{status} where {sent.status} was due: {said}"
    if sent.prediction is not None and not is_right(said, sent.prediction):
        return status, seconds, f"another prediction: {said}"
    return status, seconds, None


def is_right(said: dict[str, list[dict[str, object]]], wanted: LabelPrediction | PointPrediction) -> bool:
    """Return whether the server says what the checkpoint does."""
    if isinstance(wanted, PointPrediction):
        found = np.array([[one["x_px"], one["y_px"]] for one in said["points"]], dtype=np.float32)
        return bool(np.abs(found - wanted.points_px).max() < 100 * CLOSE)
    by_label = {one["label"]: one["probability"] for one in said["predicted"]}
    found = np.array([by_label[label] for label in wanted.vocab], dtype=np.float32)
    chosen = tuple(one["label"] for one in said["predicted"] if one["chosen"])
    return bool(np.abs(found - wanted.probabilities).max() < CLOSE) and chosen == wanted.labels


def rss_mb(pid: int) -> float:
    """Return a process's memory."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1e3


if __name__ == "__main__":
    sys.exit(main())
