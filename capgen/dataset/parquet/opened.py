"""Opens Parquet files that anybody may have made: what one unpacks to is added up before anything is unpacked.

A file of a few kilobytes can unpack to terabytes: a page is compressed, one long text of a dictionary is repeated by
number, thousands of row groups name the same bytes, and what the footer says of it is not compared with the pages. So
the headers of all pages are read, which are what pyarrow allocates memory by.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from capgen.dataset.parquet.page_headers import DamagedPage, page_headers

_FOOTER = 32 * 2**20
_BYTES, _BYTES_PER_BYTE = 2**30, 16
"""What a file may unpack to: so much, and so much for each of its bytes."""
_VALUES, _VALUES_PER_BYTE = 2_000_000, 8
"""How many values a column may have, by the same rule; each takes memory even where it is null."""
_PAGES = 2_000_000
_SMALL = 16 * 2**20


class UnpacksTooLarge(pa.ArrowInvalid):  # type: ignore[misc]
    """A Parquet file unpacks to more than a file of its size may, or hides to how much."""


@contextmanager
def opened_parquet(path: Path, columns: Sequence[str] = ()) -> Iterator[pq.ParquetFile]:
    """A Parquet file to read, once it is known that reading it does not take all memory.

    Args:
        columns: the only ones that are going to be read, with the dotted names of Parquet for what is inside others;
            none is all.

    Raises:
        UnpacksTooLarge: it would, or its pages are not what its footer says.
        ArrowException, OSError: it cannot be read.
    """
    _check_footer(path)
    with pq.ParquetFile(path) as parquet:
        found = path.stat()
        _check(path, (found.st_mtime_ns, found.st_size), tuple(columns))
        yield parquet


def _check_footer(path: Path) -> None:
    """Refuse a footer that is larger than any that is needed: pyarrow reads it into memory whole."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 8))
        last = file.read(8)
    if last[4:] == b"PAR1" and int.from_bytes(last[:4], "little") > _FOOTER:
        raise UnpacksTooLarge(f"its footer is larger than {_FOOTER >> 20} MiB")


@lru_cache(maxsize=4096)  # a training reads the same files again and again
def _check(path: Path, stamp: tuple[int, int], names: tuple[str, ...]) -> None:
    """Refuse a file that unpacks to too much.

    Args:
        stamp: time (ns) and size of the file, for the cache.
        names: of the columns that are read; none is all.
    """
    size = stamp[1]
    with pq.ParquetFile(path) as parquet, path.open("rb") as file:
        metadata = parquet.metadata
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            # not `metadata.schema`: the two would hold each other, and the footer, until garbage is looked for
            schema = pq.ParquetSchema(metadata)
            chunks = _Chunks(path, data, metadata, schema)
            total = _Total(_BYTES + _BYTES_PER_BYTE * size, _VALUES + _VALUES_PER_BYTE * size)
            places = [*product(range(metadata.num_row_groups), _chosen(schema, names))]
            repeating = []
            for group, column in places:
                chunk = chunks.at(group, column)
                total.add_values(column, schema, chunk.values)
                total.add(column, schema, chunk.unpacked)
                if chunk.repeated > _SMALL:
                    repeating.append((group, column))
                else:
                    total.add(column, schema, chunk.repeated)
            for group, column in repeating:
                total.add(column, schema, chunks.repeated_bytes(group, column))


def _chosen(schema: pq.ParquetSchema, names: Sequence[str]) -> list[int]:
    """The columns that pyarrow reads for these names: those called so, and those inside of them."""
    paths = [schema.column(number).path for number in range(len(schema))]
    if not names:
        return [*range(len(paths))]
    inside = tuple(f"{name}." for name in names)
    return [number for number, path in enumerate(paths) if path in names or path.startswith(inside)]


@dataclass(slots=True)
class _Total:
    """What was added up of a file, and the most that is allowed."""

    bytes_allowed: int
    values_allowed: int
    bytes: int = 0
    values: dict[int, int] = field(default_factory=dict)

    def add(self, column: int, schema: pq.ParquetSchema, count: int) -> None:
        """Count bytes of a column."""
        self.bytes += count
        if self.bytes > self.bytes_allowed:
            most = f"{self.bytes_allowed / 2**30:.1f} GiB, the most for a file of its size"
            raise UnpacksTooLarge(f"with column {_name(schema, column)} it unpacks to more than {most}")

    def add_values(self, column: int, schema: pq.ParquetSchema, count: int) -> None:
        """Count values of a column."""
        self.values[column] = self.values.get(column, 0) + count
        if self.values[column] > self.values_allowed:
            most = f"{self.values_allowed:,} values, the most for a file of its size"
            raise UnpacksTooLarge(f"column {_name(schema, column)} has more than {most}")


