"""HTTP connections that do not wait for ever."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

_HEAD_S = 10.0


class Protocol(H11Protocol):
    """Close a connection on which no request begins in time, or whose refused body does not end.

    uvicorn alone would wait for the end of a request's head as long as the client likes.
    """

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
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
