"""A caption without a single word, or with none that says anything of the object."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.vocabulary.names import spoken
from capgen.pipeline.checks.vocabulary.plain_form import plain, watch
from capgen.pipeline.confidence import FUNCTION_WORDS
from capgen.text import words

_LETTER_OR_DIGIT = re.compile(r"[^\W_]")
_IDLE = FUNCTION_WORDS | frozenset(
    """object objects item items thing things something anything stuff entity subject instance target region area part
    kind sort type piece image picture photo scene frame view video caption description answer text output yes ok okay
    present visible seen shown located placed center centre middle left right background foreground appears appear looks
    very nice good look looking somewhere anywhere here there simple single certain particular same main .
    unknown unidentified unidentifiable unspecified undefined indeterminate unrecognizable unnamed unclear generic
    random
    indistinct blurry blurred fuzzy vague faint various different similar small large big little tiny dark bright light
    shape shapes form figure blob spot patch section portion segment element elements entities matter content nothing
    larger bigger smaller whole colour color colours colors size sizes surroundings environment setting context
    features feature characteristics texture properties placed its their with in of
    everyday ordinary remarkable notable special typical common usual normal regular plain make about it itself
    none other another kind sorts kinds maybe perhaps possibly probably likely one two some""".split()  # noqa: SIM905
)
_TELLING = watch(lambda word: word not in _IDLE)


@dataclass(frozen=True, slots=True)
class Empty:
    """Drops what holds neither a letter nor a digit, and words that would do for any object: an item in a scene."""

    final: ClassVar[bool] = True

    def __call__(self, said: CheckedCaption) -> str | None:
        """Say so where there is nothing to judge."""
        if not said.caption[:1].isalpha():
            if not any(map(str.isalpha, said.caption)) and len(said.caption.split()) > 1:
                return f"no words, only numbers or marks: {said.caption.strip()[:60]!r}"
            if not _LETTER_OR_DIGIT.search(said.caption) and not words(said.caption):
                return f"no words (finish_reason {said.finish_reason!r})"
        if plain(said.caption).lists & _TELLING or not _IDLE.isdisjoint(spoken(said.category or "").split()):
            return None
        return f"says nothing of the object: {said.caption.strip()[:60]!r}"
