"""Annotations joined to their images or videos: every row of the file ends as exactly one planned object.

A row that makes no sense becomes an object with a ``reason``: ``bad_annotation``, ``bad_id``, ``duplicate_id``,
``duplicate_media``, ``unknown_media``, ``unknown_category``, and what the reader says of the medium itself.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from capgen.dataset.plan import PlannedMedia, PlannedObject
from capgen.dataset.types import Fault, Kind
from capgen.pipeline.sources.reading.common import CategoryRow, IdKey, SourceCategory, brief, id_key, int64

NULL = msgspec.Raw(b"null")

_MOST_BITS = 2**28
"""Larger numbers are kept as text: 32 MiB of bits are enough."""
DropOrKeep = Literal["drop", "keep"]


class AnnotationRow(msgspec.Struct, gc=False):
    """A row of ``annotations``; subclasses say how the file spells the keys. An id may be anything in such a file."""

    id: Any = None
    media: Any = None
    category_id: Any = None
    segmentation: msgspec.Raw = NULL
    iscrowd: Any = None


class ImageAnnotation(AnnotationRow, gc=False):
    """An annotation in the form of COCO and LVIS."""

    media: Any = msgspec.field(default=None, name="image_id")


class TrackAnnotation(AnnotationRow, gc=False):
    """An annotation in the form of YouTube-VIS and LV-VIS: a track, ``segmentation`` has an entry a frame."""

    media: Any = msgspec.field(default=None, name="video_id")
    segmentation: msgspec.Raw = msgspec.field(default=NULL, name="segmentations")


class ImageRow(msgspec.Struct, gc=False):
    """A row of ``images``."""

    id: Any = None
    width: Any = None
    height: Any = None
    file_name: Any = None
    coco_url: Any = None
    license: Any = None


class VideoRow(msgspec.Struct, gc=False):
    """A row of ``videos``: its frames by name, or the name of a video file with the numbers or the count of them.

    ``all_names`` are the names of all frames that the video has, where ``file_names`` are some of them.
    """

    id: Any = None
    width: Any = None
    height: Any = None
    file_names: Any = None
    file_name: Any = None
    name: Any = None
    length: Any = None
    frame_numbers: Any = None
    all_names: Any = None
    license: Any = None


IMAGE_SECTIONS = {"images": ImageRow, "annotations": ImageAnnotation, "categories": CategoryRow}
VIDEO_SECTIONS = {"videos": VideoRow, "annotations": TrackAnnotation, "categories": CategoryRow}
"""The lists of a COCO-like file with the types of their rows, for ``read_sections``."""

Described = tuple[PlannedMedia, Fault | None]
"""An image or video before its objects are known, and why none of them can be captioned.

