"""What pages show, as values for the templates: pictures with outlines, captions, and the facts of an object."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from urllib.parse import urlencode

from capgen.dataset.row import GivenAnswer, Row
from capgen.dataset.schema import COLUMNS
from capgen.pipeline.gallery.judge_index import JudgeScore
from capgen.pipeline.gallery.media_store import ShownMedium
from capgen.pipeline.gallery.outlines import Outline
from capgen.pipeline.gallery.row_index import IndexedRow

LIST_SIDE, PAGE_SIDE = 640, 1280  # pixels of the longer side of a picture in a list, and on a page of its own
FPS = 6
"""Frames a second at which a video plays at first: about that of LV-VIS, whose files do not say it."""
_LEFT_OUT = frozenset(
    {"segmentation", "bbox", "frame_index", "area", "file_names", "caption", "reasons", "message", "answers", "shown"}
)


@dataclass(frozen=True, slots=True)
class Mark:
    """An object's outline on a picture."""

    number: int
    status: str
    outline: Outline


@dataclass(frozen=True, slots=True)
class Figure:
    """A frame on a page.

    Args:
        src: the picture's address.
        width, height: of the source in pixels.
        marks: the outlines; None where the page asks for them at ``outlines``.
        fault: why there is no picture.
    """

    src: str
    width: int
    height: int
    alt: str
    label: str = ""
    marks: Sequence[Mark] | None = None
    outlines: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class MediumGroup:
    """A medium on a page, with those of its objects that are shown."""

    shard: int
    name: str
    kind: str
    figures: Sequence[Figure]
    rows: Sequence[IndexedRow]


def list_groups(rows: Iterable[IndexedRow]) -> Iterator[MediumGroup]:
    """Objects of a list, put together where neighbours are of one medium; the frame shows most of the first one."""
    for (shard, medium), found in groupby(rows, lambda row: (row.shard, row.medium)):
        of_medium = list(found)
        first = of_medium[0]
        frame = {"shard": shard, "name": medium, "frame": first.frame}
        numbers = [row.number for row in of_medium]
        figure = Figure(
            src="/picture?" + urlencode({**frame, "side": LIST_SIDE}),
            width=first.width,
            height=first.height,
            alt=f"{first.kind} {medium}",
            label=f"frame {first.frame + 1}" if first.kind == "video" else "",
            outlines="/outlines?" + urlencode({**frame, "side": LIST_SIDE, "n": numbers}, doseq=True),
        )
        yield MediumGroup(shard, medium, first.kind, [figure], of_medium)


def medium_figure(shard: int, name: str, shown: ShownMedium, frame: int) -> Figure:
    """A frame of a medium on its own page, with the outlines of all objects."""
    media = shown.media
    return Figure(
        src="/picture?" + urlencode({"shard": shard, "name": name, "frame": frame, "side": PAGE_SIDE}),
        width=media.width,
        height=media.height,
        alt=f"{media.kind} {name}",
        marks=marks(shown, frame, scale_for(shown, PAGE_SIDE)),
    )


def marks(shown: ShownMedium, frame: int, scale: float, numbers: Iterable[int] | None = None) -> list[Mark]:
    """The outlines of objects on a frame; of all, or of those with some numbers."""
    wanted = None if numbers is None else set(numbers)
    return [
        Mark(number, shown.rows[number - 1].status, one)
        for number, one in shown.outlines(frame, scale).items()
        if wanted is None or number in wanted
    ]


def scale_for(shown: ShownMedium, side: int) -> float:
    """How much smaller than its source a picture of a longest side is."""
    return min(1.0, side / max(shown.media.width, shown.media.height))


def facts(row: Row, indexed: IndexedRow, scores: Sequence[JudgeScore]) -> list[tuple[str, str]]:
    """Names and values of everything else that is known of an object.

    Args:
        scores: the judge's, the last one first.
    """
    boxes = [
        f"frame {index + 1}: {', '.join(f'{value:g}' for value in box)}" + ("" if area is None else f" ({area:,} px)")
        for index, box, area in list(zip(row.frame_index, row.bbox, row.area, strict=True))[:3]
    ]
    found = [(name, getattr(row, name)) for name in COLUMNS if name not in _LEFT_OUT and hasattr(row, name)]
    more = [
        ("status", indexed.status),
        ("reasons", ", ".join(indexed.reasons)),
        ("message", indexed.message),
        ("review", indexed.verdict),
        ("dup_of", indexed.dup_of),
        ("box (x, y, width, height) and area", "; ".join(boxes)),
        ("frames", len(row.frame_index) if row.kind == "video" else None),
    ]
    more += [
        (f"judge {n}" if len(scores) > 1 else "judge", _score(one, row.caption)) for n, one in enumerate(scores, 1)
    ]
    values = dict(found) | dict(more) | {f"answer {n}": _answer(one) for n, one in enumerate(row.answers, 1)}
    return [(name, _text(value)) for name, value in values.items() if value not in (None, "", ())]


def _answer(given: GivenAnswer) -> str:
    """An answer of several in a line."""
    said = given.caption or "no caption"
    about = [", ".join((*given.reasons, *given.advice)), "released" if given.released else ""]
    if given.logprob_min is not None:
        about.append(f"log-probability of its least certain word {given.logprob_min:.2f}")
    about.append(f"temperature {given.temperature:g}" if given.temperature else "")
    return f"“{said}” ({'; '.join(filter(None, about)) or 'no check refused it'})"


def _score(one: JudgeScore, caption: str | None) -> str:
    """A judge's score in a line."""
    known = [
        ("score", one.score),
        ("least probable token", one.least),
        ("better than for other objects by", one.contrast),
    ]
    told = [one.verdict or "unknown", *(f"{name} {value:.2f}" for name, value in known if value is not None)]
    told += [f"{name}: {value:.2f}" for name, value in (one.answers or {}).items() if value is not None]
    told += [one.message] if one.message else []
    told += [f"stale: it is of an earlier caption, “{one.caption}”"] if one.caption != caption else []
    return f"{one.method or 'judge'}: {', '.join(told)}"


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def tracks(shown: ShownMedium, first: int, count: int) -> dict[str, Any]:
    """The outlines of some frames of a video as JSON: by frame, a list of [number, path, x, y]."""
    scale = scale_for(shown, PAGE_SIDE)
    frames = range(first, min(first + count, len(shown.media.file_names)))
    return {str(frame): [[number, *one] for number, one in shown.outlines(frame, scale).items()] for frame in frames}
