"""Who may use a page on loopback: a browser that was given the token, at the address that was printed, and no other.

Any web page may send requests to a server on this machine, and a name that its owner points at 127.0.0.1 lets it read
the answers (DNS rebinding). So the Host header must be the server's own, a request that changes something must come
from the server's own pages, and every request needs the token, which a cookie keeps after the first one.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


class LocalGuard:
    """ASGI middleware that answers everybody else with 403.

    Args:
        token: what the first address has as ``?token=``.
        hosts: the ``host:port`` under which the server may be asked.
    """

    def __init__(self, app: ASGIApp, *, token: str, hosts: Iterable[str]) -> None:
        self._app, self._token, self._hosts = app, token, frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        refusal = self._refusal(Request(scope))
        await (self._app if refusal is None else refusal)(scope, receive, answer)

    def _refusal(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        if host not in self._hosts:
            return PlainTextResponse("This server is not asked under that name.\n", 403)
        if request.method not in ("GET", "HEAD") and request.headers.get("origin") != f"http://{host}":
            return PlainTextResponse("Only the gallery's own pages may change something.\n", 403)
        cookie = f"capgen-{host.rpartition(':')[2]}"
        given = request.query_params.get("token")
        if given is not None and self._is_token(given):
            left = urlencode([pair for pair in parse_qsl(request.url.query) if pair[0] != "token"])
            path = f"/{request.url.path.lstrip('/')}"  # two slashes would begin another server's address
            response = RedirectResponse(path + (f"?{left}" if left else ""), 303)
            response.set_cookie(cookie, self._token, httponly=True, samesite="strict")
            return response
        if not self._is_token(request.cookies.get(cookie, "")):
            return PlainTextResponse("Open the address that capgen has printed: it holds the token.\n", 403)
        return None

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode("utf-8", "replace"), self._token.encode())