One with a fault names no files: nothing may open them.
"""


@dataclass(slots=True)
class Names:
    """Hands out names that are used once: the second ``12`` is ``12~2``."""

    used: dict[str, int] = field(default_factory=dict)

    def claim(self, name: str) -> str:
        """``name`` where it is new, otherwise with the first free number behind it."""
        if name not in self.used:
            self.used[name] = 1
            return name
        number = self.used[name] + 1
        while (candidate := f"{name}~{number}") in self.used:
            number += 1
        self.used[name] = number
        self.used[candidate] = 1
        return candidate


class NumberNames:
    """As ``Names`` for very many names, most of them whole numbers: of a number only a bit is kept."""

    def __init__(self) -> None:
        self._bits = bytearray()
        self._others = Names()

    def claim(self, key: IdKey) -> str:
        """The key as text where it is new, otherwise with the first free number behind it."""
        if not isinstance(key, int) or not 0 <= key < _MOST_BITS:
            return self._others.claim(str(key))
        place, bit = key >> 3, 1 << (key & 7)
        if place >= len(self._bits):
            self._bits.extend(bytes(place + 1 - len(self._bits)))
        if self._bits[place] & bit:
            self._others.used.setdefault(str(key), 1)
            return self._others.claim(str(key))
        self._bits[place] |= bit
        return str(key)


@dataclass(frozen=True, slots=True)
class Planner:
    """Joins the annotations of one split to its images or videos.

    Args:
        categories: by id; None where the dataset has none, so that no object needs one.
        crowds: ``keep`` takes a crowd region for an object, ``drop`` leaves it out and counts it in ``left_out``.
        stuff: the same for annotations whose category is stuff.
    """

    dataset: str
    split: str
    kind: Kind
    categories: Mapping[IdKey, SourceCategory] | None
    crowds: DropOrKeep = "keep"
    stuff: DropOrKeep = "keep"

    def plan(
        self, rows: Sequence[Any], describe: Callable[[PlannedMedia, Any], Described], annotations: list[Any]
    ) -> Iterator[PlannedMedia]:
        """The media in the order of ``rows``, then those that only annotations name.

        Args:
            rows: rows of ``images`` or ``videos``, each with an ``id``; None for a row that is none. A row without a
                usable id is left out: nothing can refer to it.
            describe: fills in what a row says of its medium.
            annotations: ``AnnotationRow`` or None; emptied, so that its rows can be freed while the plan is written.
        """
        by_id, ambiguous = _unique(rows)
        groups = _by_media(annotations)
        names = Names()
        for media_id, row in by_id.items():
            name = names.claim(str(media_id))
            media, fault = self._blank(name), self._duplicate(media_id) if media_id in ambiguous else None
            if fault is None:
                media, fault = describe(media, row)
            yield self._with_objects(media, fault, groups.pop(media_id, []))
        for stray_id in list(groups):
            name = names.claim("no-id" if stray_id is None else str(stray_id))
            yield self._with_objects(self._blank(name), self._unknown(stray_id), groups.pop(stray_id))

    def _blank(self, name: str) -> PlannedMedia:
        """A medium of which nothing is known but its name."""
        return PlannedMedia(
            dataset=self.dataset, split=self.split, media_id=name, kind=self.kind, file_names=(), width=0, height=0
        )

    def _duplicate(self, media_id: IdKey) -> Fault:
        return Fault("duplicate_media", f"the file describes {self.kind} {media_id} twice and differently")

    def _unknown(self, media_id: IdKey | None) -> Fault:
        if media_id is None:
            return Fault("unknown_media", f"the annotation does not say of which {self.kind} it is")
        return Fault("unknown_media", f"the annotation is of {self.kind} {media_id}, which the file does not list")

    def _with_objects(
        self, media: PlannedMedia, fault: Fault | None, annotations: Sequence[AnnotationRow | None]
    ) -> PlannedMedia:
        left_out: Counter[str] = Counter()
        if "drop" in (self.crowds, self.stuff):
            reasons = [self._left_out(row) for row in annotations]
            annotations = [row for row, why in zip(annotations, reasons, strict=True) if why is None]
            left_out.update(why for why in reasons if why is not None)
        objects = None if fault else self._usual(annotations)
        if objects is None:
            names = Names()
            objects = [self._object(row, names, fault) for row in annotations]
        return msgspec.structs.replace(media, objects=tuple(objects), left_out=dict(left_out))

    def _left_out(self, row: AnnotationRow | None) -> str | None:
        """Why an annotation is no object of the plan; None where it is one."""
        if row is None:
            return None
        if self.crowds == "drop" and is_crowd(row.iscrowd):
            return "crowd"
        if self.stuff == "keep" or self.categories is None:
            return None
        key = row.category_id if type(row.category_id) is int else id_key(row.category_id)
        category = None if key is None else self.categories.get(key)
        return "stuff" if category is not None and category.stuff else None

    def _usual(self, rows: Sequence[AnnotationRow | None]) -> list[PlannedObject] | None:
        """The objects of nearly every medium, in a third of the time: whole numbers as ids, all known, none twice."""
        ids, objects = set(), []
        if self.categories is None:
            return None
        for row in rows:
            if row is None or type(row.id) is not int or type(row.category_id) is not int:
                return None
            category = self.categories.get(row.category_id)
            if category is None or row.id in ids or not -(2**63) <= row.id < 2**63:
                return None
            ids.add(row.id)
            objects.append(
                PlannedObject(
                    object_id=str(row.id),
                    category_id=category.id,
                    category=category.name,
                    synonyms=category.synonyms,
                    segmentation=row.segmentation,
                )
            )
        return objects

    def _object(self, row: AnnotationRow | None, names: Names, fault: Fault | None) -> PlannedObject:
        if row is None:
            what = "the file's entry is not an annotation"
            return PlannedObject(object_id=names.claim("no-id"), reason="bad_annotation", message=what)
        key = id_key(row.id)
        wanted = str(key)
        object_id = names.claim("no-id" if key is None else wanted)
        category_key = id_key(row.category_id)
        category = None if category_key is None else (self.categories or {}).get(category_key)
        if object_id != wanted:
            fault = _id_fault(key, row.id)
        if category is None and self.categories is not None:
            fault = fault or _category_fault(row.category_id)
        if fault is not None:
            return _faulty(object_id, row, category, fault)
        return PlannedObject(
            object_id=object_id,
            category_id=category.id if category else int64(row.category_id),
            category=category.name if category else None,
            synonyms=category.synonyms if category else (),
            segmentation=row.segmentation,
        )


def is_crowd(value: object) -> bool:
    """Whether ``iscrowd`` says that an annotation is a region of many objects: 1, true, or the same as text."""
    return value in (1, True, "1", "true", "True")


def _faulty(object_id: str, row: AnnotationRow, category: SourceCategory | None, fault: Fault) -> PlannedObject:
    return PlannedObject(
        object_id=object_id,
        category_id=category.id if category else int64(row.category_id),
        category=category.name if category else None,
        synonyms=category.synonyms if category else (),
        segmentation=row.segmentation,
        reason=fault.reason,
        message=fault.message,
    )


def _category_fault(value: object) -> Fault:
    return Fault("unknown_category", f"category {brief(value)} is not among the file's categories")


def _id_fault(key: IdKey | None, value: object) -> Fault:
    if key is None:
        return Fault("bad_id", f"the annotation's id {brief(value)} cannot be part of a key")
    return Fault("duplicate_id", f"the annotation id {key} stands more than once in its image or video")


def _unique(rows: Sequence[Any]) -> tuple[dict[IdKey, Any], set[IdKey]]:
    """Rows by id in their order, and the ids under which rows differ; a row that repeats another is dropped."""
    media: dict[IdKey, Any] = {}
    ambiguous: set[IdKey] = set()
    for row in rows:
        key = id_key(row.id) if row else None
        if key is not None and media.setdefault(key, row) != row:
            ambiguous.add(key)
    return media, ambiguous


def _by_media(annotations: list[Any]) -> dict[IdKey | None, list[AnnotationRow | None]]:
    """Annotations by the id of their medium; under None those without one."""
    groups: defaultdict[IdKey | None, list[AnnotationRow | None]] = defaultdict(list)
    for row in annotations:
        media_id = row.media if row else None
        if type(media_id) is not int or not -(2**63) <= media_id < 2**63:
            media_id = id_key(media_id)
        groups[media_id].append(row)
    annotations.clear()
    return groups
