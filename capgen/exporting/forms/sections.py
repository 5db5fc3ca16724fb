"""JSON files of COCO's kind while they grow: the lists apart, put together when a split is complete."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from capgen.dataset.annotations.source_fields import RawRow
from capgen.dataset.row import ReleasedMedia, ReleasedObject, Rle
from capgen.exporting.base import ExportSplit
from capgen.exporting.media import area_at, caption_of, mask_at
from capgen.exporting.pictures import SplitPictures, with_copied_names

_WHOLE = re.compile(r"0|-?[1-9][0-9]*")


def json_id(text: str) -> int | str:
    """An id as a number where it is one of at most 64 bits, as COCO has them; else as text."""
    value = int(text) if _WHOLE.fullmatch(text) and len(text) < 21 else None
    return text if value is None or not -(2**63) <= value < 2**63 else value


@dataclass(slots=True)
class JsonSections:
    """The lists of one JSON file of a split; ``pictures`` are treated as the export says."""

    split: ExportSplit
    pictures: SplitPictures | None
    seen: set[int | str] = field(default_factory=set)
    categories: dict[int, str] = field(default_factory=dict)

    def add(self, section: str, row: Mapping[str, Any]) -> None:
        """Append an entry to a list."""
        piece = self._piece(section)
        comma = b",\n" if self.split.folder.size(piece) else b"\n"
        self.split.folder.append(piece, comma + msgspec.json.encode(row))

    def object_id(self, media: ReleasedMedia, one: ReleasedObject) -> int | str:
        """The id of an annotation, which is used once in a file: that of a repeated one has its medium's in front."""
        value = json_id(one.object_id)
        if value in self.seen:
            self.split.folder.counts["repeated_ids"] += 1
            value = f"{media.media_id}:{one.object_id}"
        self.seen.add(value)
        return value

    def placed(self, media: ReleasedMedia) -> ReleasedMedia:
        """The medium, its categories noted, its pictures put away, with the names that they have then."""
        self.note(media)
        return placed(media, self.split, self.pictures)

    def note(self, media: ReleasedMedia) -> None:
        """Remember the categories of a medium."""
        for one in media.objects:
            if one.category_id is not None and one.category is not None:
                self.categories.setdefault(one.category_id, one.category)

    def finish(self, file: str, sections: Sequence[str]) -> Sequence[str]:
        """Put the file together; the tar files of its pictures."""
        tars = self.pictures.finish() if self.pictures else ()
        top = dict(self.split.fields.top)
        known = [{"id": number, "name": name} for number, name in sorted(self.categories.items())]
        if "categories" not in top and known:
            top["categories"] = msgspec.Raw(msgspec.json.encode(known))
        pieces: list[bytes | str] = [b"{"]
        for number, section in enumerate(sections):
            pieces += [b",\n" if number else b"\n", msgspec.json.encode(section), b": ["]
            pieces += [self._piece(section), b"\n]"]
        for key, value in top.items():
            pieces += [b",\n", msgspec.json.encode(key), b": ", bytes(value)]
        self.split.folder.assemble(file, [*pieces, b"\n}\n"])
        return tars

    def _piece(self, section: str) -> str:
        return f"pieces/{self.split.name}.{section}"


def pictures_of(split: ExportSplit, prefix: str | None) -> SplitPictures | None:
    """The pictures of a split below a folder in DEST."""
    if prefix is None:
        return None
    return SplitPictures(split.files, split.mode, split.folder, split.name, prefix.format(split=split.name))


def placed(media: ReleasedMedia, split: ExportSplit, pictures: SplitPictures | None) -> ReleasedMedia:
    """The medium with the names that its pictures have in the export, in which they are put away."""
    if pictures:
        pictures.add(media)
    return media if split.mode == "reference" else with_copied_names(media)


def media_fields(split: ExportSplit, media: ReleasedMedia) -> RawRow:
    """What the source says of a medium beside the columns: as the release has it, or as its own file does."""
    text = media.media_extra or split.fields.media.get(media.media_id)
    return extra_fields(text)


def extra_fields(text: str | None) -> RawRow:
    """Keys and values of a JSON object; none where it is none."""
    if text is None:
        return {}
    try:
        return msgspec.json.decode(text, type=RawRow)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def license_of(media: ReleasedMedia) -> dict[str, Any]:
    """``license`` as COCO writes it, where it is known."""
    return {} if media.license is None else {"license": json_id(media.license)}


def captioned(one: ReleasedObject) -> dict[str, Any]:
    """``caption``, where the object has one."""
    caption = caption_of(one)
    return {} if caption is None else {"caption": caption}


def captioned_or_dropped(one: ReleasedObject) -> dict[str, Any]:
    """``caption``; where the object has none, ``dropped`` with the code of the reason, where the release says it."""
    return captioned(one) or ({"dropped": one.dropped} if one.dropped else {})


def category_of(one: ReleasedObject) -> dict[str, Any]:
    """``category_id``, where the object has one."""
    return {} if one.category_id is None else {"category_id": one.category_id}


def by_frame(media: ReleasedMedia, one: ReleasedObject) -> tuple[list[Rle | None], list[Any], list[float | None]]:
    """Masks, boxes (x, y, width, height in pixels) and areas with an entry for each frame, None where it is absent."""
    length = len(media.file_names)
    masks: list[Rle | None] = [None] * length
    boxes: list[Any] = [None] * length
    areas: list[float | None] = [None] * length
    for position, frame in enumerate(one.frame_index):
        masks[frame], boxes[frame] = mask_at(one, position), list(one.bbox[position])
        areas[frame] = area_at(one, position)
    return masks, boxes, areas
