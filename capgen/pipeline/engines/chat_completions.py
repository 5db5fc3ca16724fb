"""The chat-completions format, as engines write it: a view as a request. ``completion`` reads the answers.

Source: the OpenAI API reference, chat completions; vLLM's server and batch runner read and write the same.
"""

from __future__ import annotations

import asyncio
import base64
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2

from capgen.pipeline.engines.base import EngineContext
from capgen.pipeline.view import Part, Picture, View

FORMATS = ("jpeg", "png", "webp")
TOKEN_LIMITS = ("max_tokens", "max_completion_tokens")
PICTURE_FORMS = ("object", "text")
DETAILS = ("auto", "low", "high")
OMITTABLE = ("temperature", "top_p", "seed")
_KEPT = 128


@dataclass(frozen=True, slots=True)
class BodyOptions:
    """How a request is written.

    Args:
        image_format: ``jpeg``, ``png`` (lossless, larger, slower) or ``webp``.
        jpeg_quality: 1..100, of JPEG and WebP.
        token_limit: the field that holds ``sampling.max_tokens``.
        picture_ids: give each picture its digest as ``uuid``, a field that vLLM alone knows.
        image_url: ``object`` (``{"url": ...}``, OpenAI's form) or ``text`` (the address itself).
        image_detail: how closely a server shall look (``auto``, ``low``, ``high``); None leaves the field out.
        omit: sampling fields that the server does not take.
        extra: further fields of the request; they go over all others.
        logprobs: ask for the log-probabilities of the answer's tokens.
    """

    image_format: str = "jpeg"
    jpeg_quality: int = 95
    token_limit: str = "max_tokens"
    picture_ids: bool = False
    image_url: str = "object"
    image_detail: str | None = None
    omit: Sequence[str] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    logprobs: bool = field(default=False, repr=False)  # decides no answer, so no digest of what was asked has it

    def __post_init__(self) -> None:
        if self.image_format not in FORMATS:
            raise ValueError(f"image_format must be one of {', '.join(FORMATS)}")
        if not 1 <= self.jpeg_quality <= 100:
            raise ValueError("jpeg_quality must lie in 1..100")
        if self.token_limit not in TOKEN_LIMITS:
            raise ValueError(f"token_limit must be one of {', '.join(TOKEN_LIMITS)}")
        if self.image_url not in PICTURE_FORMS:
            raise ValueError(f"image_url must be one of {', '.join(PICTURE_FORMS)}")
        if self.image_detail is not None and self.image_detail not in DETAILS:
            raise ValueError(f"image_detail must be one of {', '.join(DETAILS)}")
        if isinstance(self.omit, str) or not set(self.omit) <= set(OMITTABLE):
            raise ValueError(f"omit is a list of {', '.join(OMITTABLE)}")


@dataclass(slots=True)
class BodyWriter:
    """Writes requests; the objects of a picture follow each other, so its encoded bytes are kept for a while."""

    context: EngineContext
    options: BodyOptions
    _kept: OrderedDict[str, asyncio.Task[str]] = field(default_factory=OrderedDict)

    async def body(self, view: View) -> dict[str, Any]:
        """The request of a view; pictures are encoded in threads."""
        sampling, template = self.context.sampling, self.context.model.template
        seed = sampling.seed if view.seed is None else view.seed
        temperature = sampling.temperature if view.temperature is None else view.temperature
        chosen = {"temperature": temperature, "top_p": sampling.top_p, "seed": seed}
        return {
            "model": self.context.model.id,
            "messages": await self._messages(view),
            **{name: value for name, value in chosen.items() if name not in self.options.omit},
            self.options.token_limit: sampling.max_tokens * view.captions,
            **({"logprobs": True} if self.options.logprobs else {}),
            **({"chat_template_kwargs": dict(template)} if template else {}),
            **({} if view.schema is None else {"response_format": _response_format(view.schema)}),
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
        uri, detail = await self._uri(part), self.options.image_detail
        address = {"url": uri} | ({"detail": detail} if detail else {})
        url: dict[str, Any] = {"type": "image_url", "image_url": uri if self.options.image_url == "text" else address}
        return url | {"uuid": part.digest} if self.options.picture_ids else url

    async def _uri(self, picture: Picture) -> str:
        task = self._kept.get(picture.digest)
        if task is None:
            task = asyncio.create_task(asyncio.to_thread(data_uri, picture, self.options))
            self._kept[picture.digest] = task
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return await asyncio.shield(task)


def template_messages(view: View, picture: Callable[[Picture], dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    """The messages of a view as chat templates of Hugging Face take them.

    Args:
        picture: the part of a message that stands for a picture; None is a placeholder without its pixels.
    """
    shown = picture or (lambda _: {"type": "image"})
    turns: list[dict[str, Any]] = []
    if view.system:
        turns.append({"role": "system", "content": [{"type": "text", "text": view.system}]})
    for example in view.examples:
        turns.append({"role": "user", "content": [{"type": "text", "text": example.user}]})
        turns.append({"role": "assistant", "content": [{"type": "text", "text": example.assistant}]})
    parts = [{"type": "text", "text": part} if isinstance(part, str) else shown(part) for part in view.parts]
    return [*turns, {"role": "user", "content": parts}]


def _response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The field that holds a model to a JSON schema."""
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": dict(schema), "strict": True}}


def data_uri(picture: Picture, options: BodyOptions) -> str:
    """The picture as a ``data:`` URI."""
    pixels = cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2BGR)
    quality = {"jpeg": cv2.IMWRITE_JPEG_QUALITY, "webp": cv2.IMWRITE_WEBP_QUALITY}.get(options.image_format)
    flags = [] if quality is None else [quality, options.jpeg_quality]
    _, encoded = cv2.imencode(f".{options.image_format}", pixels, flags)
    return f"data:image/{options.image_format};base64,{base64.b64encode(encoded.tobytes()).decode()}"
