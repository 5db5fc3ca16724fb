"""The lists of an annotation file as typed rows: one decode of the whole file, row by row only where that fails.

The file is somebody else's text: one that is not of the format at all ends in one ``UserError``, one row that makes
no sense becomes None and costs nothing but itself.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from capgen.encoding import finite_json, read_bytes
from capgen.errors import MissingFile, UserError

Rows = dict[str, list[Any] | None]

_UTF8_CHUNK = 4 * 2**20
_BY_FIRST = {"[": "a list", "{": "an object", '"': "text", "t": "true", "f": "false", "n": "null"}


@dataclass(frozen=True, slots=True)
class Form:
    """A file format for the messages: its name with an article, the list it must have, what other keys give away."""

    name: str
    required: str
    hints: Mapping[str, str] = field(default_factory=dict)
    categories_required: bool = True


def read_sections(path: Path, form: Form, sections: Mapping[str, type]) -> Rows:
    """The lists of a JSON file by key, rows decoded to the given types; a row that is not of its type is None.

    A key that is absent or null gives None. ``NaN`` and ``Infinity``, which Python writes, are read as null.

    Raises:
        UserError: the file is missing, is not UTF-8 JSON, or is not of this form.
    """
    data = _read(path)
    try:
        try:
            rows = _rows(path, data, form, sections)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            finite = finite_json(data)
            if finite is data:
                raise
            rows = _rows(path, finite, form, sections)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid JSON: {error}", "download it again") from error
    except RecursionError as error:
        raise UserError(f"{path} is JSON that nests too deeply", f"give {form.name} file as it was released") from error
    return rows


def _rows(path: Path, data: bytes, form: Form, sections: Mapping[str, type]) -> Rows:
    try:
        rows = _at_once(data, sections)
    except msgspec.ValidationError:
        rows = _one_by_one(path, data, form, sections)
    if rows[form.required] is None:
        raise _wrong_kind(path, data, form, form.required)
    if form.categories_required and rows.get("annotations") and rows["categories"] is None:
        raise _wrong_kind(path, data, form, "categories")
    return rows


def _at_once(data: bytes, sections: Mapping[str, type]) -> Rows:
    fields = [(key, list[row] | None, None) for key, row in sections.items()]  # type: ignore[valid-type]
    file = msgspec.json.decode(data, type=msgspec.defstruct("File", fields))
    return {key: getattr(file, key) for key in sections}


def _one_by_one(path: Path, data: bytes, form: Form, sections: Mapping[str, type]) -> Rows:
    file = _top(path, data, form)
    rows: Rows = {}
    for key, row in sections.items():
        try:
            raws = msgspec.json.decode(file[key], type=list[msgspec.Raw] | None) if key in file else None
        except msgspec.ValidationError as error:
            what = f"in {path} {key!r} is {_kind(bytes(file[key]))}, not a list"
            raise UserError(what, f"give {form.name} file as it was released") from error
        decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(row)
        rows[key] = None if raws is None else [_row(decoder, raw) for raw in raws]
    return rows


def _row(decoder: msgspec.json.Decoder[Any], raw: msgspec.Raw) -> Any:
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None


def _top(path: Path, data: bytes, form: Form) -> dict[str, msgspec.Raw]:
    try:
        return msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except msgspec.ValidationError as error:
        what = f"{path} is not {form.name} file: its top level is {_kind(data)}, not an object"
        raise UserError(what, f"it needs a list {form.required!r}") from error


def _wrong_kind(path: Path, data: bytes, form: Form, missing: str) -> UserError:
    keys = list(_top(path, data, form))
    found = ", ".join(repr(key[:40]) for key in keys[:8]) or "no key at all"
    hints = [hint for key, hint in form.hints.items() if key in keys]
    what = f"{path} is not {form.name} file: it has no list {missing!r} but {found}"
    return UserError(what, hints[0] if hints else f"give {form.name} file as it was released")


def _kind(data: bytes) -> str:
    return _BY_FIRST.get(data[:64].lstrip()[:1].decode("ascii", "replace"), "a number")


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise MissingFile(path, "put the annotation file of the release there")
    data = read_bytes(path)
    if not data or data.isspace():
        raise UserError(f"{path} is empty", "download it again")
    _check_utf8(path, data)
    return data


def _check_utf8(path: Path, data: bytes) -> None:
    """msgspec does not look into the strings that it skips, and the plan carries those on."""
    if data.isascii():
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(data)
    try:
        for start in range(0, len(view), _UTF8_CHUNK):
            decoder.decode(view[start : start + _UTF8_CHUNK], final=start + _UTF8_CHUNK >= len(view))
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: {error.reason}", "give the JSON file as it was released") from error
