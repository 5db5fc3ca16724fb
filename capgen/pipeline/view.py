"""What flows from rendering to the engines and back: ``View`` (one request), ``Answer`` and ``Settled``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

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


@dataclass(frozen=True, slots=True)
class Turn:
    """A few-shot example: what a user might ask, and the caption to learn from."""

    user: str
    assistant: str


@dataclass(frozen=True, slots=True)
class View:
    """One object as the model sees it: the system text, examples, and the parts of the user's message in order."""

    key: str
    system: str
    examples: tuple[Turn, ...]
    parts: tuple[Part, ...]
    category: str | None
    marked_frames: tuple[int, ...] = field(default=())

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """The pictures of the user's message, in order."""
        return tuple(part for part in self.parts if isinstance(part, Picture))


@dataclass(frozen=True, slots=True)
class Answer:
    """What an engine said. Only ``finish_reason == "stop"`` is a caption."""

    text: str
    finish_reason: str
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0


class Settled(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a request when it needs no more asking: an answer, or the fault that ended it.

    This is what a journal line holds; everything else of a row can be computed again.
    """

    key: str
    request: str
    text: str = ""
    finish_reason: str = ""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    attempts: int = 1
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
    return digest.hexdigest()
