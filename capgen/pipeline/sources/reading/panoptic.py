"""Segments of panoptic files: ``segments_info`` beside a PNG whose colours, R + 256 G + 256^2 B, are segments' ids."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from capgen.errors import UserError
from capgen.pipeline.sources.reading.common import IdKey, id_key


class SegmentRow(msgspec.Struct, gc=False):
    """An entry of ``segments_info``."""

    id: Any = None
    category_id: Any = None
    iscrowd: Any = None


class PanopticRow(msgspec.Struct, gc=False):
    """A row of ``annotations``: the segments of one picture. ``segments_info`` is None where there is no such list."""

    image_id: Any = None
    file_name: Any = None
    segments_info: list[SegmentRow] | None = None


def segment_mask(png: str, segment_id: object) -> msgspec.Raw:
    """The segmentation of a segment: the pixels of its colour."""
    key = id_key(segment_id)
    value = key if isinstance(key, int) and 0 < key < 2**24 else 0
    mask: dict[str, Any] = {"png": png, "value": value, "form": "rgb"}
    # 0 is what is not labelled: an object of that id has no pixels of its own
    return msgspec.Raw(msgspec.json.encode(mask if value else None))


def segment_value(segment_id: object) -> IdKey | None:
    """A segment's id where it can be a colour."""
    key = id_key(segment_id)
    return key if isinstance(key, int) and 0 < key < 2**24 else None


def check_panoptic(path: Path, rows: Iterable[PanopticRow | None]) -> None:
    """Refuse a file whose annotations are no lists of segments.

    Raises:
        UserError: not one has segments; it is probably a file of instances.
    """
    looked = [row for row in rows if row]
    if looked and all(row.segments_info is None for row in looked):
        raise UserError(
            f"{path} is not a panoptic file: no annotation has segments_info", "for instances use --dataset coco"
        )
