"""COCO instances: an entry an image and an object, masks as run lengths, ``caption`` or the reason why there is none.

A video becomes its frames, with ``video_id`` and ``track_id``: the ground truth that ``capgen eval tracks`` reads.
Source: Lin et al., ECCV 2014, cocodataset.org/#format-data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from capgen.dataset.row import ReleasedMedia, ReleasedObject
from capgen.dataset.types import Kind
from capgen.exporting.base import ExportSplit, SplitWriter
from capgen.exporting.forms.sections import (
    JsonSections,
    captioned,
    captioned_or_dropped,
    category_of,
    extra_fields,
    json_id,
    license_of,
    media_fields,
    pictures_of,
)
from capgen.exporting.media import area_at, mask_at


@dataclass(frozen=True, slots=True)
class CocoForm:
    """``annotations/instances_{split}.json``; ``file_name`` is relative to ``images/{split}/`` where it is copied."""

    def pictures_in(self, kind: Kind) -> str:  # noqa: ARG002 - images and frames of videos alike
        """Where the source ``coco`` looks."""
        return "images/{split}"

    def writer(self, split: ExportSplit) -> SplitWriter:
        """A writer of a split."""
        sections = JsonSections(split, pictures_of(split, self.pictures_in(split.kind)))
        return _Images(sections) if split.kind == "image" else _Frames(sections)


@dataclass(slots=True)
class _Images:
    sections: JsonSections

    def skip(self, media: ReleasedMedia) -> None:
        self.sections.note(media)
        for one in media.objects:
            self.sections.object_id(media, one)

    def add(self, media: ReleasedMedia) -> None:
        media = self.sections.placed(media)
        fields = media_fields(self.sections.split, media)
        named = {"coco_url": media.coco_url} if media.coco_url else {}
        self.sections.add("images", _image(media, json_id(media.media_id), 0) | named | license_of(media) | fields)
        for one in media.objects:
            number = self.sections.object_id(media, one)
            extra: dict[str, Any] = {"iscrowd": 0} | extra_fields(one.extra)
            row = {"id": number, "image_id": json_id(media.media_id)} | category_of(one) | _shape(one, 0)
            self.sections.add("annotations", row | extra | captioned_or_dropped(one))

    def finish(self) -> Sequence[str]:
        return _finish(self.sections)


@dataclass(slots=True)
class _Frames:
    """Frames and detections are numbered through the split."""

    sections: JsonSections
    images: int = 0
    annotations: int = 0

    def skip(self, media: ReleasedMedia) -> None:
        self.sections.note(media)
        self.images += len(media.file_names)
        self.annotations += sum(len(one.frame_index) for one in media.objects)

    def add(self, media: ReleasedMedia) -> None:
        media = self.sections.placed(media)
        first = self.images + 1
        for frame in range(len(media.file_names)):
            video = {"video_id": json_id(media.media_id), "frame_id": frame}
            self.sections.add("images", _image(media, first + frame, frame) | video | license_of(media))
        for one in media.objects:
            for position, frame in enumerate(one.frame_index):
                self.annotations += 1
                row = {"id": self.annotations, "image_id": first + frame, "track_id": json_id(one.object_id)}
                row |= category_of(one) | _shape(one, position) | {"iscrowd": 0} | captioned(one)
                self.sections.add("annotations", row)
        self.images += len(media.file_names)

    def finish(self) -> Sequence[str]:
        return _finish(self.sections)


def _finish(sections: JsonSections) -> Sequence[str]:
    return sections.finish(f"annotations/instances_{sections.split.name}.json", ("images", "annotations"))


def _image(media: ReleasedMedia, number: int | str, frame: int) -> dict[str, Any]:
    named = {"file_name": media.file_names[frame]} if media.file_names else {}
    return {"id": number, "width": media.width, "height": media.height} | named


def _shape(one: ReleasedObject, position: int) -> dict[str, Any]:
    """The mask, the box x, y, width, height in pixels and the area; empty where the object has none."""
    if position >= len(one.frame_index):
        return {"segmentation": [], "bbox": [0.0, 0.0, 0.0, 0.0], "area": 0.0}
    box = list(one.bbox[position])
    area = area_at(one, position)
    return {
        "segmentation": mask_at(one, position) or [],
        "bbox": box,
        "area": box[2] * box[3] if area is None else area,
    }
