"""``openai``: any server that speaks the OpenAI API (``vllm serve``, a cloud's), asked with the official client.

The key of the API is read from an environment variable inside the worker. It is kept in the client alone: options,
plan, journal and messages hold the variable's name at most, and a server's message that repeats the key loses it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from random import random
from typing import Any, ClassVar
from urllib.parse import urlsplit
from uuid import uuid4

from capgen.errors import UserError
from capgen.pipeline.engines.base import EngineContext, EngineDead, EngineFault, RequestRefused
from capgen.pipeline.engines.chat_completions import BodyOptions, BodyWriter, Completion, error_text, read_completion
from capgen.pipeline.view import Answer, View

log = logging.getLogger(__name__)

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TOKEN = re.compile(r"capgen-[0-9a-f]{32}")
_REFUSED = frozenset({400, 413, 415, 422})
_PASSING = frozenset({408, 409, 425, 429})
_BROKE = "insufficient_quota"
_REMEMBERED = 4096
_LONGEST_REST_S = 30.0


@dataclass(frozen=True, slots=True)
class Openai:
    """Options of the engine; the model's name is the pipeline's ``[model] id``.

    Args:
        base_urls: the servers, as the client calls them (``http://host:8000/v1``); also one text with commas. The
            objects of a picture or video go to one server, so that it can reuse its work, and to another while it is
            down.
        concurrency: requests in flight, over all servers.
        timeout_s: seconds a request may take. Keep ``run.stall_s`` well above ten times of it.
        connect_s: seconds until a connection must stand.
        max_retries: how often a request is sent again after a fault that may pass, within one attempt of the run.
        backoff_s, max_wait_s: the first and the longest wait before that; ``Retry-After`` counts up to the longest.
        api_key_env: name of the environment variable that holds the key; None sends none.
        image_format, jpeg_quality: how pictures are sent: ``jpeg``, or ``png`` without loss.
        token_limit: ``max_tokens``, or ``max_completion_tokens`` for servers that want that.
        picture_ids: send picture digests too; vLLM alone knows the field.
        check_ids: take an answer that repeats another answer's id for a mistake of the server's.
        extra_body: further fields of every request.
    """

    decides: ClassVar[tuple[str, ...]] = ("image_format", "jpeg_quality", "token_limit", "extra_body")

    base_urls: Sequence[str] | str = ("http://127.0.0.1:8000/v1",)
    concurrency: int = 64
    timeout_s: float = 60.0
    connect_s: float = 10.0
    max_retries: int = 5
    backoff_s: float = 0.5
    max_wait_s: float = 60.0
    api_key_env: str | None = None
    image_format: str = "jpeg"
    jpeg_quality: int = 95
    token_limit: str = "max_tokens"
    picture_ids: bool = False
    check_ids: bool = True
    extra_body: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for url in self.urls:
            _check_url(url)
        if not self.urls:
            raise ValueError("base_urls is empty")
        if self.concurrency < 1 or self.max_retries < 0:
            raise ValueError("concurrency must be at least 1 and max_retries at least 0")
        if min(self.timeout_s, self.connect_s, self.backoff_s, self.max_wait_s) <= 0:
            raise ValueError("timeout_s, connect_s, backoff_s and max_wait_s must be above 0")
        if self.api_key_env is not None and not _VARIABLE.fullmatch(self.api_key_env):
            raise ValueError("api_key_env is the name of an environment variable, not the key itself")
        _ = self.body_options

    @property
    def urls(self) -> tuple[str, ...]:
        """The servers, each once."""
        given = self.base_urls.split(",") if isinstance(self.base_urls, str) else self.base_urls
        return tuple(dict.fromkeys(url.strip().rstrip("/") for url in given if url.strip()))

    @property
    def body_options(self) -> BodyOptions:
        """The options that decide how a request is written."""
        return BodyOptions(self.image_format, self.jpeg_quality, self.token_limit, self.picture_ids, self.extra_body)

    @property
    def in_flight(self) -> int:
        """Requests that may wait at once."""
        return self.concurrency

    async def start(self, context: EngineContext) -> OpenaiSession:
        """Connect; there is nothing to load.

        Raises:
            UserError: the client is not installed, no server answers, or one refuses the key.
        """
        try:
            import httpx2
            import openai
            import tenacity  # noqa: F401 - missing, it must be named now and not at the first request
        except ImportError as error:
            raise UserError(f"engine openai cannot be imported: {error}", "pip install 'capgen[api]'") from error
        key = self._key()
        # A connection for each exchange: what a server sends twice cannot be read as the answer to the next request.
        limits = httpx2.Limits(max_connections=self.concurrency + len(self.urls), max_keepalive_connections=0)
        timeout = httpx2.Timeout(self.timeout_s, connect=self.connect_s)
        http = openai.DefaultAsyncHttpxClient(limits=limits, timeout=timeout, follow_redirects=False)
        headers = {} if key else {"Authorization": openai.Omit()}
        servers = [Server(url, _client(url, key, http), headers) for url in self.urls]
        session = OpenaiSession(self, BodyWriter(context, self.body_options), servers, http, key)
        try:
            await session.look()
        except UserError:
            await session.stop()
            raise
        return session

    def _key(self) -> str | None:
        if self.api_key_env is None:
            return None
        key = os.environ.get(self.api_key_env, "").strip()
        if not key or not (key.isascii() and key.isprintable()):
            raise UserError(
                f"engine.options.api_key_env: the variable {self.api_key_env} is not set, or holds no key",
                "set it where the engine runs (on a Ray cluster: on every machine before Ray is started)",
            )
        return key


@dataclass(slots=True)
class Server:
    """One base URL, and until when it is left alone because it was not reached, or asked for it.

    ``headers``: of every request; without a key they take away the client's own.
    """

    url: str
    client: Any
    headers: Mapping[str, Any]
    rests_until: float = 0.0
    failures: int = 0

    @property
    def rest_s(self) -> float:
        """Seconds until it may be asked again."""
        return max(0.0, self.rests_until - time.monotonic())

    def failed(self, rest_s: float) -> None:
        """It was not reached: it rests, longer each time, however many requests found out at once."""
        if self.rest_s == 0:
            self.rests_until = time.monotonic() + min(_LONGEST_REST_S, rest_s * 2**self.failures)
            self.failures += 1


class _Passing(EngineFault):
    """A fault that may pass within this attempt.

    ``wait_s``: what Retry-After asks for. ``unreached``: no answer of any kind came.
    """

    def __init__(self, message: str, wait_s: float = 0.0, *, unreached: bool = False) -> None:
        self.wait_s, self.unreached = wait_s, unreached
        super().__init__(message)


@dataclass(slots=True)
class OpenaiSession:
    """Clients of all servers; ``answered``: one of them has answered a request."""

    options: Openai
    writer: BodyWriter
    servers: Sequence[Server]
    http: Any
    key: str | None = field(repr=False)
    answered: bool = False
    _ids: deque[str] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    async def look(self) -> None:
        """See that a server is there.

        Raises:
            UserError: none is, or one refuses the key.
        """
        states = await asyncio.gather(*(self._state(server) for server in self.servers))
        for server, state in zip(self.servers, states, strict=True):
            if state == 401:
                raise self._unusable(server, state, "the key is missing or wrong")
            if state is None:
                log.warning("engine openai: %s does not answer", server.url)
        if not any(states):
            raise UserError(f"engine openai: no server answers at {', '.join(self.options.urls)}", "start it first")

    async def answer(self, view: View) -> Answer:
        """Send the request to the server of its picture or video, again and elsewhere where that helps."""
        from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, stop_after_delay

        body = await self.writer.body(view)
        order = deque(self._order(view))
        limit = stop_after_attempt(self.options.max_retries + 1) | stop_after_delay(2 * self.options.timeout_s)
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_Passing), stop=limit, wait=self._wait, sleep=asyncio.sleep, reraise=True
        )
        try:
            answer: Answer = await retrying(self._ask, body, order)
        except _Passing as fault:
            if fault.unreached and not any(await asyncio.gather(*(self._state(server) for server in self.servers))):
                raise EngineDead(f"no server answers: {fault}") from None
            raise EngineFault(str(fault)) from None
        return answer

    async def stop(self) -> None:
        """Close the connections."""
        await self.http.aclose()

    def _order(self, view: View) -> list[Server]:
        """The servers, first the one that has this view's picture or video (rendezvous hashing)."""
        medium = view.key.rpartition("/")[0]
        return sorted(
            self.servers, key=lambda server: hashlib.blake2b(f"{medium}\0{server.url}".encode(), digest_size=8).digest()
        )

    def _wait(self, state: Any) -> float:
        """Exponential with full jitter, and at least what the server asks for."""
        fault: _Passing = state.outcome.exception()
        tried: int = state.attempt_number
        longest = min(self.options.max_wait_s, self.options.backoff_s * 2.0 ** (tried - 1))
        return min(self.options.max_wait_s, max(fault.wait_s, longest * random()))

    async def _ask(self, body: Mapping[str, Any], order: deque[Server]) -> Answer:
        """One exchange with the first server that does not rest; ``order`` is turned where another should be next."""
        server = min(order, key=lambda one: one.rest_s)
        await asyncio.sleep(min(server.rest_s, self.options.max_wait_s))
        token = f"capgen-{uuid4().hex}"
        try:
            headers, data = await self._exchange(server, body, token)
        except _Passing:
            if order[0] is server:
                order.rotate(-1)
            raise
        server.failures = 0
        try:
            completion = read_completion(data)
            answer = completion.answer
        except EngineFault as fault:
            raise _Passing(self._clean(f"{server.url}: {fault}")) from None
        self._check(server, token, headers, completion)
        self.answered = True
        return answer

    async def _exchange(self, server: Server, body: Mapping[str, Any], token: str) -> tuple[Mapping[str, str], bytes]:
        """The headers and the body of a successful answer.

        Raises:
            EngineFault: there is none.
            UserError: there will be none.
        """
        import openai

        standard = {name: body[name] for name in ("model", "messages", "temperature", "top_p", "seed")}
        further = {name: value for name, value in body.items() if name not in standard}
        try:
            async with asyncio.timeout(self.options.timeout_s):
                raw = await server.client.chat.completions.with_raw_response.create(
                    **standard, extra_body=further, extra_headers={**server.headers, "X-Request-Id": token}
                )
        except openai.APIStatusError as error:
            raise self._status(server, error) from None
        except (TimeoutError, openai.APITimeoutError):
            raise _Passing(f"{server.url}: no answer within {self.options.timeout_s:g} s", unreached=True) from None
        except openai.APIConnectionError as error:
            server.failed(self.options.backoff_s)
            cause = error.__cause__ or error
            why = self._clean(f"{server.url}: {type(cause).__name__}: {cause}")
            raise _Passing(why, unreached=True) from None
        return raw.http_response.headers, raw.http_response.content

    def _status(self, server: Server, error: Any) -> EngineFault | UserError:
        """What an HTTP status other than success means."""
        status, headers = error.status_code, error.response.headers
        message, code = error_text(error.response.content)
        message = self._clean(message)
        sentence = f"{server.url} answered {status}: {message or 'without a message'}"
        if status in {401, 402} or code == _BROKE or status < 400:
            return self._unusable(server, status, message)
        if status in _PASSING or status >= 500:
            wait_s = _retry_after(headers)
            if wait_s:
                server.rests_until = max(server.rests_until, time.monotonic() + min(wait_s, self.options.max_wait_s))
            elif status in {502, 503, 504}:
                server.failed(self.options.backoff_s)
            return _Passing(sentence, wait_s)
        if status not in _REFUSED and not self.answered:
            return self._unusable(server, status, message)
        return RequestRefused(sentence)

    def _check(self, server: Server, token: str, headers: Mapping[str, str], completion: Completion) -> None:
        """That this is the answer to this request, as far as the server lets it be seen.

        Raises:
            _Passing: it names another request, or repeats another answer.
        """
        named = _TOKEN.findall(f"{headers.get('x-request-id', '')} {completion.id or ''}")
        if any(name != token for name in named):
            raise _Passing(f"{server.url} answered with another request's answer")
        if self.options.check_ids and completion.id:
            if completion.id in self._ids:
                raise _Passing(
                    f"{server.url} gave the answer {completion.id[:80]!r} twice; engine.options.check_ids=false is for "
                    "servers that call all their answers alike"
                )
            self._ids.append(completion.id)

    async def _state(self, server: Server) -> int | None:
        """The HTTP status of a small question to the server; None where nothing comes."""
        import openai

        try:
            async with asyncio.timeout(self.options.connect_s):
                await server.client.models.with_raw_response.list(extra_headers=server.headers)
        except openai.APIStatusError as error:
            return int(error.status_code)
        except (TimeoutError, openai.APIConnectionError):
            return None
        return 200

    def _unusable(self, server: Server, status: int, message: str) -> UserError:
        env = self.options.api_key_env
        remedy = {
            401: f"set the variable {env} to a valid key"
            if env
            else "name its key's variable: engine.options.api_key_env",
            404: f"check engine.options.base_urls and the model's name {self.writer.context.model.id!r}",
        }.get(status, "check engine.options.base_urls, the key and the account")
        return UserError(f"engine openai: {server.url} answered {status}: {self._clean(message)}", remedy)

    def _clean(self, text: str) -> str:
        return text.replace(self.key, "***") if self.key else text


def _client(url: str, key: str | None, http: Any) -> Any:
    """The official client of a server, without retries of its own and with no key but the one that is named."""
    import openai

    return openai.AsyncOpenAI(
        base_url=url,
        api_key=key or "none",
        http_client=http,
        max_retries=0,
    )


def _check_url(url: str) -> None:
    """That a base URL is one; a key in it would be written into the plan.

    Raises:
        ValueError: it is none, or holds a password or a query. What it holds is not repeated.
    """
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("base_urls must hold no user, password or query; the key belongs into api_key_env's variable")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"base_urls: {url!r} is not of the form http://host:port/v1")


def _retry_after(headers: Mapping[str, str]) -> float:
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
