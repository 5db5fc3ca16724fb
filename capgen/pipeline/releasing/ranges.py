"""Ranges of shards, which are packed and verified without knowing of each other.

A range is a function of the shard table alone. No released file holds rows of two ranges, so that the files are the
same however many processes write them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from capgen.dataset.plan import ShardEntry
from capgen.dataset.release_record import CONFIGS, ReleasedFile

RANGE_OBJECTS = 50_000
"""A range is full once it holds so many objects: a few seconds of work, and one file of captions."""
EMBEDDED_RANGE_OBJECTS = 10_000
"""The same where pictures are embedded, which take most of the time."""


@dataclass(frozen=True, slots=True)
class ShardRange:
    """Shards of one split, one after the other in the plan, and the range's place among all ranges."""

    number: int
    split: str
    shards: tuple[ShardEntry, ...]

    @property
    def span(self) -> tuple[int, int]:
        """The first and the last index of its shards, as ``ReleasedFile.shards`` has them."""
        return self.shards[0].index, self.shards[-1].index


def ranges_of(shards: Iterable[ShardEntry], objects: int = RANGE_OBJECTS) -> list[ShardRange]:
    """The ranges of a shard table; a shard is never divided."""
    return [ShardRange(number, found[0].split, tuple(found)) for number, found in enumerate(_cut(shards, objects))]


def _cut(shards: Iterable[ShardEntry], objects: int) -> Iterator[list[ShardEntry]]:
    found: list[ShardEntry] = []
    held = 0
    for entry in shards:
        if found and (held >= objects or entry.split != found[0].split):
            yield found
            found, held = [], 0
        found.append(entry)
        held += entry.objects
    if found:
        yield found


def released_ranges(shards: Sequence[ShardEntry], files: Iterable[ReleasedFile]) -> list[ShardRange]:
    """The ranges that a release was written by, as its files say.

    One range a split where they do not say it, as in older releases, or say something that cannot be.
    """
    spans = {(file.shards, file.split) for file in files if file.config is not None}
    place = {entry.index: number for number, entry in enumerate(shards)}
    ranges: list[ShardRange] = []
    covered = 0
    for span, split in sorted(spans, key=lambda one: place.get((one[0] or (-1,))[0], -1)):
        first, last = (place.get(index, -1) for index in span or (-1, -1))
        here = tuple(shards[first : last + 1])
        if first != covered or last < first or {entry.split for entry in here} != {split}:
            return _by_split(shards)
        ranges.append(ShardRange(len(ranges), here[0].split, here))
        covered = last + 1
    return ranges if covered == len(shards) and ranges else _by_split(shards)


def files_of(shards: ShardRange, files: Sequence[ReleasedFile]) -> dict[str, list[ReleasedFile]]:
    """By config, the files that hold the rows of a range: where they do not say whose they are, all of its split."""
    of_split = [file for file in files if file.split == shards.split]
    told = [file for file in of_split if file.shards == shards.span]
    whole = any(file.shards is None for file in of_split) or not told
    return {config: [file for file in (of_split if whole else told) if file.config == config] for config in CONFIGS}


def _by_split(shards: Sequence[ShardEntry]) -> list[ShardRange]:
    splits = dict.fromkeys(entry.split for entry in shards)
    return [
        ShardRange(number, split, tuple(entry for entry in shards if entry.split == split))
        for number, split in enumerate(splits)
    ]
