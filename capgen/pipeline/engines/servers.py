"""Servers of the OpenAI API: connections and keys, which server is asked next, which are left alone for a while."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from capgen.errors import UserError
from capgen.redaction import holds_secret, shown_url

USUAL_VARIABLE = "OPENAI_API_KEY"

_LONGEST_REST_S = 30.0
_REMEMBERED_MEDIA = 4096
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_PLAIN_VARIABLE = re.compile(r"[A-Z]{2,}[0-9]?(_[A-Z]+[0-9]?)*")


@dataclass(slots=True, eq=False)
class Server:
    """One base URL, and until when it is left alone because it was not reached, or asked for it.

    Args:
        name: the address as messages show it.
        client: the official client over ``http``.
        headers: of every request; without a key they take away the client's own.
    """

    name: str
    client: Any
    http: Any
    headers: Mapping[str, Any]
    rests_until: float = 0.0
    failures: int = 0
    in_flight: int = 0

    @property
    def rest_s(self) -> float:
        """Seconds until it may be asked again."""
        return max(0.0, self.rests_until - time.monotonic())

    def rest(self, seconds: float) -> None:
        """It asked to be left alone for so long."""
        self.rests_until = max(self.rests_until, time.monotonic() + seconds)

    def failed(self, rest_s: float) -> None:
        """It was not reached: it rests, longer each time, however many requests found out at once."""
        if self.rest_s == 0:
            self.rests_until = time.monotonic() + min(_LONGEST_REST_S, rest_s * 2**self.failures)
            self.failures += 1

    @contextmanager
    def occupied(self) -> Iterator[None]:
        """Counts a request as in flight."""
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1


@dataclass(slots=True)
class Dispatcher:
    """Gives each request to a server, so that all have equally many in flight, however fast each of them answers.

    The objects of a picture or video go to one server, which can then reuse its work, unless that server has ``slack``
    requests more in flight than the least busy one.
    """

    servers: Sequence[Server]
    slack: int
    _homes: OrderedDict[str, Server] = field(default_factory=OrderedDict)

    def choose(self, medium: str, tried: Sequence[Server] = ()) -> Server:
        """The server for a request about ``medium``; one in ``tried`` only where there is no other.

        Where every one rests, the one that rests shortest.
        """
        candidates = [server for server in self.servers if server not in tried] or list(self.servers)
        awake = [server for server in candidates if server.rest_s == 0]
        if not awake:
            return min(candidates, key=lambda server: server.rest_s)
        least = min(awake, key=lambda server: (server.in_flight, _rank(medium, server)))
        home = self._homes.get(medium)
        if home is not None and home in awake and home.in_flight <= least.in_flight + self.slack:
            least = home
        self._homes[medium] = least
        self._homes.move_to_end(medium)
        if len(self._homes) > _REMEMBERED_MEDIA:
            self._homes.popitem(last=False)
        return least


def _rank(medium: str, server: Server) -> bytes:
    """Breaks ties: several workers that start together begin with different servers."""
    return hashlib.blake2b(f"{medium}\0{server.name}".encode(), digest_size=8).digest()


def connect(
    url: str, key: str | None, *, connections: int, timeout_s: float, connect_s: float, answer_mib: int
) -> Server:
    """A server with a client of its own, without retries and with no key but ``key``.

    Raises:
        UserError: the proxy that the environment names for it cannot be used.
    """
    import openai

    from capgen.pipeline.engines.bounded_http import bounded_client, proxy_for

    limit = answer_mib * 2**20
    http = bounded_client(url, connections=connections, timeout_s=timeout_s, connect_s=connect_s, limit=limit)
    client = openai.AsyncOpenAI(base_url=url, api_key=key or "none", http_client=http, max_retries=0)
    proxy = proxy_for(url)
    name = f"{url} (through the environment's proxy {shown_url(proxy)})" if proxy else url
    return Server(name, client, http, {} if key else {"Authorization": openai.Omit()})


def read_key(variable: str | None) -> str | None:
    """The key that a variable of the environment holds; None where none is to be sent.

    Args:
        variable: None is ``OPENAI_API_KEY`` where that is set; an empty text sends none.

    Raises:
        UserError: the variable is not set, or holds no key. A name that may be a key is not repeated.
    """
    name = USUAL_VARIABLE if variable is None else variable
    key = os.environ.get(name, "").strip()
    if not key and not variable:
        return None
    if not key or not (key.isascii() and key.isprintable()):
        shown = name if _PLAIN_VARIABLE.fullmatch(name) else "that it names"
        raise UserError(
            f"engine.options.api_key_env: the variable {shown} is not set, or holds no key",
            "set it where the engine runs (on a Ray cluster: on every machine before Ray is started)",
        )
    return key


def check_url(url: str) -> None:
    """That a base URL is one; a key in it would be written into the plan.

    Raises:
        ValueError: it is none, or holds a user, a password or a query. What it holds is not repeated.
    """
    if holds_secret(url):
        raise ValueError("base_urls must hold no user, password or query; the key belongs into api_key_env's variable")
    parts = urlsplit(url)
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("base_urls: the port of an address is no number of a port") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"base_urls: {shown_url(url)!r} is not of the form http://host:port/v1")


def check_variable(name: str | None) -> None:
    """That this is a variable's name and no key: one that is set, or one that is written as such names are.

    Raises:
        ValueError: it is none. It is not repeated, because it may be a key.
    """
    if not name or (_VARIABLE.fullmatch(name) and (name in os.environ or _PLAIN_VARIABLE.fullmatch(name))):
        return
    raise ValueError(
        "api_key_env is the name of an environment variable, not the key itself; a name is set in the environment, or "
        f"has capital letters and underscores, as {USUAL_VARIABLE} has"
    )


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that a server asks to wait, given as seconds or as a date; 0 where it does not ask."""
    text = headers.get("retry-after", "")
    try:
        return max(0.0, float(headers.get("retry-after-ms", "")) / 1000)
    except ValueError:
        pass
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return 0.0
