"""The chat-completions format, as far as engines need it: a view as a request, a completion as an ``Answer``.

Source: the OpenAI API reference, chat completions; vLLM's server and batch runner read and write the same.
"""

from __future__ import annotations

import asyncio
import base64
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import msgspec

from capgen.pipeline.engines.base import EngineContext, EngineFault
from capgen.pipeline.view import Answer, Part, Picture, View

FORMATS = ("jpeg", "png")
TOKEN_LIMITS = ("max_tokens", "max_completion_tokens")
_KEPT = 128
_STOPPED = frozenset({"stop", "eos", "eos_token", "end_turn", "stop_sequence"})


@dataclass(frozen=True, slots=True)
class BodyOptions:
    """How a request is written.

    Args:
        image_format: ``jpeg`` or ``png`` (lossless, larger, slower).
        jpeg_quality: 1..100.
        token_limit: the field that holds ``sampling.max_tokens``.
        picture_ids: give each picture its digest as ``uuid``, a field that vLLM alone knows.
        extra: further fields of the request.
    """

    image_format: str = "jpeg"
    jpeg_quality: int = 95
    token_limit: str = "max_tokens"
    picture_ids: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.image_format not in FORMATS:
            raise ValueError(f"image_format must be one of {', '.join(FORMATS)}")
        if not 1 <= self.jpeg_quality <= 100:
            raise ValueError("jpeg_quality must lie in 1..100")
        if self.token_limit not in TOKEN_LIMITS:
            raise ValueError(f"token_limit must be one of {', '.join(TOKEN_LIMITS)}")


@dataclass(slots=True)
class BodyWriter:
    """Writes requests; the objects of a picture follow each other, so its encoded bytes are kept for a while."""

    context: EngineContext
    options: BodyOptions
    _kept: OrderedDict[str, asyncio.Task[str]] = field(default_factory=OrderedDict)

    async def body(self, view: View) -> dict[str, Any]:
        """The request of a view; pictures are encoded in threads."""
        sampling = self.context.sampling
        return {
            "model": self.context.model.id,
            "messages": await self._messages(view),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed,
            self.options.token_limit: sampling.max_tokens,
            **self.options.extra,
        }

    async def _messages(self, view: View) -> list[dict[str, Any]]:
        turns: list[dict[str, Any]] = []
        if view.system:
            turns.append({"role": "system", "content": view.system})
        for example in view.examples:
            turns.append({"role": "user", "content": example.user})
            turns.append({"role": "assistant", "content": example.assistant})
        turns.append({"role": "user", "content": [await self._part(part) for part in view.parts]})
        return turns

    async def _part(self, part: Part) -> dict[str, Any]:
        if isinstance(part, str):
            return {"type": "text", "text": part}
        url: dict[str, Any] = {"type": "image_url", "image_url": {"url": await self._uri(part)}}
        return url | {"uuid": part.digest} if self.options.picture_ids else url

    async def _uri(self, picture: Picture) -> str:
        task = self._kept.get(picture.digest)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(data_uri, picture, self.options))
            self._kept[picture.digest] = task
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return await asyncio.shield(task)


def data_uri(picture: Picture, options: BodyOptions) -> str:
    """The picture as a ``data:`` URI."""
    pixels = cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2BGR)
    flags = [cv2.IMWRITE_JPEG_QUALITY, options.jpeg_quality] if options.image_format == "jpeg" else []
    _, encoded = cv2.imencode(f".{options.image_format}", pixels, flags)
    return f"data:image/{options.image_format};base64,{base64.b64encode(encoded.tobytes()).decode()}"


class _Cached(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Cached | None = None


class _Message(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class Completion(msgspec.Struct):
    """A chat completion; fields that no caption needs are left out."""

    choices: list[_Choice]
    id: str | None = None
    usage: _Usage | None = None

    @property
    def answer(self) -> Answer:
        """The first choice, with the server's counts; a refusal in its own field has the finish reason ``refusal``.

        Raises:
            EngineFault: there is no choice.
        """
        if not self.choices:
            raise EngineFault("the answer holds no choice")
        said = self.choices[0]
        usage = self.usage or _Usage()
        reason = said.finish_reason or "none"
        text = said.message.content
        if text is None and said.message.refusal:
            text, reason = said.message.refusal, "refusal"
        return Answer(
            text=text or "",
            finish_reason="stop" if reason in _STOPPED else reason,
            prompt_tokens=usage.prompt_tokens or 0,
            cached_tokens=(usage.prompt_tokens_details or _Cached()).cached_tokens or 0,
            output_tokens=usage.completion_tokens or 0,
        )


def read_completion(data: bytes | msgspec.Raw) -> Completion:
    """A chat completion's JSON.

    Raises:
        EngineFault: it is none.
    """
    try:
        return msgspec.json.decode(data, type=Completion)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise EngineFault(f"the answer is no chat completion: {error}") from None


def error_text(body: bytes) -> tuple[str, str]:
    """The sentence and the code of an error's JSON; of anything else its beginning, and no code."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return body[:300].decode(errors="replace").strip(), ""
    inner = found.get("error", found) if isinstance(found, dict) else found
    if not isinstance(inner, dict):
        return str(inner)[:300], ""
    return str(inner.get("message", inner))[:300], str(inner.get("code") or "")
