"""``openai``: any server that speaks the OpenAI API (``vllm serve``, a cloud's), asked with the official client.

The key of the API is read from an environment variable inside the worker. It is kept in the client alone: options,
plan, journal and messages hold the variable's name at most, and a server's message that repeats the key loses it.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import random
from typing import Any, ClassVar, TypeVar
from uuid import uuid4

from capgen.errors import UserError
from capgen.pipeline.engines.base import EngineContext, EngineDead, EngineFault, RequestRefused
from capgen.pipeline.engines.chat_completions import BodyOptions, BodyWriter
from capgen.pipeline.engines.completion import AnswerIds, Completion, error_text, named_limit, read_completion
from capgen.pipeline.engines.reasoning import USUAL, how_to_switch_off
from capgen.pipeline.engines.scoring.base import SentenceScorer
from capgen.pipeline.engines.servers import (
    USUAL_VARIABLE,
    Dispatcher,
    Server,
    check_url,
    check_variable,
    connect,
    read_key,
    retry_after,
)
from capgen.pipeline.view import Answer, View
from capgen.redaction import message, repeats

log = logging.getLogger(__name__)
Read = TypeVar("Read")
Reader = Callable[[Completion], Read]

_REFUSED = frozenset({400, 413, 415, 422})
_PASSING = frozenset({408, 409, 425, 429})
_BROKE = "insufficient_quota"


@dataclass(frozen=True, slots=True)
class Openai:
    """Options of the engine; the model's name is the pipeline's ``[model] id``.

    Args:
        base_urls: the servers, as the client calls them (``http://host:8000/v1``); also one text with commas. All have
            equally many requests in flight. The objects of a picture or video go to one server as far as that allows,
            so that it can reuse its work, and to another while it is down. Servers on this machine are asked directly,
            others through the proxy that the environment names for them.
        concurrency: requests in flight, over all servers.
        timeout_s: seconds a request may take. Keep ``run.stall_s`` well above ten times of it.
        connect_s: seconds until a connection must stand.
        max_retries: how often a request is sent again after a fault that may pass, within one attempt of the run.
        backoff_s, max_wait_s: the first and the longest wait before that; ``Retry-After`` counts up to the longest.
        api_key_env: name of the environment variable that holds the key; None is ``OPENAI_API_KEY`` where that is set,
            an empty text sends none.
        image_format, jpeg_quality: how pictures are sent: ``jpeg``, ``png`` without loss, or ``webp``.
        image_url: ``object``, or ``text`` for servers that want the picture's address itself.
        image_detail: ``auto``, ``low`` or ``high``, for servers that know it.
        token_limit: ``max_tokens``, or ``max_completion_tokens`` for servers that want that.
        picture_ids: send picture digests too; vLLM alone knows the field.
        check_ids: take an answer that was there before, id and all, for a mistake of the server's. An id alone may
            come again: servers count, or draw from few numbers.
        omit: of ``temperature``, ``top_p`` and ``seed`` those that the server does not take.
        extra_body: further fields of every request.
        logprobs: ask for log-probabilities; a server that refuses them is asked without.
        answer_mib: an answer's body is given up at this size.
    """

    scores: ClassVar[bool] = True
    decides: ClassVar[tuple[str, ...]] = (
        *("image_format", "jpeg_quality", "image_detail", "token_limit", "omit", "extra_body"),
        "logprobs",
    )

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
    image_url: str = "object"
    image_detail: str | None = None
    token_limit: str = "max_tokens"
    picture_ids: bool = False
    check_ids: bool = True
    omit: Sequence[str] = ()
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    answer_mib: int = 4
    logprobs: bool = True

    def __post_init__(self) -> None:
        for url in self.urls:
            check_url(url)
        if not self.urls:
            raise ValueError("base_urls is empty")
        if self.concurrency < 1 or self.max_retries < 0:
            raise ValueError("concurrency must be at least 1 and max_retries at least 0")
        if min(self.timeout_s, self.connect_s, self.backoff_s, self.max_wait_s, self.answer_mib) <= 0:
            raise ValueError("timeout_s, connect_s, backoff_s, max_wait_s and answer_mib must be above 0")
        check_variable(self.api_key_env)
        _ = self.body_options

    @property
    def urls(self) -> tuple[str, ...]:
        """The servers, each once."""
        given = self.base_urls.split(",") if isinstance(self.base_urls, str) else self.base_urls
        return tuple(dict.fromkeys(url.strip().rstrip("/") for url in given if url.strip()))

    @property
    def body_options(self) -> BodyOptions:
        """The options that decide how a request is written."""
        return BodyOptions(
            self.image_format,
            self.jpeg_quality,
            self.token_limit,
            self.picture_ids,
            self.image_url,
            self.image_detail,
            self.omit,
            self.extra_body,
            self.logprobs,
        )

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
            import openai  # noqa: F401 - missing, these must be named now and not at the first request
            import tenacity  # noqa: F401

            from capgen.pipeline.engines import bounded_http  # noqa: F401
        except ImportError as error:
            raise UserError(f"engine openai cannot be imported: {error}", "pip install 'capgen[api]'") from error
        key = read_key(self.api_key_env)
        servers = [
            connect(
                url,
                key,
                connections=self.concurrency + 1,
                timeout_s=self.timeout_s,
                connect_s=self.connect_s,
                answer_mib=self.answer_mib,
            )
            for url in self.urls
        ]
        session = OpenaiSession(self, BodyWriter(context, self.body_options), servers, key)
        try:
            await session.look()
        except UserError:
            await session.stop()
            raise
        return session


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
    key: str | None = field(repr=False)
    answered: bool = False
    _dispatcher: Dispatcher = field(init=False)
    _thought: bool = False
    _knows_logprobs: bool = True
    _ids: AnswerIds = field(default_factory=AnswerIds)

    def __post_init__(self) -> None:
        slack = self.options.concurrency // (4 * max(1, len(self.servers)))
        self._dispatcher = Dispatcher(self.servers, max(1, slack))

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
                log.warning("engine openai: %s does not answer", server.name)
        if not any(states):
            raise UserError(
                f"engine openai: no server answers at {', '.join(server.name for server in self.servers)}",
                "start it first",
            )

    async def answer(self, view: View) -> Answer:
        """Ask for a caption; a server that refuses log-probabilities is asked without."""
        body = await self.writer.body(view)
        if not self._knows_logprobs:
            body.pop("logprobs", None)
        try:
            return await self.ask(body, view.key, self._said)
        except (RequestRefused, UserError) as refusal:
            if "logprobs" not in body or "logprob" not in str(refusal):
                raise
            if self._knows_logprobs:
                log.warning("engine openai: asked without log-probabilities from now on (%s)", refusal)
            self._knows_logprobs = False
            return await self.answer(view)

    async def ask(self, body: Mapping[str, Any], key: str, read: Reader[Read]) -> Read:
        """Send a request to the server that should have it, again and elsewhere where that helps.

        Args:
            key: of the object that it is about.
            read: what is wanted of the server's answer; what it raises as ``EngineFault`` may pass.
        """
        from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, stop_after_delay

        limit = stop_after_attempt(self.options.max_retries + 1) | stop_after_delay(2 * self.options.timeout_s)
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_Passing), stop=limit, wait=self._wait, sleep=asyncio.sleep, reraise=True
        )
        tried: list[Server] = []
        try:
            found: Read = await retrying(self._ask, body, key.rpartition("/")[0], tried, read)
        except _Passing as fault:
            if fault.unreached and not any(await asyncio.gather(*(self._state(server) for server in self.servers))):
                raise EngineDead(f"no server answers: {fault}") from None
            raise EngineFault(str(fault)) from None
        return found

    def scorer(self) -> SentenceScorer:
        """See ``engines.scoring``."""
        from capgen.pipeline.engines.scoring.openai import OpenaiScorer

        return OpenaiScorer(self)

    async def stop(self) -> None:
        """Close the connections."""
        for server in self.servers:
            await server.http.aclose()

    def _wait(self, state: Any) -> float:
        """Exponential with full jitter, and at least what the server asks for."""
        fault: _Passing = state.outcome.exception()
        tried: int = state.attempt_number
        longest = min(self.options.max_wait_s, self.options.backoff_s * 2.0 ** (tried - 1))
        return min(self.options.max_wait_s, max(fault.wait_s, longest * random()))

    async def _ask(self, body: Mapping[str, Any], medium: str, tried: list[Server], read: Reader[Read]) -> Read:
        """One exchange; a server that failed at it is put into ``tried``, until all have."""
        server = self._dispatcher.choose(medium, tried)
        token = f"capgen-{uuid4().hex}"
        try:
            with server.occupied():
                await asyncio.sleep(min(server.rest_s, self.options.max_wait_s))
                headers, data = await self._exchange(server, body, token)
        except _Passing:
            tried[:] = [*tried, server] if len(tried) + 1 < len(self.servers) else []
            raise
        server.failures = 0
        return self._read(server, token, headers, data, read)

    def _said(self, completion: Completion) -> Answer:
        answer = completion.answer((*USUAL, *self.writer.context.model.reasoning))
        if self.key and any(repeats(said, self.key) for said in (answer.text, answer.finish_reason)):
            raise EngineFault("the answer repeats the key")
        return answer

    def _read(self, server: Server, token: str, headers: Mapping[str, str], data: bytes, read: Reader[Read]) -> Read:
        """What is wanted of a body with status 200.

        Raises:
            EngineFault: it is no completion, or an error, or somebody else's.
            UserError: the error is one that only the user can mend.
        """
        try:
            completion = read_completion(data)
            if completion.failed:
                told, code = error_text({"error": completion.error})
                status = int(code) if re.fullmatch(r"[45]\d\d", code) else 500
                raise self._failed(server, status, told, code, headers)
            found = read(completion)
            self._ids.check(token, headers, completion, data, repeated=not self.options.check_ids)
        except (_Passing, RequestRefused):
            raise
        except EngineFault as fault:
            raise _Passing(self._clean(f"{server.name}: {fault}")) from None
        if completion.reasons and not self._thought:
            self._thought = True
            log.warning(
                "engine openai: %s reasons before it answers, which costs tokens: %s",
                server.name,
                how_to_switch_off(self.writer.context.model.template, self.options.extra_body),
            )
        self.answered = True
        return found

    async def _exchange(self, server: Server, body: Mapping[str, Any], token: str) -> tuple[Mapping[str, str], bytes]:
        """The headers and the body of a successful answer.

        Raises:
            EngineFault: there is none.
            UserError: there will be none.
        """
        import openai

        from capgen.pipeline.engines.bounded_http import AnswerTooLarge

        standard = {name: body[name] for name in ("model", "messages")}
        further = {name: value for name, value in body.items() if name not in standard}
        try:
            async with asyncio.timeout(self.options.timeout_s):
                raw = await server.client.chat.completions.with_raw_response.create(
                    **standard, extra_body=further, extra_headers={**server.headers, "X-Request-Id": token}
                )
        except openai.APIStatusError as error:
            told, code = error_text(error.response.content)
            raise self._failed(server, error.status_code, told, code, error.response.headers) from None
        except (TimeoutError, openai.APITimeoutError):
            raise _Passing(f"{server.name}: no answer within {self.options.timeout_s:g} s", unreached=True) from None
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            if isinstance(cause, AnswerTooLarge):
                raise _Passing(f"{server.name}: {cause}") from None
            server.failed(self.options.backoff_s)
            raise _Passing(self._clean(f"{server.name}: {type(cause).__name__}: {cause}"), unreached=True) from None
        return raw.http_response.headers, raw.http_response.content

    def _failed(
        self, server: Server, status: int, told: str, code: str, headers: Mapping[str, str]
    ) -> EngineFault | UserError:
        """What an HTTP status other than success means."""
        told = self._clean(told)
        sentence = f"{server.name} answered {status}: {told or 'without a message'}"
        if status in {401, 402} or code == _BROKE or status < 400:
            return self._unusable(server, status, told)
        if status in _PASSING or status >= 500:
            wait_s = retry_after(headers)
            if wait_s:
                server.rest(min(wait_s, self.options.max_wait_s))
            elif status in {502, 503, 504}:
                server.failed(self.options.backoff_s)
            return _Passing(sentence, wait_s)
        if status not in _REFUSED and not self.answered:
            return self._unusable(server, status, told)
        limit = named_limit(status, told)
        return RequestRefused(f"{sentence} ({limit})" if limit else sentence)

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

    def _unusable(self, server: Server, status: int, told: str) -> UserError:
        env = self.options.api_key_env or (USUAL_VARIABLE if self.key else None)
        remedy = {
            401: f"set the variable {env} to a valid key"
            if env
            else f"set {USUAL_VARIABLE}, or name its key's variable: engine.options.api_key_env",
            404: f"check engine.options.base_urls and the model's name {self.writer.context.model.id!r}",
        }.get(status, "check engine.options.base_urls, the key and the account")
        return UserError(f"engine openai: {server.name} answered {status}: {told}", remedy)

    def _clean(self, text: str) -> str:
        return message(text, (self.key,) if self.key else ())
