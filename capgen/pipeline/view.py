"""What flows from rendering to the engines and back: ``View`` (one request) and ``Answer``."""

from __future__ import annotations

from dataclasses import dataclass, field

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
