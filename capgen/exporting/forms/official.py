"""The JSON of the authors of LVISCap and LV-VISCap (github.com/gabfstr/CaptionFormer), field by field.

Images: LVIS's file with ``caption`` in an annotation and ``bbox`` tight on the mask. Videos: LV-VIS's file with
``bbox`` by frame and one ``caption`` a track. An object without a caption has no such key.
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
    category_of,
    extra_fields,
    json_id,
    license_of,
    media_fields,
    pictures_of,
)
from capgen.exporting.forms.youtube_vis import Tracks
from capgen.exporting.media import area_at, mask_at

IMAGE_FIELDS = ("flickr_url", "date_captured", "neg_category_ids", "not_exhaustive_category_ids")
"""What LVIS says of an image beside the columns of a release."""


@dataclass(frozen=True, slots=True)
class OfficialForm:
    """``lviscap_v1_{split}.json`` for images, ``lvviscap_{split}_instances.json`` for videos.

    Copied pictures lie where readers of LVIS and LV-VIS look: ``images/`` (with COCO's folders below it), and
    ``{split}/JPEGImages/``.
    """

    def pictures_in(self, kind: Kind) -> str:
        """Where the sources ``lvis`` and ``lv-vis`` look."""
        return "images" if kind == "image" else "{split}/JPEGImages"

    def writer(self, split: ExportSplit) -> SplitWriter:
        """A writer of a split."""
        sections = JsonSections(split, pictures_of(split, self.pictures_in(split.kind)))
        if split.kind == "image":
            return _LvisCap(sections)
        return Tracks(sections, "lvviscap_{split}_instances.json", boxes="bbox", reasons=False)


@dataclass(slots=True)
class _LvisCap:
    sections: JsonSections

    def skip(self, media: ReleasedMedia) -> None:
        self.sections.note(media)
        for one in media.objects:
            self.sections.object_id(media, one)

    def add(self, media: ReleasedMedia) -> None:
        media = self.sections.placed(media)
        fields = media_fields(self.sections.split, media)
        self.sections.split.folder.counts["without_lvis_fields"] += any(name not in fields for name in IMAGE_FIELDS)
        row: dict[str, Any] = {"id": json_id(media.media_id), "width": media.width, "height": media.height}
        self.sections.add("images", row | _named(media) | license_of(media) | fields)
        for one in media.objects:
            self.sections.add("annotations", self._annotation(media, one))

    def _annotation(self, media: ReleasedMedia, one: ReleasedObject) -> dict[str, Any]:
        seen = bool(one.frame_index)
        row: dict[str, Any] = {"id": self.sections.object_id(media, one), "image_id": json_id(media.media_id)}
        row |= category_of(one) | {"segmentation": (mask_at(one, 0) if seen else None) or []}
        row |= {"area": (area_at(one, 0) if seen else None) or 0.0}
        row |= {"bbox": list(one.bbox[0]) if seen else [0.0, 0.0, 0.0, 0.0]}
        return row | extra_fields(one.extra) | captioned(one)

    def finish(self) -> Sequence[str]:
        return self.sections.finish(f"lviscap_v1_{self.sections.split.name}.json", ("images", "annotations"))


def _named(media: ReleasedMedia) -> dict[str, Any]:
    """``coco_url``, which says where an LVIS picture is; ``file_name`` where it does not."""
    place = "/".join(media.coco_url.split("/")[-2:]) if media.coco_url else None
    named = {"file_name": media.file_names[0]} if media.file_names and media.file_names[0] != place else {}
    return named | ({"coco_url": media.coco_url} if media.coco_url else {})
