"""What a caption forbids: words that a mirrored, scaled or cropped picture would make false.

The rule is to mirror a picture only where its captions can be mirrored with it, word for word; where a word could
mean two things, the picture stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_SWAPS = {
    "left": "right",
    "right": "left",
    "leftward": "rightward",
    "rightward": "leftward",
    "leftwards": "rightwards",
    "rightwards": "leftwards",
    "leftmost": "rightmost",
    "rightmost": "leftmost",
    "clockwise": "counterclockwise",
    "counterclockwise": "clockwise",
    "counter-clockwise": "clockwise",
    "anticlockwise": "clockwise",
    "anti-clockwise": "clockwise",
}
_SWAP = re.compile(rf"(?<![\w-])({'|'.join(sorted(_SWAPS, key=len, reverse=True))})(?![\w-])", re.IGNORECASE)
_NOT_A_SIDE = re.compile(
    r"\b(?:right (?:next|behind|above|below|beside|beneath|in|at|on(?! the)|under|before|after|now|up|there|angles?)"
    r"|(?:has|have|had|is|are|was|been) left(?! of)|left (?:behind|over|out|alone|in|on(?! the)|unattended|open|by)"
    r"|all right|upright)\b",
    re.IGNORECASE,
)
_MIRRORED = re.compile(
    r"""["“”]|\b(?:text|letters?|letterings?|words?|reads?|reading|says|saying|written|writing|numbers?|numbered|digits?
    |numerals?|labell?ed|sign|signs|logo|logos|initials?|east\w*|west\w*|o'?\s?clock
    |left-handed|right-handed|left-hand|right-hand|port\s+side|starboard)\b|(?<!\w)\d+(?!\w)""",
    re.IGNORECASE | re.VERBOSE,
)
_SIZE = re.compile(
    r"\b(?:small\w*|tiny|little|large\w*|big|bigger|biggest|huge|medium(?:-sized)?|mid-sized|miniature|enormous)\b",
    re.IGNORECASE,
)
_PLACE = re.compile(
    r"\b(?:corner|edge|side|half|part|centre|center|middle|top|bottom|foreground|background)\s+of\s+the\s+"
    r"(?:picture|image|frame|scene|photo|photograph|view|shot|screen|video)\b"
    r"|\bin\s+the\s+(?:foreground|background|(?:upper|lower|top|bottom)[\s-](?:left|right)(?:\s+corner)?)\b",
    re.IGNORECASE,
)


def mirrored(caption: str) -> str | None:
    """The caption of the mirrored picture; None where no such caption can be made for certain.

    ``moving left`` becomes ``moving right`` and ``clockwise`` ``counterclockwise``; text, numbers and the points of
    the compass do not survive a mirror, and ``right behind`` says no side.
    """
    if _MIRRORED.search(caption) or _NOT_A_SIDE.search(caption):
        return None
    swapped = _SWAP.sub(_other, caption)
    rest = _SWAP.sub("", caption)
    return None if re.search(r"\b(?:left|right|clockwise|counter-?clockwise)", rest, re.IGNORECASE) else swapped


def _other(found: re.Match[str]) -> str:
    word = found[0]
    other = _SWAPS[word.lower()]
    if word.isupper() and len(word) > 1:
        return other.upper()
    return other.capitalize() if word[0].isupper() else other


def can_mirror(captions: Iterable[str]) -> bool:
    """Whether every caption of a clip has a mirrored form."""
    return all(mirrored(caption) is not None for caption in captions)


def names_size(captions: Iterable[str]) -> bool:
    """Whether a caption says how large something is."""
    return any(_SIZE.search(caption) for caption in captions)


def names_place(captions: Iterable[str]) -> bool:
    """Whether a caption says where in the picture something is, which a crop would change."""
    return any(_PLACE.search(caption) for caption in captions)
