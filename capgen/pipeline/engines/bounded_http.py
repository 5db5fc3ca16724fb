"""HTTP answers of bounded size, whatever a server sends, and the way to it: directly or through a proxy.

A body is read piece by piece and given up at the bound, before and after decompression, so that an answer without end
or a few kilobytes that unpack to gigabytes cost one request and no memory.
"""

from __future__ import annotations

import ipaddress
import zlib
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2

from capgen.errors import UserError
from capgen.redaction import shown_url

_PLAIN = frozenset({"", "identity"})
_ZIPPED = frozenset({"gzip", "x-gzip", "deflate"})
_DROPPED = frozenset({"content-encoding", "content-length", "transfer-encoding"})


class AnswerTooLarge(httpx2.DecodingError):  # type: ignore[misc]
    """A body, as sent or as unpacked, passes the bound, or is packed in a way that cannot be bounded."""


class BoundedTransport(httpx2.AsyncBaseTransport):  # type: ignore[misc]
    """Reads each answer whole, up to a number of bytes.

    Args:
        inner: what sends the requests.
        limit: bytes of a body at most, packed and unpacked.
    """

    def __init__(self, inner: httpx2.AsyncBaseTransport, limit: int) -> None:
        self._inner, self._limit = inner, limit

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The answer, read and unpacked.

        Raises:
            AnswerTooLarge: its body passes the bound.
            httpx2.TransportError: the exchange failed.
        """
        request.headers["Accept-Encoding"] = "identity"
        response = await self._inner.handle_async_request(request)
        try:
            body = bytearray()
            async for piece in response.stream:
                body += piece
                if len(body) > self._limit:
                    raise AnswerTooLarge(f"the answer is longer than {self._limit:,} bytes")
        finally:
            await response.aclose()
        headers = [(name, value) for name, value in response.headers.multi_items() if name.lower() not in _DROPPED]
        content = _unpacked(bytes(body), response.headers.get("content-encoding", ""), self._limit)
        return httpx2.Response(
            response.status_code, headers=headers, content=content, extensions=response.extensions, request=request
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


def bounded_client(url: str, *, connections: int, timeout_s: float, connect_s: float, limit: int) -> Any:
    """An HTTP client for one server.

    Each exchange has a connection of its own: what a server sends twice cannot be read as the answer to the next
    request. Redirects are not followed.

    Raises:
        UserError: the proxy that the environment names for it cannot be used.
    """
    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=0)
    proxy = proxy_for(url)
    try:
        inner = httpx2.AsyncHTTPTransport(limits=limits, proxy=proxy, trust_env=True)
    except (ImportError, ValueError, httpx2.HTTPError) as error:
        raise UserError(
            f"the proxy {shown_url(proxy or '')} for {shown_url(url)} cannot be used: {type(error).__name__}",
            "change it in the environment, or name the server in NO_PROXY",
        ) from None
    timeout = httpx2.Timeout(timeout_s, connect=connect_s)
    return httpx2.AsyncClient(
        transport=BoundedTransport(inner, limit), timeout=timeout, follow_redirects=False, trust_env=False
    )


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for an address; None is the direct way, which loopback always takes.

    ``NO_PROXY`` holds names, ends of names, addresses and networks (``10.0.0.0/8``), or ``*``.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    proxies = getproxies()
    if is_loopback(host) or proxy_bypass(host) or _in_network(host, proxies.get("no", "")):
        return None
    found = proxies.get(parts.scheme) or proxies.get("all")
    return found if not found or "://" in found else f"http://{found}"


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself, by its name or address."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _in_network(host: str, without: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    for entry in without.split(","):
        try:
            if address in ipaddress.ip_network(entry.strip(), strict=False):
                return True
        except ValueError:
            continue
    return False


def _unpacked(body: bytes, coding: str, limit: int) -> bytes:
    coding = coding.strip().lower()
    if coding in _PLAIN:
        return body
    if coding not in _ZIPPED:
        raise AnswerTooLarge(f"the answer has the encoding {coding[:40]!r}, which was not asked for")
    raw = coding == "deflate" and body[:1] != b"\x78"
    unzip = zlib.decompressobj(-15 if raw else 47)
    try:
        content = unzip.decompress(body, limit + 1)
    except zlib.error as error:
        raise httpx2.DecodingError(f"the answer is no {coding}: {error}") from None
    if len(content) > limit:
        raise AnswerTooLarge(f"the answer unpacks to more than {limit:,} bytes")
    return content
