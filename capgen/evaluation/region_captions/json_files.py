"""The JSON files of region captions, read whole: they have a few thousand short entries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from capgen.encoding import read_text
from capgen.errors import MissingFile, UserError, first_line
from capgen.evaluation.reading.fields import shown

_KEYS = ("key", "image_id", "id")


def read_json_file(path: Path) -> Any:
    """What a JSON file says.

    Raises:
        MissingFile: there is no such file.
        UserError: it is not UTF-8 or no JSON.
    """
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON ({error})", "write captions by key") from error


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON list, of JSON Lines, or the rows of a Parquet file.

    Raises:
        MissingFile: there is no such file.
        UserError: it is none of these, or an entry is no object.
    """
    if path.suffix == ".parquet":
        rows = _parquet_rows(path)
    else:
        text = read_text(path)
        rows = read_json_file(path) if text.lstrip()[:1] in ("[", "") else _lines(path, text)
    if not isinstance(rows, list):
        raise UserError(f"{path}: {shown(rows)} is no list", "give a list of objects, or one a line")
    for place, row in enumerate(rows):
        if not isinstance(row, dict):
            raise UserError(f"{path}: entry {place} is {shown(row)}", "every entry is an object")
    return rows


def _lines(path: Path, text: str) -> list[Any]:
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise UserError(
                    f"{path}, line {number} is not valid JSON ({error})", "write an object a line"
                ) from error
    return rows


def _parquet_rows(path: Path) -> list[Any]:
    import pyarrow as pa

    from capgen.dataset.parquet.opened import opened_parquet

    try:
        with opened_parquet(path) as parquet:
            rows: list[Any] = parquet.read().to_pylist()
    except FileNotFoundError:
        raise MissingFile(path, "check the path") from None
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} cannot be read as Parquet ({first_line(error)})", "check the file") from error
    return rows


def read_captions(path: Path) -> dict[str, tuple[str, ...]]:
    """The captions of each key: an object of texts or lists of texts by key, or a list of objects with key and caption.

    A list may stand under ``annotations``, as in COCO; the key of its objects is ``key``, ``image_id`` or ``id``.

    Raises:
        UserError: the file or an entry cannot be read.
    """
    whole = read_json_file(path)
    if isinstance(whole, dict) and isinstance(whole.get("annotations"), list):
        whole = whole["annotations"]
    if isinstance(whole, list):
        rows = [_row(path, place, one) for place, one in enumerate(whole)]
    elif isinstance(whole, dict):
        rows = [(key, text) for key, said in whole.items() for text in (said if isinstance(said, list) else [said])]
    else:
        raise UserError(f"{path}: {shown(whole)} is neither an object nor a list", "write captions by key")
    found: dict[str, tuple[str, ...]] = {}
    for key, text in rows:
        if not isinstance(text, str):
            raise UserError(f"{path}: the caption of {key} is {shown(text)}", "write text, or a list of texts")
        found[key] = (*found.get(key, ()), text)
    return found


def _row(path: Path, place: int, one: Any) -> tuple[str, Any]:
    name = next((name for name in _KEYS if isinstance(one, dict) and isinstance(one.get(name), str | int)), None)
    if name is None or "caption" not in one:
        raise UserError(f"{path}: entry {place} is {shown(one)}", f"write objects with caption and {', '.join(_KEYS)}")
    return str(one[name]), one["caption"]
