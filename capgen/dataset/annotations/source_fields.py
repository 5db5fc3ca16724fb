"""What an annotation file says beside the columns of a release, so that it can be given back when it is exported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from capgen.encoding import finite_json, read_bytes
from capgen.errors import LedgerError, UserError

MEDIA_KEYS = frozenset({"id", "width", "height", "file_name", "file_names", "coco_url", "license", "length"})
"""Keys of an image or video that a release has a column for, or that follow from one."""
OBJECT_KEYS = frozenset(
    {"id", "image_id", "video_id", "category_id", "segmentation", "segmentations", "bbox", "bboxes", "area", "areas"}
    | {"length", "width", "height", "caption"}
)
"""Keys of an annotation that a release has a column for, or that follow from one."""
LISTS = ("images", "videos", "annotations")

RawRow = dict[str, msgspec.Raw]


@dataclass(frozen=True, slots=True)
class SourceFields:
    """What a file says of a split.

    Args:
        top: its other keys, such as ``info``, ``licenses`` and ``categories``.
        media: by id, what it says of an image or video beside ``MEDIA_KEYS``, as JSON.
    """

    top: Mapping[str, msgspec.Raw] = field(default_factory=dict)
    media: Mapping[str, str] = field(default_factory=dict)


def id_text(raw: msgspec.Raw | None) -> str | None:
    """An id of a file as a release has it: 12, 12.0 and "12" are 12; None for what is none."""
    try:
        value: Any = None if raw is None else msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # such as 1e999
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, int | str) and not isinstance(value, bool) else None


def extra_json(row: RawRow, known: frozenset[str]) -> str | None:
    """The keys of a row that are not known, as JSON; None where there are none."""
    extra = {key: value for key, value in row.items() if key not in known}
    return msgspec.json.encode(extra).decode() if extra else None


def top_level(path: Path) -> RawRow:
    """The keys of a JSON file with their values still undecoded; they keep the file's bytes alive.

    Raises:
        UserError: it is missing, no UTF-8, no JSON or no object.
    """
    data = read_bytes(path)
    try:
        return msgspec.json.decode(data, type=RawRow)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            return msgspec.json.decode(finite_json(data), type=RawRow)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UserError(
                f"{path} is not a JSON object ({error})", "give a file in COCO's or YouTube-VIS's form"
            ) from error


def rows_at(path: Path, top: RawRow, key: str) -> list[Any]:
    """The entries of a list of a file, undecoded; none where the key is absent or null.

    Raises:
        UserError: it is no list.
    """
    try:
        return msgspec.json.decode(top[key], type=list[msgspec.Raw] | None) or [] if key in top else []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"in {path} {key!r} is not a list ({error})", "give the file as it was released") from error


def decoded_rows(raws: Iterable[msgspec.Raw]) -> Iterable[RawRow]:
    """The entries that are objects."""
    decoder: msgspec.json.Decoder[RawRow] = msgspec.json.Decoder(RawRow)
    for raw in raws:
        try:
            yield decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue


def fields_of(path: Path, top: RawRow) -> SourceFields:
    """What a file's images or videos say beside the columns of a release, and its other keys.

    Raises:
        UserError: one of its lists is none.
    """
    media: dict[str, str] = {}
    for key in ("images", "videos"):
        for row in decoded_rows(rows_at(path, top, key)):
            name, extra = id_text(row.get("id")), extra_json(row, MEDIA_KEYS)
            if name is not None and extra is not None:
                media.setdefault(name, extra)
    return SourceFields({key: msgspec.Raw(bytes(value)) for key, value in top.items() if key not in LISTS}, media)


def read_source_json(path: Path) -> dict[str, RawRow]:
    """By split, what imported files said beside their lists (``OUT/source.json``); empty where nothing was imported.

    Raises:
        LedgerError: the file is damaged.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, RawRow])
    except FileNotFoundError:
        return {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise LedgerError(f"{path} is damaged ({error}); delete it, or import the captions again") from error
