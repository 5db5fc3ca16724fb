"""A stretch of a shipped prompt's own words in a caption: the model has repeated what it was told."""

from __future__ import annotations

import tomllib
from functools import cache

from capgen.resources import resource_dir
from capgen.text import words

_WORDS = 6  # in a row; no caption says as many of a prompt's words by chance


@cache
def _told() -> tuple[frozenset[str], frozenset[tuple[str, ...]]]:
    """Each stretch of six words in a row of the prompts' fixed texts; and words of which each of them has one."""
    stretches: set[tuple[str, ...]] = set()
    for file in resource_dir("prompts").glob("*.toml"):
        table = tomllib.loads(file.read_text("utf-8"))
        for text in (table.get("system", ""), table.get("before", "")):
            said = words(text)
            stretches.update(tuple(said[i : i + _WORDS]) for i in range(len(said) - _WORDS + 1))
    return frozenset(max(one, key=len) for one in stretches), frozenset(stretches)


def repeated(caption: str, present: frozenset[str]) -> str | None:
    """The first stretch of a prompt that a caption repeats; None where there is none.

    Args:
        present: the words of the caption in lower case.
    """
    telltale, stretches = _told()
    if telltale.isdisjoint(present):
        return None
    said = words(caption)
    for start in range(len(said) - _WORDS + 1):
        if (stretch := tuple(said[start : start + _WORDS])) in stretches:
            return " ".join(stretch)
    return None
