"""Reads chat completions as servers really send them.

Every server that speaks this protocol has an accent: text as a string or as parts, finish reasons in its own words,
counts as floats, text or null, reasoning in a field of its own, an error with status 200. What is no caption and no
count of ours is ignored; one odd value never costs more than its own answer.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from capgen.pipeline.confidence import confidence
from capgen.pipeline.engines.base import EngineFault
from capgen.pipeline.engines.reasoning import USUAL, Markers, split_reasoning
from capgen.pipeline.engines.token_logprobs import of_completion
from capgen.pipeline.view import LARGEST_COUNT, Answer, normal_finish_reason
from capgen.redaction import LONGEST_MESSAGE

LONGEST_TEXT = 100_000
"""Characters of an answer; no caption has as many."""

_TOKEN = re.compile(r"capgen-[0-9a-f]{32}")
_REMEMBERED = 4096
_TEXT_PARTS = frozenset({"text", "output_text"})
_THINKING = ("reasoning_content", "reasoning", "thinking")

_LIMITS = (
    (
        r"context (?:length|window|size)|maximum (?:model|context|input) |max_model_len|too many tokens|"
        r"prompt is too long|input (?:is )?too long|exceed_context_size|num_ctx",
        "tokens of prompt and answer: lower render.clean_pixels, render.marked_pixels or the prompt's frames, or start "
        "the server with a longer context",
    ),
    (
        r"at most \d+ (?:image|picture)|too many images|number of images|image(?:s)? count|max(?:imum)? images",
        "pictures in one request: choose a prompt with fewer frames, or raise the server's limit",
    ),
    (
        r"(?:image|picture|pixel|dimension)[^.]{0,60}(?:too (?:large|big)|exceed|larger than|at most|maximum)|"
        r"(?:too (?:large|big)|exceeds?)[^.]{0,40}(?:image|pixel)",
        "the size of a picture: lower render.clean_pixels and render.marked_pixels",
    ),
    (
        r"(?:image|media|mime|format)[^.]{0,40}(?:unsupported|not supported|invalid|cannot identify|unknown)|"
        r"unsupported[^.]{0,30}(?:image|media|mime|format)",
        "the form of pictures: try engine.options.image_format jpeg, png or webp, or engine.options.image_url text",
    ),
    (
        r"(?:body|payload|request|entity)[^.]{0,40}(?:too large|exceed|limit|size)",
        "bytes of a request: lower render.clean_pixels or engine.options.jpeg_quality, or raise the server's limit",
    ),
    (
        r"max_(?:completion_)?tokens|max_new_tokens",
        "tokens of the answer: lower sampling.max_tokens, or set engine.options.token_limit",
    ),
    (
        r"does not support images|no vision|not (?:a )?multimodal|image input|image_url|vision",
        "pictures at all: the model of this server seems to take none",
    ),
    (
        r"extra_forbidden|(?:unknown|unrecognized|unsupported|unexpected) (?:name|field|parameter|argument|value)",
        "a field of the request, not a limit: engine.options.omit leaves out temperature, top_p or seed, "
        "model.template={} the template's arguments",
    ),
)


class _Message(msgspec.Struct):
    content: Any = None
    refusal: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    thinking: Any = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: Any = None
    logprobs: Any = None


class Completion(msgspec.Struct):
    """A chat completion; fields that no caption needs are left out.

    ``error``: what some gateways send with status 200 instead of choices. ``prompt_logprobs``: where they were asked
    for of vLLM's server: for each token of the prompt a table of token to its log-probability, rank and text.
    """

    choices: list[_Choice] | None = None
    id: Any = None
    usage: Any = None
    error: Any = None
    prompt_logprobs: Any = None

    @property
    def identity(self) -> str | None:
        """The server's name for this answer; numbers count as names."""
        return str(self.id)[:200] if isinstance(self.id, str | int) and self.id != "" else None

    @property
    def failed(self) -> bool:
        """Whether this is an error in a completion's clothes."""
        return bool(self.error) and not self.choices

    def answer(self, markers: Markers = USUAL) -> Answer:
        """The first choice with the server's counts; a refusal in its own field has the finish reason ``refusal``.

        Args:
            markers: what begins and ends reasoning inside the text, which is no part of the caption.

        Raises:
            EngineFault: there is no choice, its content is no text, or it is longer than any caption.
        """
        if not self.choices:
            raise EngineFault("the answer holds no choice")
        said = self.choices[0].message
        reason = normal_finish_reason(self.choices[0].finish_reason)
        text = _text(said.content)
        if text is None and isinstance(said.refusal, str) and said.refusal:
            text, reason = said.refusal, "refusal"
        whole = text or ""
        text, _ = split_reasoning(whole, markers)
        if len(text) > LONGEST_TEXT:
            raise EngineFault(f"the answer has {len(text):,} characters, more than any caption")
        sure = confidence(of_completion(self.choices[0].logprobs), whole, text)
        return Answer(
            text=text.encode("utf-8", "replace").decode(),
            finish_reason=reason,
            prompt_tokens=self.tokens("prompt_tokens"),
            cached_tokens=self.tokens("cached_tokens"),
            output_tokens=self.tokens("completion_tokens"),
            logprob_min=sure.least if sure else None,
            logprob_mean=sure.mean if sure else None,
        )

    def tokens(self, name: str) -> int:
        """A count of the server's: ``prompt_tokens``, ``cached_tokens`` or ``completion_tokens``; 0 is not known."""
        usage = self.usage if isinstance(self.usage, Mapping) else {}
        details = usage.get("prompt_tokens_details")
        if name == "cached_tokens" and isinstance(details, Mapping):
            usage = details
        return count(usage.get(name))

    @property
    def reasons(self) -> bool:
        """Whether the first choice holds reasoning, in a field, a part or the text."""
        if not self.choices:
            return False
        said = self.choices[0].message
        parts = said.content if isinstance(said.content, list) else ()
        return (
            any(isinstance(value := getattr(said, name), str) and value.strip() for name in _THINKING)
            or any(isinstance(part, Mapping) and part.get("type") in {"thinking", "reasoning"} for part in parts)
            or bool(split_reasoning(_text(said.content) or "")[1])
        )


