"""Requests a second, many at once, of a server on this machine."""

import http.client
import re
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from gpu_checking.step import Check, run

_AT_ONCE = 32


def serving(check: Check) -> None:
    """Serve the labels' checkpoint and ask it."""
    images = [path.read_bytes() for path in sorted(check.root("labels").rglob("*.jpg"))[:64]]
    n = 8 if check.tiny else 600
    command = [sys.executable, "-m", "lightning_tasks", "serve", str(check.trained("labels"))]
    command += ["--port", "0", "--device", check.device]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = re.search(r"http://([\d.:]+)", "".join(server.stdout.readline() for _ in range(3)))
            assert address is not None
            host, port = address[1].split(":")

            def ask(body: bytes) -> tuple[int, float]:
                began = time.perf_counter()
                connection = http.client.HTTPConnection(host, int(port), timeout=30)
                connection.request("POST", "/predict", body, {"Content-Type": "image/jpeg"})
                answer = connection.getresponse()
                answer.read()
                connection.close()
                return answer.status, time.perf_counter() - began

            ask(images[0])
            began = time.perf_counter()
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                answers = list(pool.map(ask, [images[i % len(images)] for i in range(n)]))
            seconds = time.perf_counter() - began
        finally:
            server.terminate()
    statuses = sorted({status for status, _ in answers})
    median_ms = round(1000 * statistics.median(wait_s for _, wait_s in answers), 1)
    check.note(requests=n, at_once=_AT_ONCE, requests_s=round(n / seconds), median_ms=median_ms, statuses=statuses)
    if statuses != [200]:
        raise SystemExit(f"answers were {statuses}")


if __name__ == "__main__":
    run(serving)
