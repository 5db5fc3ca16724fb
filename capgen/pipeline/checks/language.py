"""A caption in another language than English, or one that changes to another language on the way."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.vocabulary.foreign_words import FOREIGN, foreign_stretch
from capgen.pipeline.checks.vocabulary.quotations import without_quotations
from capgen.pipeline.checks.vocabulary.scripts import foreign_runs, letters

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*|[,.;:()\u2014]")
_ACCENTED_WORDS = 0.34


@dataclass(frozen=True, slots=True)
class Language:
    """Drops captions that are not English, or not to their end.

    Signs, quotations, names, Greek letters and loan words (crème brûlée) stay.

    Args:
        scripts: whether letters of other scripts than Latin are looked at.
        function_words: how many more function words of another language than English ones a stretch may have; one
            more drops the caption.
    """

    scripts: bool = True
    function_words: int = 2

    final: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.function_words < 1:
            raise ValueError("function_words must be at least 1")

    def __call__(self, said: CheckedCaption) -> str | None:
        """Quote what is not English."""
        ascii_only = said.caption.isascii()
        if ascii_only and len(FOREIGN.intersection(said.caption.lower().split())) < 2:
            return None
        caption = without_quotations(said.caption)
        if not ascii_only and self.scripts:
            run = next(foreign_runs(caption), None)
            if run is None and letters(said.caption) > len(said.caption) / 2:
                run = said.caption  # all of it in quotation marks
            if run is not None:
                return f"is not English: {run[:40]!r}"
        return self._other_words(caption)

    def _other_words(self, caption: str) -> str | None:
        spoken = _without_names(caption)
        found = foreign_stretch(spoken, self.function_words + 1)
        if found is None and not {"a", "the", "of", "with", "in", "and", "is", "on"} & set(spoken):
            found = foreign_stretch(spoken, 2)
        if found is not None:
            return f"is not English but {found[0]}: {found[1][:60]!r}"
        accented = sum(not word.isascii() for word in spoken)
        if accented > 2 and accented > _ACCENTED_WORDS * len(spoken):
            return f"is not English: {accented} of {len(spoken)} words have accents"
        return None


def _without_names(caption: str) -> list[str]:
    """The words in lower case, without the little words inside a name: the ``de la`` of Museo de la Ciudad."""
    tokens = _WORD.findall(caption)
    kept: list[str] = []
    for position, token in enumerate(tokens):
        before = tokens[position - 2 : position] if position > 1 else tokens[:position]
        after = tokens[position + 1 : position + 3]
        in_name = any(t[0].isupper() for t in before[-2:] if position > 1) and any(t[0].isupper() for t in after)
        if token[0].isalpha() and not (token.islower() and in_name):
            kept.append(token.lower())
    return kept
