"""Text that a caption quotes because it stands on a sign, a shirt or a screen: it says nothing about the caption."""

from __future__ import annotations

import re
from functools import lru_cache

CUES: frozenset[str] = frozenset(
    {
        "read",
        "reads",
        "reading",
        "say",
        "says",
        "saying",
        "text",
        "texts",
        "word",
        "words",
        "written",
        "writing",
        "printed",
        "print",
        "lettering",
        "lettered",
        "letter",
        "letters",
        "label",
        "labels",
        "labeled",
        "labelled",
        "message",
        "messages",
        "titled",
        "title",
        "named",
        "name",
        "names",
        "slogan",
        "slogans",
        "phrase",
        "phrases",
        "inscribed",
        "inscription",
        "logo",
        "brand",
        "embroidered",
        "stamped",
        "engraved",
        "painted",
        "plaque",
        "characters",
        "character",
        "kanji",
        "marked",
        "numbered",
        "called",
        "sign",
        "signs",
        "poster",
        "badge",
        "sticker",
        "banner",
        "script",
        "type",
        "typeface",
        "font",
        "capitals",
        "spelling",
        "spells",
        "bearing",
        "headline",
    }
)
"""Words that announce a reading: the sign *reads* …, with the *words* …, … is *written* on it."""

_BEFORE, _AFTER = 6, 4  # words around a quotation among which a cue makes it a reading
_WINDOW = 80  # characters that are looked at for them
_STRUCTURE = ("{", "[", "(")  # of JSON and the like, whose quotation marks are no readings
_FEW = 2  # blanks of a quotation that needs no cue: a word or two may be emphasised
_LABEL = 30  # characters in which a label ends: Final caption: "A dog"
_SHARE = 0.6  # of a caption; a longer quotation is the caption itself
_LONGEST = 200
_QUOTATION = re.compile(
    rf'"[^"\n]{{1,{_LONGEST}}}"|\u201c[^\u201c\u201d]{{1,{_LONGEST}}}\u201d|\u00ab[^\u00bb]{{1,{_LONGEST}}}\u00bb'
    rf"|\u300c[^\u300d]{{1,{_LONGEST}}}\u300d|\u300e[^\u300f]{{1,{_LONGEST}}}\u300f"
    rf"|\u2018(?:[^\u2018\u2019]|(?<=\w)\u2019(?=\w)){{1,{_LONGEST}}}\u2019(?!\w)"
    rf"|(?<!\w)'(?:[^'\n]|(?<=\w)'(?=\w)){{1,{_LONGEST}}}'(?!\w)"
)
_MARKS = re.compile("[\"\u201c\u00ab\u300c\u300e\u2018]|(?<!\\w)'")
_WORD = re.compile(r"\w+")


# Several checks of one caption ask for it, one after the other.
@lru_cache(maxsize=4)
def without_readings(caption: str) -> str:
    """The caption with each quoted reading replaced by the word ``quotation``; other quotations stay as they are."""
    if not _has_marks(caption) or caption.lstrip()[:1] in _STRUCTURE:
        return caption
    return _QUOTATION.sub(_replaced, caption)


def without_quotations(caption: str) -> str:
    """The caption with everything that stands between quotation marks replaced by the word ``quotation``."""
    return _QUOTATION.sub(" quotation ", caption) if _has_marks(caption) else caption


def _has_marks(caption: str) -> bool:
    if caption.isascii() and '"' not in caption and "'" not in caption:
        return False  # most captions: asking for that is quicker
    return _MARKS.search(caption) is not None


def _replaced(match: re.Match[str]) -> str:
    text = match.string
    before = _WORD.findall(text[max(0, match.start() - _WINDOW) : match.start()].lower())[-_BEFORE:]
    after = _WORD.findall(text[match.end() : match.end() + _WINDOW].lower())[:_AFTER]
    many = match.group().count(" ") >= _FEW
    labelled = match.start() < _LABEL and text[: match.start()].rstrip()[-1:] == ":"
    if many and match.start() > 0 and len(match.group()) < _SHARE * len(text) and not labelled:
        return " quotation "
    placed = after[:1] in (["on"], ["across"])  # "STOP" on its door
    return match.group() if not placed and CUES.isdisjoint(before) and CUES.isdisjoint(after) else " quotation "
