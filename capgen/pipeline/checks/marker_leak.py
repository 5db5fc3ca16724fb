"""A caption that gives away how the object was shown to the model: the box, the outline, the close-up, the order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.shown import outlines, overlays, views
from capgen.pipeline.checks.shown.marked_name import MARKED_WORDS, marked_name
from capgen.pipeline.checks.vocabulary import phrases
from capgen.pipeline.checks.vocabulary.markers import FAMILIES
from capgen.pipeline.checks.vocabulary.plain_form import plain
from capgen.pipeline.checks.vocabulary.quotations import without_readings
from capgen.pipeline.checks.wording.net import TRIGGERS, talk

_BOOK = phrases.PhraseBook(outlines.PHRASES + overlays.PHRASES + views.PHRASES, FAMILIES)
_TELLING = _BOOK.telltale | MARKED_WORDS | TRIGGERS
# Numbered pictures and regions: searched in the caption as it is, with a bounded repeat.
_DIGIT = re.compile(r"\d")
_NUMBERED = re.compile(
    r"\b(?:image|picture|frame|photo|view|region|object|instance|mask|bbox|segment|subject)s?\s?(?:number\s)?#?\d{1,3}\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class MarkerLeak:
    """Drops captions that speak of the mark, the close-up or the order of the pictures.

    Honest boxes, masks and frames stay: those that the category names, that the caption introduced before, or that are
    part of what is printed or painted.

    Args:
        weights: whether a caption is also weighed as a whole, for ways to speak of marks that no phrase knows.
    """

    weights: bool = True

    final: ClassVar[bool] = False

    def __call__(self, said: CheckedCaption) -> str | None:
        """Quote the leak."""
        heard = plain(said.caption)
        if heard.sentence and not heard.lists & _TELLING:  # most captions
            return None
        found = _BOOK.first(said) or marked_name(said)
        if found is None and _DIGIT.search(said.caption) is not None:
            numbered = _NUMBERED.search(without_readings(said.caption))
            found = numbered.group().strip() if numbered else None
        if found is None and self.weights and (likely := talk(said)) is not None and likely.leaks:
            return f"reads like talk of how the object was shown: {likely.words!r}"
        return None if found is None else f"speaks of how the object was shown: {found!r}"
