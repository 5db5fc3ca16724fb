"""What flows from rendering to the engines and back: ``View`` (one request), ``Answer`` and ``Settled``."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Picture:
    """RGB pixels, uint8 [H, W, 3], and a digest of them that engines may use as the picture's identity.

    Two pictures share a digest only if their pixels and the render version are equal: an engine reuses the work
    done for the first one.
    """

    pixels: NDArray[np.uint8] = field(compare=False)
    digest: str


Part = str | Picture

LARGEST_COUNT = 2**31 - 1
"""The largest number of tokens that a row can hold."""

Count = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_COUNT)]
LogProbability = Annotated[float, msgspec.Meta(le=0)]


@dataclass(frozen=True, slots=True)
class Turn:
    """A few-shot example: what a user might ask, and the caption to learn from."""

    user: str
    assistant: str


@dataclass(frozen=True, slots=True)
class Numbered:
    """An object's place in a request that is about several objects.

    Args:
        number: from 1, as the mark on the pictures and the answer name it.
        count: objects in the request.
        first: the key of the first of them, by which the engine knows the request.
    """

    number: int
    count: int
    first: str


@dataclass(frozen=True, slots=True)
class View:
    """One object as the model sees it: the system text, examples, and the parts of the user's message in order.

    Args:
        numbered: None where the request is about this object alone. Else the views of all objects of the request have
            the same parts, and the answer is a JSON object with a caption for each number.
        schema: JSON schema of the answer. The engines ``vllm``, ``openai`` and ``batchfile`` hold the model to it,
            ``transformers`` cannot; None leaves the answer free.
        seed, temperature: of this request's sampling; None is the sampling settings' own.
        step: which of the object's further requests this is; empty for its first.
    """

    key: str
    system: str
    examples: tuple[Turn, ...]
    parts: tuple[Part, ...]
    category: str | None
    marked_frames: tuple[int, ...] = field(default=())
    schema: Mapping[str, Any] | None = field(default=None, kw_only=True)
    seed: int | None = field(default=None, kw_only=True)
    temperature: float | None = field(default=None, kw_only=True)
    step: str = field(default="", kw_only=True)
    numbered: Numbered | None = field(default=None, kw_only=True)

    @property
    def captions(self) -> int:
        """How many captions the answer holds; ``sampling.max_tokens`` is the limit of each."""
        return self.numbered.count if self.numbered else 1

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The pictures of the user's message, in order."""
        return tuple(part for part in self.parts if isinstance(part, Picture))

    def with_system_in_user(self) -> View:
        """The same request without a system message: its text opens the first message of the user."""
        if not self.system:
            return self
        if self.examples:
            first, *others = self.examples
            told = replace(first, user=f"{self.system}\n{first.user}")
            return replace(self, system="", examples=(told, *others))
        head, *rest = self.parts or ("",)
        opening: tuple[Part, ...] = (f"{self.system}\n{head}",) if isinstance(head, str) else (self.system, head)
        return replace(self, system="", parts=(*opening, *rest))


class TokenCounter(Protocol):
    """Counts tokens of prompts, and writes what the model's chat template makes of them."""

    @property
    def how(self) -> str:
        """How it counts, as a sentence."""
        ...

    def prompt(self, view: View) -> int:
        """Tokens of a whole prompt."""
        ...

    def beginning(self, view: View, parts: int) -> int:
        """Tokens of a prompt up to the end of its first ``parts`` parts."""
        ...

    def text(self, view: View) -> str | None:
        """The prompt as the model's chat template writes it; None where that is not here."""
        ...


_STOPPED = frozenset(
    {
        "stop",
        "eos",
        "eos_token",
        "eos_token_id",
        "end_turn",
        "stop_sequence",
        "stop_token",
        "stop_word",
        "completed",
        "complete",
        "end_of_text",
    }
)
_TOO_LONG = frozenset(
    {"length", "max_tokens", "max_output_tokens", "max_length", "max_new_tokens", "model_length", "token_limit"}
)


def normal_finish_reason(given: object) -> str:
    """Why a model stopped, in the words of the chat-completions format, whatever the server's dialect and case.

    Returns:
        ``stop`` where the model ended its answer itself, ``length`` where a limit cut it off, ``none`` where the
        server gives no reason, otherwise the server's own word in lower case, at most 80 characters.
    """
    if given == "stop":  # nearly always
        return "stop"
    if given is None or given == "":
        return "none"
    reason = str(given).strip().lower().removeprefix("finishreason.").removeprefix("finish_reason_")
    reason = reason.replace("-", "_").replace(" ", "_")[:80]
    if reason in _STOPPED:
        return "stop"
    return "length" if reason in _TOO_LONG else reason


@dataclass(frozen=True, slots=True)
class Answer:
    """What an engine said. Only a ``finish_reason`` that ``normal_finish_reason`` makes ``stop`` ends a caption.

    A number of tokens that no row can hold is not known: 0. ``logprob_min`` and ``logprob_mean``: the natural logarithm
    of the probability of the content word that was least probable, and the mean over content words (see
    ``confidence``); None where the engine does not tell. ``tokens``: the text and the log-probability of each token of
    an answer that holds several captions, where the engine tells. ``invented``: see ``Settled``.
    """

    text: str
    finish_reason: str
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    logprob_min: float | None = None
    logprob_mean: float | None = None
    tokens: tuple[tuple[str, float], ...] = field(default=(), repr=False)
    invented: int = 0

    def __post_init__(self) -> None:
        for name in ("logprob_min", "logprob_mean"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value <= 0):
                object.__setattr__(self, name, None)
        for name in ("prompt_tokens", "cached_tokens", "output_tokens"):
            if not 0 <= getattr(self, name) <= LARGEST_COUNT:
                object.__setattr__(self, name, 0)


class Settled(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a request when it needs no more asking: an answer, or the fault that ended it.

    This is what a journal line holds; everything else of a row can be computed again. ``step`` and ``told`` are those
    of a further request: which it was, and what it said beside the prompt. ``invented``: numbers that an answer about
    several objects gives captions to and that no object has; it stands with the object of number 1. A line with a
    number that no row can hold is not decoded: its request counts as never asked.
    """

    key: str
    request: str
    step: str = ""
    told: str | None = None
    text: str = ""
    finish_reason: str = ""
    prompt_tokens: Count = 0
    cached_tokens: Count = 0
    output_tokens: Count = 0
    logprob_min: LogProbability | None = None
    logprob_mean: LogProbability | None = None
    invented: Count = 0
    attempts: Count = 1
    fault: str | None = None
    message: str | None = None


def request_digest(view: View, salt: str) -> str:
    """sha256 of everything that decides the answer: the prompt's parts, and ``salt`` (model and sampling)."""
    digest = hashlib.sha256(salt.encode())
    for turn in view.examples:
        digest.update(f"\0{turn.user}\0{turn.assistant}".encode())
    digest.update(f"\0{view.system}".encode())
    for part in view.parts:
        digest.update(b"\0" + (part.encode() if isinstance(part, str) else part.digest.encode()))
    if view.schema is not None or view.seed is not None:
        digest.update(f"\0{json.dumps(view.schema, sort_keys=True)}\0{view.seed}".encode())
    if view.temperature is not None:
        digest.update(f"\0{view.temperature}".encode())
    return digest.hexdigest()
