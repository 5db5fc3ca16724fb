"""The second pass over kept captions: the same said twice of one image or video is said once.

First form: exact. Candidates stay as they were committed; the outcomes are a function of them, written to
``OUT/dedup.parquet`` when the release is packed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from capgen.text import normal, tidy

REASON = "duplicate"


class Said(NamedTuple):
    """A kept caption: of which medium (dataset, split and id, in any form that is equal for equal media) and object."""

    medium: str
    key: str
    category: str | None
    caption: str


def duplicates(said: Iterable[Said]) -> dict[str, str]:
    """For every caption that repeats an earlier one of its medium and category: its key, and the key it repeats.

    Captions are compared in their normal form (``capgen.text.normal``); one without any word, as it stands.
    """
    first: dict[tuple[str, str | None, str], str] = {}
    repeated: dict[str, str] = {}
    for one in said:
        form = normal(one.caption) or tidy(one.caption)
        earlier = first.setdefault((one.medium, one.category, form), one.key)
        if earlier != one.key:
            repeated[one.key] = earlier
    return repeated


def message(earlier: str) -> str:
    """The outcome in a sentence."""
    return f"the same caption as {earlier}"
