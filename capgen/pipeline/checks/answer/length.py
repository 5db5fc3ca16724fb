"""A caption too short to describe anything, or too long to be one sentence about one object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.vocabulary.units import word_count


@dataclass(frozen=True, slots=True)
class Length:
    """Drops captions that are too short or too long.

    The paper's captions have 13.9 words on average (arXiv 2510.14904); "a red ball" is the shortest kept by default.

    Args:
        min_words, max_words: the least and the most words of a caption.
        max_characters: the most characters.
    """

    min_words: int = 3
    max_words: int = 60
    max_characters: int = 1000

    final: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 <= self.min_words <= self.max_words:
            raise ValueError(f"min_words {self.min_words} and max_words {self.max_words} leave no length to keep")

    def __call__(self, said: CheckedCaption) -> str | None:
        """Give the length and the limit it breaks."""
        if len(said.caption) > self.max_characters:
            return f"{len(said.caption)} characters, more than {self.max_characters}"
        count = word_count(said.caption)
        if count < self.min_words:
            return f"{count} words, fewer than {self.min_words}"
        return f"{count} words, more than {self.max_words}" if count > self.max_words else None