def _name(schema: pq.ParquetSchema, column: int) -> str:
    return repr(schema.column(column).path)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A column of a row group.

    Args:
        values: in it, with nulls.
        unpacked: bytes of its pages, packed and unpacked, and of what each value takes whatever is in it.
        repeated: bytes that texts take at most because a dictionary has them once and values repeat them.
    """

    values: int
    unpacked: int
    repeated: int


class _Place(NamedTuple):
    """Where the footer says that a column of a row group is: from its first byte to behind its last."""

    column: int
    start: int
    end: int
    values: int
    rows: int


class _Chunks:
    """The columns of a file's row groups by what their pages say; the same bytes are read once."""

    def __init__(self, path: Path, data: mmap.mmap, metadata: pq.FileMetaData, schema: pq.ParquetSchema) -> None:
        self._path, self._data, self._metadata, self._schema = path, data, metadata, schema
        self._known: dict[_Place, _Chunk] = {}
        self._exact: dict[_Place, int] = {}
        self._pages = 0

    def _place(self, group: int, column: int) -> _Place:
        rows = self._metadata.row_group(group)
        found = rows.column(column)
        start = found.data_page_offset
        if found.has_dictionary_page and 0 < found.dictionary_page_offset < start:
            start = found.dictionary_page_offset
        return _Place(column, start, start + found.total_compressed_size, found.num_values, rows.num_rows)

    def at(self, group: int, column: int) -> _Chunk:
        """A column of a row group.

        Raises:
            UnpacksTooLarge: its pages cannot be read, or have more or fewer values than the footer says.
        """
        place = self._place(group, column)
        if place not in self._known:
            try:
                self._known[place] = self._read(place)
            except (IndexError, DamagedPage) as error:
                what = f"the pages of column {_name(self._schema, column)} cannot be read ({error})"
                raise UnpacksTooLarge(what) from error
        return self._known[place]

    def _read(self, place: _Place) -> _Chunk:
        packed = place.end - place.start
        if packed < 0 or place.end > len(self._data):
            raise DamagedPage("the file ends before they do")
        if place.values <= 0 and place.rows <= 0:  # none is read, and pyarrow writes no place of one either
            return _Chunk(0, packed, 0)
        pages = []
        for page in page_headers(self._data, place.start, place.end):
            self._pages += 1
            if self._pages > _PAGES:
                raise DamagedPage("there are too many")
            if page.hides_lengths:
                raise DamagedPage("DELTA_BYTE_ARRAY hides how long texts are: write it with another encoding")
            pages.append(page)
        values = sum(page.values for page in pages if not page.is_dictionary)
        if values != place.values or values < place.rows:
            raise DamagedPage(f"they have {values} values, its footer says {place.values} in {place.rows} rows")
        unpacked = packed + sum(page.unpacked for page in pages)
        described = self._schema.column(place.column)
        if described.physical_type != "BYTE_ARRAY":
            width = described.length if described.physical_type == "FIXED_LEN_BYTE_ARRAY" else 8
            return _Chunk(values, unpacked + max(8, width) * values, 0)
        dictionary = sum(page.unpacked for page in pages if page.is_dictionary)
        indexed = sum(page.values for page in pages if page.has_numbers)
        return _Chunk(values, unpacked + 8 * values, indexed * dictionary)

    def repeated_bytes(self, group: int, column: int) -> int:
        """How many bytes the texts of a column of a row group take; they are read as numbers of its dictionary."""
        place = self._place(group, column)
        if place not in self._exact:
            with pq.ParquetFile(self._path, read_dictionary=[column]) as parquet:  # by number: names may be equal
                table = parquet.reader.read_row_group(group, column_indices=[column], use_threads=False)
            self._exact[place] = sum(_text_bytes(part) for one in table.columns for part in one.chunks)
        return self._exact[place]


def _text_bytes(array: Any) -> int:
    """The bytes of all texts in an array, however it nests them, without making them."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        lengths = pc.take(pc.binary_length(array.dictionary), array.indices)
        return int(pc.sum(lengths.cast(pa.int64())).as_py() or 0)
    if pa.types.is_struct(kind):
        return sum(_text_bytes(one) for one in array.flatten())
    if pa.types.is_map(kind):
        return _text_bytes(array.keys) + _text_bytes(array.items)
    if kind.num_fields:
        return _text_bytes(array.flatten())
    return int(array.nbytes)
