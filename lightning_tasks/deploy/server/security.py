"""Headers that keep a browser from using the answers for anything else, and pages of other sites from asking."""

import re
from collections.abc import Sequence

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
    """Add the headers, refuse what a browser sends for a page of another site, and answer HEAD where GET is answered.

    Args:
        app: answers the rest.
        hosts: the names under which the server may be asked, `*.a.example` for all that end so; None: any. A site can
            give its own name this machine's address, and would then be no other site to the browser.
        origins: the other sites whose pages may ask, as `https://a.example`; `*`: all.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str] | None, origins: Sequence[str] = ()) -> None:
        self.app = app
        self.hosts = hosts
        self.origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if scope.get("method") == "HEAD":
            scope = {**scope, "method": "GET"}  # the server, which still has the old one, leaves the body out
        await (refusal or self.app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self.hosts is not None and not _is_among(_PORT.sub("", host.lower()), self.hosts):
            message = (
                f"This server answers to {', '.join(self.hosts)}, not to {host!r}. If that is its name, start it with "
                "--allowed_hosts NAME."
            )
            return JSONResponse({"detail": message}, 400)
        is_others = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        if scope["method"] == "POST" and is_others and not {"*", headers.get("origin")} & set(self.origins):
            message = "Pages of other sites may not ask this server, unless it is started with --allowed_origins SITE."
            return JSONResponse({"detail": message}, 403)
        return None


def _is_among(host: str, hosts: Sequence[str]) -> bool:
    return any(host == name or name == "*" or (name.startswith("*.") and host.endswith(name[1:])) for name in hosts)
