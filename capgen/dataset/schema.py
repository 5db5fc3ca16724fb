"""The Arrow schemas of everything capgen writes, each with the version of the contract in its metadata.

The columns are the fields of ``MediaHeader`` and ``Row``; what only a release has is added here. Ids that a source may
number beyond 2**53 are text. Every column may be null for Arrow: what must not be null is checked when rows are
written, because ``datasets`` knows no non-nullable columns.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, get_type_hints

import msgspec
import pyarrow as pa

from capgen.dataset.row import Row
from capgen.dataset.types import HEADER_FIELDS, Column

SCHEMA_VERSION = "1"
VERSION_KEY = b"capgen_schema_version"

_ANSWER = pa.struct(
    [
        ("caption", pa.string()),
        ("step", pa.string()),
        ("reasons", pa.list_(pa.string())),
        ("advice", pa.list_(pa.string())),
        *((name, pa.string()) for name in ("message", "told", "prompt", "highlight")),
        ("temperature", pa.float64()),
        ("seed", pa.int64()),
        ("finish_reason", pa.string()),
        *((name, pa.int32()) for name in ("prompt_tokens", "cached_tokens", "output_tokens")),
        *((name, pa.float32()) for name in ("logprob_min", "logprob_mean")),
        ("attempts", pa.int32()),
        ("request_sha256", pa.string()),
        ("released", pa.bool_()),
    ]
)
"""The fields of ``GivenAnswer``."""

_FIT = pa.struct(
    [("caption", pa.string()), ("contrast", pa.float32()), ("prefers", pa.string()), ("message", pa.string())]
)
"""The fields of ``NeighbourFit``."""

_RLE = pa.struct([("size", pa.list_(pa.int32())), ("counts", pa.string())])
TYPES: dict[str, pa.DataType] = {
    "text": pa.string(),
    "texts": pa.list_(pa.string()),
    "int32": pa.int32(),
    "int32s": pa.list_(pa.int32()),
    "int64": pa.int64(),
    "int64s": pa.list_(pa.int64()),
    "float32": pa.float32(),
    "masks": pa.list_(_RLE),
    "boxes": pa.list_(pa.list_(pa.float64())),
    "answers": pa.list_(_ANSWER),
    "fits": pa.list_(_FIT),
}
"""The Arrow types that a ``Column`` may name."""

_FIRST = ("key", "dataset", "split", "media_id", "object_id")
"""What identifies a row comes first."""


def _declared() -> dict[str, Column]:
    """The columns of rows, in their order on disk."""
    hints = get_type_hints(Row, include_extras=True)
    found = {name: next(m for m in hints[name].__metadata__ if isinstance(m, Column)) for name in (*_FIRST, *hints)}
    return {name: found[name] for name in dict.fromkeys((*_FIRST, *Row.__struct_fields__))}


COLUMNS = _declared()
LATER = frozenset(
    ["dup_of", "similarity", "source", *(field.name for field in msgspec.structs.fields(Row) if not field.required)]
)
"""Columns that files of earlier versions may lack: the fields of ``Row`` that have a default, and dedup's."""
DROPPED = Column("text", "why the object is not among the captions: a reason code; null where it is", candidates=False)
DUP_OF = Column("text", "key of an earlier caption of its category that says the same or nearly so; else null")
SOURCE = Column("text", "`human` where a person wrote the caption; null where a model did or there is none")
SIMILARITY = Column("float32", "Jaccard similarity of the two captions' word shingles; 1 where they are equal")


def _object_columns() -> dict[str, Column]:
    """The fields of an entry of ``objects``: why a caption is missing stands behind it."""
    found: dict[str, Column] = {}
    for name, column in COLUMNS.items():
        if column.objects:
            found[name] = column
            if name == "caption":
                found |= {"dropped": DROPPED, "dup_of": DUP_OF, "source": SOURCE}
    return found


_OBJECT_COLUMNS = _object_columns()
OBJECT_FIELDS = tuple(_OBJECT_COLUMNS)
"""The fields of one entry of the ``objects`` column, in order."""


def _fields(columns: Iterable[tuple[str, Column]]) -> list[tuple[str, pa.DataType]]:
    return [(name, TYPES[column.type]) for name, column in columns]


def _schema(name: str, fields: list[tuple[str, pa.DataType]], **metadata: str) -> pa.Schema:
    return pa.schema(fields, metadata={"capgen_schema": name, VERSION_KEY.decode(): SCHEMA_VERSION} | metadata)


OBJECT_TYPE = pa.struct(_fields(_OBJECT_COLUMNS.items()))
IMAGE_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])

CANDIDATES = _schema("candidates", _fields(item for item in COLUMNS.items() if item[1].candidates))
CAPTIONS = _schema(
    "captions",
    _fields([*(item for item in COLUMNS.items() if item[1].captions), ("dup_of", DUP_OF), ("source", SOURCE)]),
)
CAPTIONS_EMBEDDED = _schema(
    "captions",
    [*((field.name, field.type) for field in CAPTIONS), ("image", IMAGE_TYPE)],
    huggingface=json.dumps({"info": {"features": {"image": {"_type": "Image"}}}}),
)
MEDIA = _schema(
    "media", [*_fields((name, COLUMNS[name]) for name in HEADER_FIELDS), ("objects", pa.list_(OBJECT_TYPE))]
)
MEDIA_EMBEDDED = _schema(
    "media",
    [*((field.name, field.type) for field in MEDIA), ("images", pa.list_(IMAGE_TYPE))],
    huggingface=json.dumps({"info": {"features": {"images": {"feature": {"_type": "Image"}, "_type": "List"}}}}),
)
DEDUP = _schema(
    "dedup",
    _fields(
        [(name, COLUMNS[name]) for name in ("key", "reasons", "message")]
        + [("dup_of", DUP_OF), ("similarity", SIMILARITY)]
    ),
)


def describe(schema: pa.Schema) -> list[tuple[str, str, str]]:
    """(column, type, meaning) of a released schema, for its data card."""
    meanings = {name: column.meaning for name, column in COLUMNS.items()} | {
        "dup_of": DUP_OF.meaning,
        "source": SOURCE.meaning,
        "objects": "every object of the medium, captioned or not: "
        + ", ".join(f"`{name}`" for name in OBJECT_FIELDS)
        + f" (`dropped`: {DROPPED.meaning})",
        "image": "the object: a close-up with its box drawn, or the frame that shows most of it; null where missing",
        "images": "the frames themselves, as stored in the source; null where a file was missing",
    }
    return [(field.name, _short(field.type), meanings[field.name]) for field in schema]


def _short(type_: Any) -> str:
    """The type as a reader writes it, the inside of objects left out."""
    if pa.types.is_list(type_):
        return f"list of {_short(type_.value_type)}"
    if pa.types.is_struct(type_):
        names = [field.name for field in type_]
        return {"size": "RLE", "bytes": "image", "caption": "answers"}.get(names[0], "objects")
    return str(type_)
