"""The headers of a Parquet file's pages, which say how many bytes and values each page has once it is unpacked.

Format: parquet.thrift of apache/parquet-format, in Thrift's compact protocol.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_TYPE, _UNPACKED, _PACKED = 1, 2, 3  # fields of a PageHeader
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3  # types of pages
_STRUCT_OF_TYPE = {_DATA: 5, _DICTIONARY: 7, _DATA_V2: 8}
_ENCODING_IN = {_DATA: 2, _DICTIONARY: 2, _DATA_V2: 4}
_COUNT = 1
_PLAIN_DICTIONARY, _DELTA_BYTE_ARRAY, _RLE_DICTIONARY = 2, 7, 8  # encodings

_BOOLEANS, _BYTE, _INT32, _INTEGERS, _DOUBLE, _BINARY, _LISTS, _STRUCT = (1, 2), 3, 5, (4, 5, 6), 7, 8, (9, 10), 12
_DEEPEST = 16


class DamagedPage(Exception):
    """A column's pages are not to be read."""


@dataclass(frozen=True, slots=True)
class PageHeader:
    """What the header of a page says; ``unpacked`` is bytes."""

    kind: int
    unpacked: int
    values: int
    encoding: int

    @property
    def is_dictionary(self) -> bool:
        """Whether it holds the values that other pages have numbers of."""
        return self.kind == _DICTIONARY

    @property
    def has_numbers(self) -> bool:
        """Whether its values are numbers of a dictionary's."""
        return self.encoding in (_PLAIN_DICTIONARY, _RLE_DICTIONARY)

    @property
    def hides_lengths(self) -> bool:
        """Whether each of its texts may repeat the one before, so that its size says nothing of theirs."""
        return self.encoding == _DELTA_BYTE_ARRAY


def page_headers(data: mmap.mmap, start: int, end: int) -> Iterator[PageHeader]:
    """The pages of a column of a row group.

    Raises:
        IndexError, DamagedPage: a header is damaged.
    """
    reader = _CompactReader(data, start)
    while reader.at < end:
        header = reader.numbers(frozenset(_STRUCT_OF_TYPE.values()))
        kind = header.get(_TYPE, -1)
        inner = header.get(_STRUCT_OF_TYPE.get(kind, 0), {})
        page = PageHeader(
            kind, header.get(_UNPACKED, -1), inner.get(_COUNT, -1), inner.get(_ENCODING_IN.get(kind, 0), -1)
        )
        packed = header.get(_PACKED, -1)
        if page.unpacked < 0 or packed < 0 or (kind in _STRUCT_OF_TYPE and page.values < 0):
            raise DamagedPage("a header lacks a number, or has one below 0")
        yield page if kind in _STRUCT_OF_TYPE else PageHeader(kind, page.unpacked, 0, -1)
        reader.advance(packed)


class _CompactReader:
    """Reads Thrift's compact protocol; ``at`` is the place in ``data``."""

    __slots__ = ("at", "data")

    def __init__(self, data: mmap.mmap, at: int) -> None:
        if at < 0:
            raise DamagedPage("a place is below 0")
        self.data, self.at = data, at

    def numbers(self, structs: frozenset[int] = frozenset()) -> dict[int, Any]:
        """The 32-bit fields of a struct by their numbers, and those of the structs of these numbers in it."""
        found: dict[int, Any] = {}
        for number, wire in self._fields():
            if wire == _INT32:
                found[number] = self._integer()
            elif wire == _STRUCT and number in structs:
                found[number] = self.numbers()
            else:
                self._skip(wire)
        return found

    def advance(self, count: int) -> None:
        """Go on by so many bytes."""
        self.at += count
        if self.at > len(self.data):
            raise DamagedPage("the file ends before they do")

    def _byte(self) -> int:
        found = self.data[self.at]
        self.at += 1
        return found

    def _varint(self) -> int:
        """An unsigned number of up to 64 bits."""
        found = 0
        for shift in range(0, 70, 7):
            part = self._byte()
            found |= (part & 0x7F) << shift
            if part < 0x80:
                return found
        raise DamagedPage("a number is too long")

    def _integer(self) -> int:
        """A signed number of 32 bits; of a longer one the lower bits count, as for Thrift's readers in C++."""
        found = self._varint() & 0xFFFFFFFF
        return (found >> 1) ^ -(found & 1)

    def _fields(self) -> Iterator[tuple[int, int]]:
        """Number and type of each field of a struct; who asks for the next one has read or skipped the value."""
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            number = (number + 0x8000) % 0x10000 - 0x8000  # 16 bits, as there
            yield number, head & 15

    def _skip(self, wire: int, depth: int = 0) -> None:
        """Go behind a value that is of no interest; booleans stand in the head of their field."""
        if depth > _DEEPEST:
            raise DamagedPage("a header nests too deeply")
        if wire in _INTEGERS:
            self._varint()
        elif wire in (_BYTE, _DOUBLE):
            self.advance(1 if wire == _BYTE else 8)
        elif wire == _BINARY:
            self.advance(self._varint())
        elif wire == _STRUCT:
            for _, inner in self._fields():
                self._skip(inner, depth + 1)
        elif wire in _LISTS:
            self._skip_list(depth)
        elif wire not in _BOOLEANS:
            raise DamagedPage("a header has a field of an unknown type")

    def _skip_list(self, depth: int) -> None:
        head = self._byte()
        count = self._varint() if head >> 4 == 15 else head >> 4
        if head & 15 in _BOOLEANS:
            self.advance(count)
            return
        for _ in range(count):
            self._skip(head & 15, depth + 1)
