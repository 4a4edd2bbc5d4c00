"""What a server takes from anybody, how much of it at once, and how long it waits."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from fastapi import HTTPException
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_SIDE_PX = 65_535  # a JPEG's own; an image's resize costs memory by its longer side too
_HEAD_S = 10.0  # until a connection's request begins


@dataclass(frozen=True)
class Limits:
    """Where requests are refused.

    Attributes:
        max_bytes: of a request's body.
        max_pixels: of an image, by its header, before any of it is decoded.
        concurrency: predictions at once.
        queue: images that wait for a prediction, in memory.
        held_bytes: of all bodies in memory together.
        body_s: from a request's head to the end of its body.
        drain_timeout_s: for the rest of a body that is refused: most clients read no answer before they have sent all.
    """

    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000
    concurrency: int = 2
    queue: int = 256
    held_bytes: int = 1_000_000_000
    body_s: float = 30.0
    drain_timeout_s: float = 5.0


class ConcurrencyLimiter:
    """Let `concurrency` in at once, in the order in which they came, while at most `queue` wait."""

    def __init__(self, concurrency: int, queue: int) -> None:
        self.queue = queue
        self.waiting = 0
        self.running = 0
        self._slots = asyncio.Semaphore(concurrency)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot, and hold it; HTTPException 503 where as many wait as may."""
        if self._slots.locked() and self.waiting >= self.queue:
            raise busy(f"{self.waiting:,} images are waiting already.")
        self.waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1
            self._slots.release()


class Memory:
    """Count the bytes of all bodies that are held, and refuse more than a budget."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.held = 0

    @contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """Yield a function that takes bytes, or raises a 503 where too few are left; give them back at the end."""
        taken = 0

        def take(n: int) -> None:
            nonlocal taken
            if self.held + n > self.budget:
                raise busy("The images that are being sent fill the server's memory.")
            self.held += n
            taken += n

        try:
            yield take
        finally:
            self.held -= taken


def busy(why: str) -> HTTPException:
    """Return a 503 that says when to come again."""
    return HTTPException(503, f"{why} Send the image again in a moment.", {"Retry-After": "2"})


class Protocol(H11Protocol):
    """Close a connection on which no request begins in time, or whose refused body does not end.

    uvicorn alone would wait for the end of a request's head as long as the client likes.
    """

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # of sockets alone
        """Begin to wait."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(_HEAD_S, self._give_up)

    def data_received(self, data: bytes) -> None:
        """Wait on, unless a request is being answered: its body has a limit of its own."""
        super().data_received(data)
        if self._is_answering():
            self._stop()
        elif self._timer is None:
            self._timer = self.loop.call_later(_HEAD_S, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop()
        super().connection_lost(exc)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if not self._is_answering():
            self.transport.abort()
