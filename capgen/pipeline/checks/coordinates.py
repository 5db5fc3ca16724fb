"""A caption that says where the object is in numbers: boxes, points and pixels that leaked from prompt or training."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.vocabulary.plain_form import plain, watch
from capgen.pipeline.checks.vocabulary.quotations import without_readings

_N = r"\s?-?\d{1,4}(?:\.\d{1,6})?%?\s?"
_PERCENT = r"\s?\d{1,3}(?:\.\d{1,6})?\s?(?:%|percent)\s?"
_PLACES = r"coordinates?|bbox(?:_2d)?|box|pixels?|point|corner|left|right|top|bottom|located|position(?:ed)?|from|at"
# Each repeat is bounded: searched in the caption as it is.
_COORDINATES = re.compile(
    # [12, 34, 56, 78], (0.1, 0.2), <12><34>
    rf"[\[(<{{]{_N}(?:[,;]{_N}){{2,7}}[\])>}}]"
    rf"|\[{_N},{_N}\]|\((?=[^)]*\d\d|[^)]*\.){_N},{_N}\)|\[\[{_N},"
    rf"|(?:<\d{{1,4}}>\s?){{2,4}}|\({_N}\)\s?[,;]?\s?\({_N}\)"
    # x=12, y: 30, x1 = 4, left 0.2, top: 0.3
    r"|\bx\s?\d{0,3}\.?\d{1,4},?\s?(?:and\s)?y\s?\d|\barea\s?(?:of\s)?0?\.\d"
    r"|\b(?:centre|center|middle|corner) (?:is )?(?:at|near|around) \d"
    r"|\b(?:normali[sz]ed|pixel|image|relative) (?:coordinates|units)"
    r"|\b(?:grid (?:cell|position)|(?:image|picture) (?:cell|square|position))s? \(?[a-z]?\d|\bgrid squares? \(?\d"
    # from 84,310 to 560,498; 455 612 530 648
    r"|\b(?:from|between)\s\(?\d{1,4},\s?\d{1,4}\)?\s(?:to|and)\s\(?\d{1,4},\s?\d{1,4}"
    r"|(?<![\d.] )(?<![\d.,])(?P<box>\d{2,4}(?:,? \d{2,4}){3})\b(?!,? \d)"
    r"|\b[xy]\s?0?\.\d|(?<![\d.] )\b[xy]\s\d{2,4}\b|\b[xy][12]?\s?[=:]\s?\d{1,4}(?:\.\d+)?\b|\b[xy]_?(?:min"
    r"|max)(?:\b|_)"
    r"|\b(?:left|top|right|bottom|width|height)[ :=]{1,3}[01]?\.\d"
    r"|\b(?:width|height|area)\s?[=:]\s?\d"
    rf"|\b(?:position|point|corner|cent(?:er|re)|location)\s(?:is\s|at\s|of\s){{0,2}}\(?{_N},{_N}"
    r"|\b(?:left|top|right|bottom)\s?[:=]?\s?\d{1,3}(?:\.\d+)?\s?(?:%|px\b)"
    r"|\b\d{1,3}(?:\.\d+)?\s?(?:%|percent) (?:from|of|down|across) the "
    r"(?:left|top|right|bottom|image|picture|frame|width|height)"
    # at 23% and 41%; left 12, top 5; between 40 and 180 of the width
    rf"|\b(?:at|from|near|around|about){_PERCENT}(?:and|,|by|x|to){_PERCENT}"
    r"|\b(?:left|top|right|bottom)\s?[:=]?\s?\d{1,4}(?:\.\d{1,4})?\s?,?\s?(?:and\s)?"
    r"(?:left|top|right|bottom)\s?[:=]?\s?\d"
    r"|\b(?:columns?|rows?|pixels?) \d{1,4} (?:to|through|-) \d{1,4}\b"
    # 120 pixels, 34 px
    r"|\b\d{1,5}(?:\.\d+)?\s?(?:x\s?\d{1,5}\s?)?(?:px|pixels?)\b(?! (?:art|blocks?|display|screen|camera))"
    r"|\bpixels? \d{1,4}\b"
    # coordinates 12 34 56 78, at 0.12 0.34, box: 12, 34, 56, 78
    rf"|\bcoordinates?\b[^.\d]{{0,40}}\d|\b(?:at|with|given) (?:the )?coordinates?\b"
    rf"|\b(?:{_PLACES})\b[:=]?\s?(?:is |are )?{_N}(?:,{_N}|\s{_N}){{3}}(?!\d)"
    r"|(?:\b[01]\.\d{1,6}[,;]?\s){1,3}[01]\.\d{1,6}\b"
    # the models' own marks
    r"|</?(?:box|ref|quad|point|points|loc|bbox|obj|object|region|seg|mask|poly|polygon|delim)_?\d{0,4}\b[^<>]{0,60}>"
    r"|<\|(?:box|object_ref|quad|point|det|ref|loc)[a-z_]{0,12}\|>|<(?:loc|seg|bin|vis)_?\d{2,4}>|\[SEG\]"
    r"|\bbbox(?:es|_2d)?\b|\bpoint_2d\b",
    re.IGNORECASE,
)
# Fewer numbers are a place only beside one of these: asking for them first is quicker.
_MANY = 4
_BESIDE_FEW = re.compile(
    r"[\[<({%]|area|cent|middle|corner|grid|image|picture|left|right|top|bottom|width|height|px|pixel|percent|coord|bbox|normali"
    r"|relative|\b[xy]|position|point|locat|column|\brow"
)
_NUMBERS = re.compile(r"\d+")
# What is written on a page or a board may be mathematics.
_FORMULA = re.compile(r"\b(?:equations?|formulas?|formulae|algebra|maths?|calculus|geometry|sums)\b", re.IGNORECASE)
_PLACE_WORDS = watch(frozenset("bbox bboxes coordinate coordinates xmin xmax ymin ymax".split()))  # noqa: SIM905
_OTHERS = bytes(byte for byte in range(128) if chr(byte) not in "0123456789<[")
_DIGIT_OR_MARK = re.compile(r"[\d<\[]")


@dataclass(frozen=True, slots=True)
class LeakedCoordinates:
    """Drops boxes, points, pixel counts and the marks with which models give places.

    Honest numbers stay: on a jersey, a clock, a scale, a plate, a price tag, and whatever is quoted from a sign.
    """

    final: ClassVar[bool] = False

    def __call__(self, said: CheckedCaption) -> str | None:
        """Quote the place."""
        heard = plain(said.caption)
        if heard.sentence or not _has_digit_or_mark(said.caption):
            if not heard.lists & _PLACE_WORDS:
                return None
        elif len(_NUMBERS.findall(said.caption)) < _MANY and _BESIDE_FEW.search(said.caption.lower()) is None:
            return None
        for found in _COORDINATES.finditer(without_readings(said.caption)):
            if not _is_honest(found, said):
                return f"gives a place in numbers: {found.group().strip()[:60]!r}"
        return None


def _is_honest(found: re.Match[str], said: CheckedCaption) -> bool:
    """Whether the numbers are of a formula on a page, or four of them are no box."""
    if found["box"] is not None and not _is_box([int(number) for number in re.findall(r"\d+", found["box"])]):
        return True
    return _FORMULA.search(said.caption) is not None


def _is_box(numbers: list[int]) -> bool:
    """Whether left, top, right, bottom: right of the left, below the top, and not the steps of a scale."""
    left, top, right, bottom = numbers
    steps = {top - left, right - top, bottom - right}
    return left < right and top < bottom and len(steps) > 1 and max(numbers) >= 100


def _has_digit_or_mark(caption: str) -> bool:
    if caption.isascii():
        return bool(caption.encode().translate(None, _OTHERS))
    return _DIGIT_OR_MARK.search(caption) is not None
