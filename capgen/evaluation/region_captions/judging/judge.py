"""What is asked of a judge, and what it must be able to do: whoever runs the evaluation brings one.

The evaluation knows no engine. ``capgen.cli`` makes a judge of any engine of the pipeline.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from capgen.evaluation.region_captions.judging.forms import AnswerForm
from capgen.images import Pixels


@dataclass(frozen=True, slots=True)
class JudgeQuestion:
    """One question about one caption.

    Args:
        key: unique in its benchmark.
        variables: what the prompt may name; ``caption`` always.
        form: of the answer.
        pictures: makes the user message's pictures, with texts between them, when they are needed.
    """

    key: str
    variables: Mapping[str, Any]
    form: AnswerForm
    pictures: Callable[[], tuple[str | Pixels, ...]] | None = None


@dataclass(frozen=True, slots=True)
class JudgeRequest:
    """A question as a judge gets it.

    Args:
        parts: the user's message, texts and pictures (RGB, uint8 [H, W, 3]) in order.
        schema: JSON schema of the answer; None leaves it free.
        repetition: which of the repeated judgements this is, from 0; a judge that samples draws anew for each.
    """

    key: str
    system: str
    parts: tuple[str | Pixels, ...]
    schema: Mapping[str, Any] | None
    repetition: int

    def digest(self) -> str:
        """sha256 of everything that decides the answer of one judge; the key decides nothing."""
        digest = hashlib.sha256(json.dumps([self.system, self.schema, self.repetition], sort_keys=True).encode())
        for part in self.parts:
            digest.update(b"\0" + (part.encode() if isinstance(part, str) else picture_digest(part).encode()))
        return digest.hexdigest()


def picture_digest(pixels: Pixels) -> str:
    """What stands for a picture: sha256 of its size and pixels."""
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class JudgeReply:
    """What a judge said, or the fault for which it said nothing."""

    text: str = ""
    finish_reason: str = ""
    prompt_tokens: int = 0
    output_tokens: int = 0
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class JudgeIdentity:
    """Who judged.

    Args:
        model: as the engine calls it.
        engine: its name.
        settings: all else that decides answers: revision, temperature, servers, options.
    """

    model: str
    engine: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def digest(self) -> str:
        """A name for the file of its answers."""
        whole = json.dumps([self.model, self.engine, self.settings], sort_keys=True, default=str)
        return hashlib.sha256(whole.encode()).hexdigest()[:16]


class Judge(Protocol):
    """Answers requests, many at once."""

    @property
    def identity(self) -> JudgeIdentity:
        """Who it is."""
        ...

    def ask(self, requests: Iterable[JudgeRequest], take: Callable[[JudgeRequest, JudgeReply], None]) -> None:
        """Ask all and hand over each reply the moment it comes, in whatever order.

        Raises:
            UserError: no request can be answered until the user has changed something.
        """
        ...
