"""A stretch of a shipped prompt's own words in a caption: the model has repeated what it was told."""

from __future__ import annotations

import tomllib
from functools import cache

from capgen.pipeline.checks.vocabulary.plain_form import plain, watch
from capgen.resources import resource_dir
from capgen.text import words

_WORDS = 6  # in a row; no caption says as many of a prompt's words by chance
# Words of prompts that captions say too: a stretch has to have another one.
_USUAL = frozenset(
    """around background corner each first frame frames green inside kind label looks marked number object others
    picture several shown that them they time together what where moves order""".split()  # noqa: SIM905
)


@cache
def _told() -> tuple[frozenset[str], frozenset[str], frozenset[tuple[str, ...]]]:
    """Words of which each stretch has one, all their words, and the stretches of the prompts' fixed texts."""
    stretches: set[tuple[str, ...]] = set()
    for file in resource_dir("prompts").glob("*.toml"):
        table = tomllib.loads(file.read_text("utf-8"))
        for text in (table.get("system", ""), table.get("before", "")):
            said = words(text)
            stretches.update(tuple(said[i : i + _WORDS]) for i in range(len(said) - _WORDS + 1))
    stretches = {one for one in stretches if any(len(word) > 4 and word not in _USUAL for word in one)}
    telltale = frozenset(max((word for word in one if word not in _USUAL), key=len) for one in stretches)
    return telltale, frozenset(word for one in stretches for word in one), frozenset(stretches)


PROMPT_WORDS = watch(lambda word: word in _told()[0])
"""The bit of the words of which each stretch has one."""


def repeated(caption: str) -> str | None:
    """The first stretch of a prompt that a caption repeats; None where there is none."""
    heard = plain(caption)
    if not heard.lists & PROMPT_WORDS:
        return None
    _, known, stretches = _told()
    if len(known & heard.words) < _WORDS - 2:  # a stretch may say a word twice
        return None
    said = words(caption)
    for start in range(len(said) - _WORDS + 1):
        if (stretch := tuple(said[start : start + _WORDS])) in stretches:
            return " ".join(stretch)
    return None
