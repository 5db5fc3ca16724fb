"""What dedup found when a release was packed, read again shard by shard in the order in which it was written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from capgen.dataset.layout import RunLayout
from capgen.dataset.plan import ShardEntry
from capgen.dataset.reader import parquet_batches, read_columns
from capgen.dataset.release_record import Release, ReleasedFile
from capgen.dataset.schema import CAPTIONS, DEDUP
from capgen.pipeline.releasing.dedup import RepeatedCaption

_ROWS = 10_000

_Found = tuple[str, RepeatedCaption]


class RecordedRepeats:
    """The repetitions of a release, to be asked for shard by shard in the order of the plan; memory is a batch's.

    Args:
        release: of the candidates as they are now; None where there is none, and then nothing is known.
    """

    def __init__(self, out: Path, release: Release | None) -> None:
        self._out, self._release = out, release
        self._left_out = _Ahead(_dropped(out) if release and RunLayout(out).dedup.is_file() else iter(()))
        self._marked: dict[str, _Ahead] = {}

    def of_shard(self, split: str, keys: Sequence[str]) -> dict[str, RepeatedCaption]:
        """What is known of a shard's rows, by key.

        Raises:
            LedgerError: a file of the release cannot be read.
        """
        if self._release is None:
            return {}
        if split not in self._marked:
            self._marked[split] = _Ahead(_marked(self._out, self._release.of("captions", split)))
        among = set(keys)
        return dict([*self._left_out.take(among), *self._marked[split].take(among)])


def repeats_of_range(
    out: Path, shards: Iterable[ShardEntry], files: Iterable[ReleasedFile]
) -> dict[str, RepeatedCaption]:
    """What is known of the rows of some shards, by key.

    Args:
        files: the released captions of these shards.

    Raises:
        LedgerError: a file of the release, or the rows of a shard, cannot be read.
    """
    keys = [read_columns(out, entry.index, ("key",)).column("key") for entry in shards]
    among = pa.chunked_array([chunk for column in keys for chunk in column.chunks], pa.string())
    return dict([*_dropped(out, among), *_marked(out, files)])


class _Ahead:
    """An iterator whose next item can be looked at."""

    def __init__(self, items: Iterator[_Found]) -> None:
        self._items = items
        self._next = next(items, None)

    def take(self, keys: set[str]) -> Iterator[_Found]:
        """The items from here on that are about some of the keys."""
        while self._next is not None and self._next[0] in keys:
            yield self._next
            self._next = next(self._items, None)


def _dropped(out: Path, among: pa.ChunkedArray | None = None) -> Iterator[_Found]:
    """Captions that the release leaves out, with one of the keys ``among`` where these are given."""
    for batch in parquet_batches(RunLayout(out).dedup, DEDUP, ("key", "reasons", "dup_of", "similarity"), rows=_ROWS):
        found = batch if among is None else batch.filter(pc.is_in(batch.column("key"), among))
        for row in found.to_pylist():
            yield row["key"], RepeatedCaption(row["dup_of"], row["similarity"], row["reasons"][0])


def _marked(out: Path, files: Iterable[ReleasedFile]) -> Iterator[_Found]:
    """Released captions that say the same as an earlier one; how nearly so is not recorded for them."""
    for file in files:
        for batch in parquet_batches(RunLayout(out).released(file.path), CAPTIONS, ("key", "dup_of"), rows=_ROWS):
            for row in batch.filter(pc.is_valid(batch.column("dup_of"))).to_pylist():
                yield row["key"], RepeatedCaption(row["dup_of"], 1.0)
