"""Headers that keep a browser from using the answers for anything else, and pages of other sites from asking."""

import re
from collections.abc import Container

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NOTHING_ALLOWED = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

_PORT = re.compile(r":\d+$")
_HEADERS = {
    "Content-Security-Policy": NOTHING_ALLOWED,  # a page has its own
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Add the headers, and refuse what a browser sends for a page of another site.

    Args:
        app: what answers the rest.
        hosts: the names under which the server may be asked; None: any. A site can give its own name this machine's
            address, and would then be no other site to the browser.
    """

    def __init__(self, app: ASGIApp, hosts: Container[str] | None) -> None:
        self.app = app
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self.app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self.hosts is not None and _PORT.sub("", host.lower()) not in self.hosts:
            message = f"This server answers to localhost, not to {host!r}. Start it with --host 0.0.0.0 to open it."
            return JSONResponse({"detail": message}, 400)
        if scope["method"] == "POST" and headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            return JSONResponse({"detail": "Pages of other sites may not ask this server."}, 403)
        return None
