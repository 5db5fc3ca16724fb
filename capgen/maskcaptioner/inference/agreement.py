"""Whether a caption and a class speak of the same thing."""

from __future__ import annotations

import re
from collections.abc import Iterable

from capgen.text import normal

_REMARK = re.compile(r"\(.*?\)")


def named_instead(category: str | None, caption: str | None, classes: Iterable[str]) -> str | None:
    """The class that a caption names in place of the track's own, the longest name of several.

    None where the caption names its own class, too, or no class at all. Synonyms are not known here, so this marks what
    is worth a look, not what is wrong.
    """
    if not category or not caption:
        return None
    text = f" {normal(caption)} "
    named = [name for name in classes if f" {_plain(name)} " in text]
    if not named or _plain(category) in map(_plain, named):
        return None
    return max(named, key=lambda name: len(_plain(name)))


def _plain(name: str) -> str:
    """A class as captions write it: ``cup_(drinking)`` is a cup."""
    return normal(_REMARK.sub("", name).replace("_", " "))
