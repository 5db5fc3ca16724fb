"""A caption without a single word, or with none that says anything of the object."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.vocabulary.names import spoken
from capgen.pipeline.checks.vocabulary.phrases import plain
from capgen.pipeline.confidence import FUNCTION_WORDS
from capgen.text import words

_LETTER_OR_DIGIT = re.compile(r"[^\W_]")
_IDLE = FUNCTION_WORDS | frozenset(
    """object objects item items thing things something anything stuff entity subject instance target region area part
    kind sort type piece image picture photo scene frame view video caption description answer text output yes ok okay
    present visible seen shown located placed center centre middle left right background foreground appears appear looks
    simple single certain particular same main .""".split()  # noqa: SIM905
)


@dataclass(frozen=True, slots=True)
class Empty:
    """Drops what holds neither a letter nor a digit, and words that would do for any object: an item in a scene."""

    final: ClassVar[bool] = True

    def __call__(self, said: CheckedCaption) -> str | None:
        """Say so where there is nothing to judge."""
        if not _LETTER_OR_DIGIT.search(said.caption) and not words(said.caption):
            return f"no words (finish_reason {said.finish_reason!r})"
        if not _IDLE.issuperset(plain(said.caption).words) or not _IDLE.isdisjoint(spoken(said.category or "").split()):
            return None
        return f"says nothing of the object: {said.caption.strip()[:60]!r}"
