"""The Arrow schemas of everything capgen writes, each with the version of the contract in its metadata.

Ids that a source may number beyond 2**53 are text. Every column may be null for Arrow: what must not be null is
checked when rows are written, because ``datasets`` knows no non-nullable columns.
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

SCHEMA_VERSION = "1"

_TEXT, _INT = pa.string(), pa.int64()
_RLE = pa.struct([("size", pa.list_(pa.int32())), ("counts", _TEXT)])

_COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "key": (_TEXT, "`dataset/split/media_id/object_id`; rows of every config join by it"),
    "dataset": (_TEXT, "the source dataset"),
    "split": (_TEXT, "the split of the source"),
    "media_id": (_TEXT, "id of the image or video in the source, as text"),
    "object_id": (_TEXT, "id of the annotation in the source, as text"),
    "kind": (_TEXT, "`image` or `video`; an image is a video of one frame"),
    "file_names": (pa.list_(_TEXT), "the frames in order, relative to the folder of the source's pictures"),
    "coco_url": (_TEXT, "where the source says that the picture is, if it does"),
    "width": (pa.int32(), "width of every frame in pixels"),
    "height": (pa.int32(), "height of every frame in pixels"),
    "category_id": (_INT, "id of the category in the source"),
    "category": (_TEXT, "name of the category in the source"),
    "frame_index": (pa.list_(pa.int32()), "frames on which the object is visible; the next three columns follow it"),
    "segmentation": (pa.list_(_RLE), "masks: COCO run lengths, `size` = [height, width], `counts` as text"),
    "bbox": (pa.list_(pa.list_(pa.float64())), "x, y, width, height in pixels, tight on the mask"),
    "area": (pa.list_(_INT), "pixels of the mask"),
    "caption": (_TEXT, "the caption"),
    "status": (_TEXT, "`kept`, `dropped` (by a check) or `failed` (for good)"),
    "reasons": (pa.list_(_TEXT), "why the row is not kept; the first code is the one that is counted"),
    "message": (_TEXT, "the first reason in a sentence"),
    "model": (_TEXT, "the model that wrote the caption"),
    "model_revision": (_TEXT, "the model's pinned revision, if it has one"),
    "engine": (_TEXT, "the engine that ran the model"),
    "prompt": (_TEXT, "name of the prompt file"),
    "prompt_sha256": (_TEXT, "sha256 of the prompt file"),
    "highlight": (_TEXT, "how the object was shown to the model"),
    "seed": (_INT, "seed of sampling"),
    "finish_reason": (_TEXT, "why the model stopped writing"),
    "prompt_tokens": (pa.int32(), "tokens of the request"),
    "cached_tokens": (pa.int32(), "tokens of the request that the engine had computed before"),
    "output_tokens": (pa.int32(), "tokens of the answer"),
    "attempts": (pa.int32(), "how often the object was asked for"),
    "request_sha256": (_TEXT, "digest of what was asked"),
}
_ONLY_CANDIDATES = ("status", "reasons", "message", "request_sha256")
_OF_THE_MEDIUM = ("dataset", "split", "media_id", "kind", "file_names", "coco_url", "license", "width", "height")

_MEDIA_COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "license": (_TEXT, "the source's own licence code of this picture or video, if it has one"),
    "dropped": (_TEXT, "why the object has no caption: a reason code; null where it has one"),
}

OBJECT_FIELDS = (
    "object_id",
    "category_id",
    "category",
    "frame_index",
    "segmentation",
    "bbox",
    "area",
    "caption",
    "dropped",
)
"""The fields of one entry of the ``objects`` column, in order."""


def _schema(name: str, fields: list[tuple[str, pa.DataType]], **metadata: str) -> pa.Schema:
    return pa.schema(fields, metadata={"capgen_schema": name, "capgen_schema_version": SCHEMA_VERSION} | metadata)


def _field(name: str) -> tuple[str, pa.DataType]:
    return name, {**_COLUMNS, **_MEDIA_COLUMNS}[name][0]


OBJECT_TYPE = pa.struct([_field(name) for name in OBJECT_FIELDS])
IMAGE_TYPE = pa.struct([("bytes", pa.binary()), ("path", _TEXT)])

CANDIDATES = _schema("candidates", [_field(name) for name in _COLUMNS])
CAPTIONS = _schema("captions", [_field(name) for name in _COLUMNS if name not in _ONLY_CANDIDATES])
MEDIA = _schema("media", [*map(_field, _OF_THE_MEDIUM), ("objects", pa.list_(OBJECT_TYPE))])
MEDIA_EMBEDDED = _schema(
    "media",
    [*((field.name, field.type) for field in MEDIA), ("images", pa.list_(IMAGE_TYPE))],
    huggingface=json.dumps({"info": {"features": {"images": {"feature": {"_type": "Image"}, "_type": "List"}}}}),
)
DEDUP = _schema("dedup", [_field("key"), _field("reasons"), _field("message"), ("duplicate_of", _TEXT)])


def describe(schema: pa.Schema) -> list[tuple[str, str, str]]:
    """(column, type, meaning) of a released schema, for its data card."""
    own = {
        "objects": "every object of the medium, captioned or not: "
        + ", ".join(f"`{name}`" for name in OBJECT_FIELDS)
        + f" (`dropped`: {_MEDIA_COLUMNS['dropped'][1]})",
        "images": "the frames themselves, as stored in the source; null where a file was missing",
    }
    meanings: dict[str, str] = {name: text for name, (_, text) in {**_COLUMNS, **_MEDIA_COLUMNS}.items()} | own
    return [(field.name, _short(field.type), meanings[field.name]) for field in schema]


def _short(type_: Any) -> str:
    """The type as a reader writes it, the inside of objects left out."""
    if pa.types.is_list(type_):
        return f"list of {_short(type_.value_type)}"
    if pa.types.is_struct(type_):
        names = [field.name for field in type_]
        return {"size": "RLE", "bytes": "image"}.get(names[0], "objects")
    return str(type_)
