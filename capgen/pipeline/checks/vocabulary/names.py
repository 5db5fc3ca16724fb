"""The names of an object as a caption would write them, and a pattern that finds them in plain text."""

from __future__ import annotations

import re
from functools import lru_cache

_ASIDE = re.compile(r"[_ ]?\([^()]{0,80}\)")
_PARTING = re.compile(r"[_\W]+")
_MANY = 4096  # categories of LVIS and LV-VIS together, with room


def spoken(name: str) -> str:
    """A category's name in words: ``glass_(drink_container)`` is "glass"."""
    return _PARTING.sub(" ", _ASIDE.sub(" ", name)).strip().lower()


@lru_cache(maxsize=_MANY)
def names_pattern(category: str | None, synonyms: tuple[str, ...]) -> re.Pattern[str] | None:
    """A pattern for the object's names in plain text, singular or plural; None where it has no name."""
    names = sorted({said for name in (category or "", *synonyms) if len(said := spoken(name)) > 1}, key=len)
    if not names:
        return None
    # a name from a stranger may be long: more of it than any name has is not looked for
    alternatives = "|".join(re.escape(name[:60]) for name in reversed(names[:40]))
    return re.compile(f" (?:{alternatives})(?:s|es)?(?='?s? )")
