"""Annotations joined to their images or videos: every row of the file ends as exactly one planned object.

A row that makes no sense becomes an object with a ``reason``: ``bad_annotation``, ``bad_id``, ``duplicate_id``,
``duplicate_media``, ``unknown_media``, ``unknown_category``, and what the reader says of the medium itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from capgen.dataset.types import Fault, Kind
from capgen.pipeline.sources.base import PlannedMedia, PlannedObject
from capgen.pipeline.sources.common import Category, IdKey, brief, id_key, int64

NULL = msgspec.Raw(b"null")


class Annotation(msgspec.Struct, gc=False):
    """A row of ``annotations``; subclasses say how the file spells the keys. An id may be anything in such a file."""

    id: Any = None
    media: Any = None
    category_id: Any = None
    segmentation: msgspec.Raw = NULL


@dataclass(frozen=True, slots=True)
class Medium:
    """An image or video before its objects are known; ``fault`` is why none of them can be captioned.

    One with a fault names no files: nothing may open them.
    """

    media_id: str
    root: str
    file_names: tuple[str, ...] = ()
    width: int = 0
    height: int = 0
    coco_url: str | None = None
    license: str | None = None
    fault: Fault | None = None


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


@dataclass(frozen=True, slots=True)
class Planner:
    """Joins one split. ``root`` is what media say that exist only in annotations."""

    dataset: str
    split: str
    kind: Kind
    root: str
    categories: Mapping[IdKey, Category]

    def plan(
        self, rows: Sequence[Any], read: Callable[[str, Any], Medium], annotations: list[Any]
    ) -> Iterator[PlannedMedia]:
        """The media in the order of ``rows``, then those that only annotations name.

        Args:
            rows: rows of ``images`` or ``videos``, each with an ``id``; None for a row that is none. A row without a
                usable id is left out: nothing can refer to it.
            read: makes the medium of an id and its row.
            annotations: ``Annotation`` or None; emptied, so that its rows can be freed while the plan is written.
        """
        media, ambiguous = _unique(rows)
        groups = _by_media(annotations)
        names = Names()
        for media_id, row in media.items():
            name = names.claim(str(media_id))
            medium = self._nowhere(name, self._duplicate(media_id)) if media_id in ambiguous else read(name, row)
            yield self._media(medium, groups.pop(media_id, []))
        for stray_id in list(groups):
            name = names.claim("no-id" if stray_id is None else str(stray_id))
            yield self._media(self._nowhere(name, self._unknown(stray_id)), groups.pop(stray_id))

    def _nowhere(self, name: str, fault: Fault) -> Medium:
        return Medium(name, self.root, fault=fault)

    def _duplicate(self, media_id: IdKey) -> Fault:
        return Fault("duplicate_media", f"the file describes {self.kind} {media_id} twice and differently")

    def _unknown(self, media_id: IdKey | None) -> Fault:
        if media_id is None:
            return Fault("unknown_media", f"the annotation does not say of which {self.kind} it is")
        return Fault("unknown_media", f"the annotation is of {self.kind} {media_id}, which the file does not list")

    def _media(self, medium: Medium, annotations: Sequence[Annotation | None]) -> PlannedMedia:
        fault = medium.fault
        objects = None if fault else self._usual(annotations)
        if objects is None:
            names = Names()
            objects = [self._object(row, names, fault) for row in annotations]
        return PlannedMedia(
            dataset=self.dataset,
            split=self.split,
            media_id=medium.media_id,
            kind=self.kind,
            root=medium.root,
            file_names=medium.file_names,
            width=medium.width,
            height=medium.height,
            objects=tuple(objects),
            coco_url=medium.coco_url,
            license=medium.license,
        )

    def _usual(self, rows: Sequence[Annotation | None]) -> list[PlannedObject] | None:
        """The objects of nearly every medium, in a third of the time: whole numbers as ids, all known, none twice."""
        ids, objects = set(), []
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

    def _object(self, row: Annotation | None, names: Names, fault: Fault | None) -> PlannedObject:
        if row is None:
            what = "the file's entry is not an annotation"
            return PlannedObject(object_id=names.claim("no-id"), reason="bad_annotation", message=what)
        key = id_key(row.id)
        wanted = str(key)
        object_id = names.claim("no-id" if key is None else wanted)
        category_key = id_key(row.category_id)
        category = None if category_key is None else self.categories.get(category_key)
        if object_id != wanted:
            fault = _id_fault(key, row.id)
        if category is None or fault is not None:
            return _faulty(object_id, row, category, fault or _category_fault(row.category_id))
        return PlannedObject(
            object_id=object_id,
            category_id=category.id,
            category=category.name,
            synonyms=category.synonyms,
            segmentation=row.segmentation,
        )


def _faulty(object_id: str, row: Annotation, category: Category | None, fault: Fault) -> PlannedObject:
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


def _by_media(annotations: list[Any]) -> dict[IdKey | None, list[Annotation | None]]:
    """Annotations by the id of their medium; under None those without one."""
    groups: defaultdict[IdKey | None, list[Annotation | None]] = defaultdict(list)
    for row in annotations:
        media_id = row.media if row else None
        if type(media_id) is not int or not -(2**63) <= media_id < 2**63:
            media_id = id_key(media_id)
        groups[media_id].append(row)
    annotations.clear()
    return groups
