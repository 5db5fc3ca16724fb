"""A caption without a single word."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from capgen.pipeline.checks.base import CheckedCaption
from capgen.text import words

_LETTER_OR_DIGIT = re.compile(r"[^\W_]")


@dataclass(frozen=True, slots=True)
class Empty:
    """Drops what holds neither a letter nor a digit."""

    final: ClassVar[bool] = True

    def __call__(self, said: CheckedCaption) -> str | None:
        """Say so where there is nothing to judge."""
        if _LETTER_OR_DIGIT.search(said.caption) or words(said.caption):
            return None
        return f"no words (finish_reason {said.finish_reason!r})"