@dataclass(slots=True)
class AnswerIds:
    """Tells whether an answer is the one to its request, as far as servers let it be seen."""

    _seen: deque[bytes] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def check(
        self, token: str, headers: Mapping[str, str], completion: Completion, data: bytes, *, repeated: bool
    ) -> None:
        """Look at an answer.

        Args:
            token: the request's own, which some servers repeat.
            repeated: whether an answer may come again, id and all.

        Raises:
            EngineFault: it names another request, or repeats another answer.
        """
        identity = completion.identity
        named = _TOKEN.findall(f"{headers.get('x-request-id', '')} {identity or ''}")
        if any(name != token for name in named):
            raise EngineFault("answered with another request's answer")
        if repeated or not identity:
            return
        digest = hashlib.blake2b(data, digest_size=16).digest()
        if digest in self._seen:
            raise EngineFault(
                f"gave the answer {identity!r} twice; engine.options.check_ids=false is for servers that call all "
                "their answers alike"
            )
        self._seen.append(digest)


def read_completion(data: bytes | msgspec.Raw) -> Completion:
    """A chat completion's JSON.

    Raises:
        EngineFault: it is none.
    """
    try:
        return msgspec.json.decode(data, type=Completion)
    except RecursionError:
        raise EngineFault("the answer is no chat completion: its JSON is nested too deeply") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return _lenient(bytes(data), error)


def _lenient(data: bytes, error: Exception) -> Completion:
    """What Python's own parser makes of it, which takes NaN, Infinity and lone surrogates."""
    try:
        return msgspec.convert(json.loads(data), type=Completion)
    except (ValueError, RecursionError, msgspec.MsgspecError):
        raise EngineFault(f"the answer is no chat completion: {error}") from None


def count(value: Any) -> int:
    """A server's number of tokens; 0, not known, for what is no believable count."""
    if isinstance(value, str):
        value = _number(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return int(value) if 0 <= value <= LARGEST_COUNT else 0


def error_text(body: bytes | Mapping[str, Any]) -> tuple[str, str]:
    """The sentence and the code of an error's JSON; of anything else its beginning, and no code.

    The sentence is somebody else's text of any length: ``redaction.message`` makes it fit to be shown.
    """
    found: Any = body
    if isinstance(body, bytes):
        try:
            found = msgspec.json.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return body[: 8 * LONGEST_MESSAGE].decode(errors="replace").strip(), ""
    if isinstance(found, list) and found:
        found = found[0]
    inner = found.get("error", found) if isinstance(found, Mapping) else found
    if not isinstance(inner, Mapping):
        return _flat(inner), ""
    told = next((inner[name] for name in ("message", "detail", "error", "msg") if inner.get(name)), inner)
    return _flat(told), str(inner.get("code") or inner.get("status") or "")[:80]


def named_limit(status: int, sentence: str) -> str:
    """What a refusal is about, with the remedy; empty where the sentence names nothing that is known.

    Args:
        status: of HTTP; 413 is about bytes even without a word.
        sentence: the server's.
    """
    for pattern, remedy in _LIMITS:
        if re.search(pattern, sentence, re.IGNORECASE):
            return (
                f"the limit is on {remedy}" if not remedy.startswith(("the form", "pictures at", "a field")) else remedy
            )
    return f"the limit is on {_LIMITS[4][1]}" if status == 413 else ""


def _flat(value: Any) -> str:
    """A sentence; what is a table or a list is written as JSON."""
    if isinstance(value, str):
        return value.strip()
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return type(value).__name__


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _text(content: Any) -> str | None:
    """The text of a message, without parts that are reasoning.

    Raises:
        EngineFault: it is none.
    """
    if content is None or isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        content = [content]
    if not isinstance(content, list):
        raise EngineFault(f"the answer is no chat completion: its content is a {type(content).__name__}")
    return "".join(_part(part) for part in content)


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping) or part.get("type", "text") not in _TEXT_PARTS:
        return ""
    text = part.get("text")
    if isinstance(text, Mapping):
        text = text.get("value")
    return text if isinstance(text, str) else ""
