"""Answer over HTTP with what a checkpoint says of images, and show a page to try them on."""

import logging
import re
import signal
import socket
import sys
from pathlib import Path
from types import FrameType

import numpy as np
import torch

from lightning_tasks.cores import usable_cores
from lightning_tasks.deploy.ensemble import load
from lightning_tasks.deploy.predictor import Predictor
from lightning_tasks.errors import ConfigError, MissingLibraryError

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_MOST_MEGAPIXELS = 1000  # OpenCV refuses more
_OWN_NAMES = ("localhost", "127.0.0.1", "[::1]")
_HOST = re.compile(r"\*|(\*\.)?[\w-]+(\.[\w-]+)*|\[[0-9a-f:.]+\]")
_ORIGIN = re.compile(r"\*|https?://([\w-]+(\.[\w-]+)*|\[[0-9a-f:.]+\])(:\d+)?")
_HOST_HINT = "is no host's name. Write it as a.example, *.a.example or *, without http:// and port."
_ORIGIN_HINT = "is no site. Write it as https://a.example or http://localhost:3000, without a path; or * for all."
_MORE_CONNECTIONS = 512  # than images that wait: those that are being sent, and pages that are open


def serve(
    checkpoint: str,
    host: str = "127.0.0.1",
    port: int = 8000,
    device: str = "auto",
    threshold: float | None = None,
    max_mb: float = 20.0,
    max_megapixels: float = 50.0,
    concurrency: int = 2,
    queue: int = 256,
    allowed_hosts: list[str] | str | None = None,
    allowed_origins: list[str] | str | None = None,
    white_level: int | None = None,
) -> None:
    """Answer over HTTP with what the model says of images, with a page to try them on, until Ctrl-C.

    Args:
        checkpoint: all that is needed of the training: no config, no data; or a cross-validation's folder.
        host: the address to listen on. The default answers this machine alone; 0.0.0.0 the whole network.
        port: 0 takes a free one.
        device: `cpu`, `cuda`, `cuda:1`, `mps`; `auto`: an accelerator where there is one.
        threshold: for all labels, in place of those in the checkpoint.
        max_mb: of a request's body, in millions of bytes.
        max_megapixels: of an image; each costs about 20 MB of memory while it is predicted.
        concurrency: images that are predicted at once.
        queue: images that may wait; those that come after them are sent away.
        allowed_hosts: names under which a proxy passes requests on, `a.example,*.b.example`; None: with the default
            host those of this machine alone, else any.
        allowed_origins: other sites whose pages may ask (CORS), `https://a.example,http://localhost:3000`; `*`: all.
        white_level: which value is white in images of more than 8 bits, in place of the checkpoint's.
    """
    _check(port, max_mb, max_megapixels, concurrency, queue)
    allowed, origins = _split(allowed_hosts), _split(allowed_origins)
    _check_names("allowed_hosts", allowed, _HOST, _HOST_HINT)
    _check_names("allowed_origins", origins, _ORIGIN, _ORIGIN_HINT)
    try:
        import uvicorn

        from lightning_tasks.deploy.server.app import make_app
        from lightning_tasks.deploy.server.limits import Limits, Protocol
    except ImportError as error:
        if (error.name or "").startswith("lightning_tasks"):
            raise
        raise MissingLibraryError(f"serve needs {error.name}: pip install 'lightning-tasks[serve]'") from error
    with _listen(host, port) as listener:  # before the model is read, which takes a while
        predictor = load(checkpoint, device, threshold=threshold, white_level=white_level)
        _prepare(predictor, concurrency)
        limits = Limits(round(max_mb * 1e6), round(max_megapixels * 1e6), concurrency, queue)
        app = make_app(predictor, limits, Path(checkpoint).name, _hosts(host, allowed), origins)
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=Protocol,
                ws="none",
                lifespan="off",
                log_level="error",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=queue + _MORE_CONNECTIONS,
                timeout_keep_alive=5,
                timeout_graceful_shutdown=10,
            )
        )

        def end(number: int, frame: FrameType | None) -> None:
            server.should_exit = True

        # uvicorn finishes what it has begun, and then raises the signal again: to be ended by it is no failure.
        before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            _announce(predictor, checkpoint, host, listener.getsockname()[1])
            server.run([listener])
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _check(port: int, max_mb: float, max_megapixels: float, concurrency: int, queue: int) -> None:
    if not 0 <= port <= 65_535:
        raise ConfigError(f"--port is {port}; it must be from 0 to 65535.")
    if not max_mb > 0:
        raise ConfigError(f"--max_mb is {max_mb}; it must be above 0.")
    if not 0 < max_megapixels <= _MOST_MEGAPIXELS:
        raise ConfigError(f"--max_megapixels is {max_megapixels}; it must be above 0, and {_MOST_MEGAPIXELS} at most.")
    if concurrency < 1:
        raise ConfigError(f"--concurrency is {concurrency}; it must be at least 1.")
    if queue < 0:
        raise ConfigError(f"--queue is {queue}; it must be at least 0.")


def _split(names: list[str] | str | None) -> list[str]:
    """Return names that are given as a list, or as one text with commas between them."""
    parts = names.split(",") if isinstance(names, str) else names or []
    return [part.strip().lower() for part in parts if part.strip()]


def _hosts(host: str, allowed: list[str]) -> list[str] | None:
    """Return the names under which the server may be asked; None: any."""
    if not allowed and host not in _LOOPBACK:
        return None
    return list(dict.fromkeys([*_OWN_NAMES, f"[{host}]" if ":" in host else host.lower(), *allowed]))


def _check_names(option: str, names: list[str], pattern: re.Pattern[str], hint: str) -> None:
    for name in names:
        if not pattern.fullmatch(name):
            raise ConfigError(f"--{option} has {name!r}, which {hint}")


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
        return socket.create_server(address, family=family, dualstack_ipv6=both)
    except OSError as error:
        why = str(error.strerror).partition(" (while")[0]  # `create_server` says the address again
        raise ConfigError(
            f"Port {port} of {host} cannot be had ({why}). Take another: --port {port + 1 or 8001}, or stop "
            "the program that has it."
        ) from error


def _prepare(predictor: Predictor, concurrency: int) -> None:
    torch.set_num_threads(max(1, usable_cores() // concurrency))  # or predictions at once fight for the cores
    # What they say of each bad image and form, its sender is told by us; a log would only grow.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    predictor(np.zeros((64, 64, 3), dtype=np.uint8))  # what fails, fails now; and the first to ask does not wait for it


def _announce(predictor: Predictor, checkpoint: str, host: str, port: int) -> None:
    what = f"{len(predictor.output_format.names):,} {predictor.output_format.noun}(s)"
    address = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    url = f"http://{address}:{port}"
    print(f"serving          {checkpoint}  ({what}, {predictor.device})")
    print(f"page             {url}/")
    print(f"for programs     curl --data-binary @a.jpg {url}/predict  (described on {url}/docs)", flush=True)
    if host not in _LOOPBACK:
        warning = f"on {host} anybody who reaches this machine can use the server; there is no password."
        print(f"warning: {warning}", file=sys.stderr, flush=True)
