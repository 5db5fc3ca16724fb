"""Captions from files of several kinds as rows: JSON Lines, CSV, Parquet, and the folder of a run or of a dataset."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from capgen.dataset.layout import RunLayout, refuse_links
from capgen.encoding import unmarked
from capgen.errors import MissingFile, UserError, first_line

CaptionValues = dict[str, Any]

REMEDY = "give JSON Lines, CSV or Parquet with `caption`, or the folder of a run"
_BATCH = 4096  # rows of Parquet that are read at once
_LONGEST_FIELD = 2**24  # characters of a CSV field


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """A line or row that holds no caption to check: where it is, and what is wrong with it."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def read_rows(path: Path) -> Iterator[tuple[str, CaptionValues | UnreadableRow]]:
    """Each row of a file or folder with the place where it stands, for messages.

    Raises:
        MissingFile: there is no such path, or the folder holds no captions.
        UserError: the file cannot be read, is no Parquet file, or has no column ``caption``.
    """
    if path.is_dir():
        yield from _folder_rows(path)
        return
    readers = {".csv": _csv_rows, ".tsv": _csv_rows, ".parquet": _parquet_rows}
    try:
        yield from readers.get(path.suffix.lower(), _json_rows)(path)
    except FileNotFoundError:
        raise MissingFile(path, REMEDY) from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}", REMEDY) from None


def _folder_rows(folder: Path) -> Iterator[tuple[str, CaptionValues | UnreadableRow]]:
    """The answers of a run's finished shards; for any other folder its Parquet and JSON Lines files."""
    refuse_links(folder, reading=True)
    files = RunLayout(folder).all_candidates()
    asked = bool(files)
    if not asked:
        files = sorted(file for ending in ("parquet", "jsonl") for file in folder.rglob(f"*.{ending}"))
    if not files:
        raise MissingFile(f"{RunLayout(folder).candidates_dir}/*.parquet", REMEDY)
    for file in files:
        for where, row in read_rows(file):
            # an object without an answer has no caption to check
            if not (asked and isinstance(row, dict) and row.get("status") == "failed"):
                yield where, row


def _json_rows(file: Path) -> Iterator[tuple[str, CaptionValues | UnreadableRow]]:
    start = f"{file}:"
    with file.open("rb") as lines:
        for number, data in enumerate(lines, 1):
            line = unmarked(data, file) if number == 1 else data
            if not line.isspace() and line:
                where = start + str(number)
                yield where, _json_row(line, where)


def _json_row(line: bytes, where: str) -> CaptionValues | UnreadableRow:
    try:
        return _QUICK_DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # the standard library's decoder reads a little more, and says better what is wrong
    try:
        row = _DECODER.decode(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return _not_utf8(where, line[error.start])
    except (ValueError, RecursionError) as error:
        return UnreadableRow(where, f"not JSON ({first_line(error)})")
    return row if isinstance(row, dict) else UnreadableRow(where, "not a JSON object")


def _not_utf8(where: str, byte: int) -> UnreadableRow:
    return UnreadableRow(where, f"not UTF-8 (the byte 0x{byte:02x}); it may be Windows-1252: save the file as UTF-8")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON value")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


_QUICK_DECODER = msgspec.json.Decoder(CaptionValues)


def _csv_rows(file: Path) -> Iterator[tuple[str, CaptionValues | UnreadableRow]]:
    """Rows of a table with a header; the separator is the one of comma, semicolon and tab that the header has most.

    ``synonyms`` are one text with ``|`` between them.
    """
    csv.field_size_limit(_LONGEST_FIELD)
    with file.open("rb") as data:
        first = unmarked(data.readline(), file)
        separator = max(b",;\t", key=first.count)
        lines = (line.decode("utf-8", "surrogateescape") for line in _chained(first, data))
        table = csv.reader(lines, delimiter=chr(separator))
        header = next(table, [])
        if "caption" not in header:
            raise UserError(f"{file} has no column `caption` (its header: {', '.join(header)[:200]})", REMEDY)
        yield from _table_rows(table, header, file)


def _table_rows(table: Any, header: list[str], file: Path) -> Iterator[tuple[str, CaptionValues | UnreadableRow]]:
    while True:
        try:
            cells = next(table)
        except StopIteration:
            return
        except csv.Error as error:
            yield f"{file}:{table.line_num}", UnreadableRow(f"{file}:{table.line_num}", f"not CSV ({error})")
            continue
        if cells:
            where = f"{file}:{table.line_num}"
            yield where, _csv_row(cells, header, where)


def _csv_row(cells: list[str], header: list[str], where: str) -> CaptionValues | UnreadableRow:
    if len(cells) != len(header):
        return UnreadableRow(where, f"{len(cells)} cells, but the header has {len(header)}")
    wrong = next((letter for cell in cells for letter in cell if "\udc80" <= letter <= "\udcff"), None)
    if wrong is not None:
        return _not_utf8(where, ord(wrong) - 0xDC00)
    row: CaptionValues = dict(zip(header, cells, strict=True))
    for name in ("category", "finish_reason"):
        if row.get(name) == "":
            row[name] = None
    if isinstance(synonyms := row.get("synonyms"), str):
        row["synonyms"] = [name.strip() for name in synonyms.split("|") if name.strip()]
    return row


def _chained(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _parquet_rows(file: Path) -> Iterator[tuple[str, CaptionValues | UnreadableRow]]:
    """Rows of a Parquet file: its columns of text, numbers and lists of texts; masks and pictures are left out."""
    import pyarrow as pa

    from capgen.dataset.parquet.opened import opened_parquet

    try:
        with opened_parquet(file) as table:
            if "caption" not in table.schema_arrow.names:
                raise UserError(f"{file} has no column `caption`", REMEDY)
            names = [field.name for field in table.schema_arrow if _plain(field.type)]
            number = 0
            for batch in table.iter_batches(_BATCH, columns=names):
                batch.validate(full=True)  # text that is no UTF-8
                for row in batch.to_pylist():
                    number += 1
                    yield f"{file}, row {number}", row
    except pa.ArrowException as error:
        raise UserError(f"{file} cannot be read as Parquet ({first_line(error)})", REMEDY) from None


def _plain(kind: Any) -> bool:
    from pyarrow import types

    if types.is_list(kind) or types.is_large_list(kind):
        kind = kind.value_type
        return bool(types.is_string(kind) or types.is_large_string(kind))
    if types.is_dictionary(kind):
        kind = kind.value_type
    tests = (
        types.is_string,
        types.is_large_string,
        types.is_boolean,
        types.is_integer,
        types.is_floating,
        types.is_null,
    )
    return any(test(kind) for test in tests)
