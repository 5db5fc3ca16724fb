"""YouTube-VIS: an entry a video and a track, with a mask or null for each frame. Source: youtube-vos.org/dataset/vis.

An image is a video of one frame.
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
    by_frame,
    captioned,
    captioned_or_dropped,
    category_of,
    extra_fields,
    json_id,
    license_of,
    media_fields,
    pictures_of,
)


@dataclass(frozen=True, slots=True)
class YoutubeVisForm:
    """``{split}/instances.json``; ``file_names`` are relative to ``{split}/JPEGImages/`` where they are copied."""

    def pictures_in(self, kind: Kind) -> str:  # noqa: ARG002 - images are videos of one frame
        """Where the source ``youtube-vis`` looks."""
        return "{split}/JPEGImages"

    def writer(self, split: ExportSplit) -> SplitWriter:
        """A writer of a split."""
        return Tracks(JsonSections(split, pictures_of(split, self.pictures_in(split.kind))), "{split}/instances.json")


@dataclass(slots=True)
class Tracks:
    """Writes videos and tracks.

    Args:
        file: the name of the split's file, with ``{split}``.
        boxes: the key of the boxes, which LV-VISCap spells ``bbox``.
        reasons: whether a track without a caption says why, which LV-VISCap has no field for.
    """

    sections: JsonSections
    file: str
    boxes: str = "bboxes"
    reasons: bool = True

    def skip(self, media: ReleasedMedia) -> None:
        """Pass a medium that is written."""
        self.sections.note(media)
        for one in media.objects:
            self.sections.object_id(media, one)

    def add(self, media: ReleasedMedia) -> None:
        """Write a medium."""
        media = self.sections.placed(media)
        row = {
            "id": json_id(media.media_id),
            "length": len(media.file_names),
            "width": media.width,
            "height": media.height,
            "file_names": list(media.file_names),
        }
        self.sections.add("videos", row | license_of(media) | media_fields(self.sections.split, media))
        for one in media.objects:
            self.sections.add("annotations", self._track(media, one))

    def _track(self, media: ReleasedMedia, one: ReleasedObject) -> dict[str, Any]:
        masks, boxes, areas = by_frame(media, one)
        row: dict[str, Any] = {"id": self.sections.object_id(media, one), "video_id": json_id(media.media_id)}
        row |= category_of(one) | {"iscrowd": 0, "length": len(media.file_names)}
        row |= {"width": media.width, "height": media.height, "segmentations": masks, "areas": areas, self.boxes: boxes}
        return row | extra_fields(one.extra) | (captioned_or_dropped(one) if self.reasons else captioned(one))

    def finish(self) -> Sequence[str]:
        """Put the file together."""
        return self.sections.finish(self.file.format(split=self.sections.split.name), ("videos", "annotations"))
