"""The second pass over kept captions: which say the same as an earlier one, over the whole release, and what follows.

Candidates stay as they were committed; the outcomes are a function of them. What the release leaves out for this is in
``OUT/dedup.parquet``, and the column ``dup_of`` marks the captions that it keeps although an earlier one says the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from capgen.dataset.layout import RunLayout
from capgen.dataset.plan import ShardEntry
from capgen.dataset.reader import parquet_batches, read_columns
from capgen.dataset.release_record import DedupRules
from capgen.dataset.schema import DEDUP
from capgen.errors import LedgerError
from capgen.pipeline.releasing.near_duplicates import earlier_ones
from capgen.pipeline.releasing.reviewed import Reviewed
from capgen.pipeline.releasing.shingles import Hashes, Shingler, ShingleSets, joined, text_hash

DUPLICATE = "duplicate"
TOO_OFTEN = "said_too_often"
REASONS = (DUPLICATE, TOO_OFTEN)
"""The reasons for which dedup drops a caption."""

COLUMNS = ("key", "media_id", "category", "caption", "status")


class RepeatedCaption(NamedTuple):
    """What is known of a caption that says the same as an earlier one.

    Args:
        dup_of: the key of that one.
        similarity: the Jaccard similarity of their word shingles; 1 where they are equal.
        reason: why the release leaves the caption out; None where it keeps it.
    """

    dup_of: str
    similarity: float
    reason: str | None = None

    def message(self) -> str:
        """The outcome in a sentence."""
        if self.reason == TOO_OFTEN:
            return f"its category has this sentence as often as dedup.per_sentence allows, first at {self.dup_of}"
        if self.similarity >= 1:
            return f"the same caption as {self.dup_of}"
        return f"nearly the same caption as {self.dup_of} (similarity {self.similarity:.2f})"


@dataclass(slots=True)
class _Shard:
    """The kept captions of a shard: what is known of each, as indices into ``keys`` of this shard or of all."""

    keys: pa.Array
    of: NDArray[np.int64]
    similarity: NDArray[np.float32]
    dropped: NDArray[np.bool_]
    offset: int = 0


class DedupPass:
    """Takes the shards of a release one after the other, then says which captions repeat others.

    Held are the hashed shingles and the key of each kept caption, about 200 bytes, and the vocabulary.
    """

    def __init__(self, rules: DedupRules) -> None:
        self._rules = rules
        self._shingler = Shingler(rules.shingle)
        self._shards: dict[int, _Shard] = {}
        self._parts: list[ShingleSets] = []
        self._rows = 0

    def add(self, index: int, rows: pa.Table) -> None:
        """The next shard, of which only ``COLUMNS`` are read. A medium is never in two shards."""
        kept = rows.select(COLUMNS).filter(pc.equal(rows.column("status"), "kept"))
        sets = self._shingler.sets(caption or "" for caption in kept.column("caption").to_pylist())
        media, categories = kept.column("media_id").to_pylist(), kept.column("category").to_pylist()
        groups = _hashes([(medium, category) for medium, category in zip(media, categories, strict=True)])
        found = earlier_ones(sets.within(groups), self._rules.near)
        shard = _Shard(
            keys=kept.column("key").combine_chunks(),
            of=np.where(found.of >= 0, found.of + self._rows, -1),
            similarity=found.similarity,
            dropped=found.of >= 0,
            offset=self._rows,
        )
        self._shards[index] = shard
        self._rows += len(sets)
        left = ~shard.dropped
        kinds = _hashes([(category,) for category in categories])
        self._parts.append(sets.take(left).within(kinds[left]))

    def finish(self) -> Duplicates:
        """After the last shard: what repeats what across all of them."""
        sets, self._parts = joined(self._parts), []
        shards = list(self._shards.values())
        none = [np.zeros(0, np.int64)]
        rows = np.concatenate(none + [np.flatnonzero(~shard.dropped) + shard.offset for shard in shards])
        found = earlier_ones(sets, self._rules.near)
        marked = found.of >= 0
        of = np.full(self._rows, -1, np.int64)
        similarity, reason = np.zeros(self._rows, np.float32), np.zeros(self._rows, np.int8)
        of[rows] = np.where(marked, rows[found.of], -1)
        similarity[rows] = found.similarity
        if self._rules.scope == "release":
            reason[rows[marked]] = 1 + REASONS.index(DUPLICATE)
        if self._rules.per_sentence is not None:
            free = reason[rows] == 0
            over, first = _beyond(sets.digests[free], self._rules.per_sentence)
            late = rows[free][over]
            reason[late], of[late], similarity[late] = 1 + REASONS.index(TOO_OFTEN), rows[free][first], 1
        for shard in shards:
            end = shard.offset + len(shard.keys)
            here = slice(shard.offset, end)
            reason[here][shard.dropped] = 1 + REASONS.index(DUPLICATE)
            of[here][shard.dropped], similarity[here][shard.dropped] = (
                shard.of[shard.dropped],
                shard.similarity[shard.dropped],
            )
        return Duplicates(self._shards, of, similarity, reason)


def _hashes(names: Iterable[tuple[str | None, ...]]) -> Hashes:
    known: dict[tuple[str | None, ...], int] = {}
    found = [known[name] if name in known else known.setdefault(name, text_hash(repr(name))) for name in names]
    return np.array(found, dtype=np.uint64)


def _beyond(digests: Hashes, limit: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The indices of sentences beyond the first ``limit`` that are equal, and of the first one of each of them."""
    order = np.argsort(digests, kind="stable")
    ordered = digests[order]
    begins = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))[: len(ordered)])
    begin = np.repeat(begins, np.diff(np.append(begins, len(ordered))))
    late = np.flatnonzero(np.arange(len(ordered)) - begin >= limit)
    return order[late], order[begin[late]]


class Duplicates:
    """The outcome of a pass, by shard."""

    def __init__(
        self,
        shards: Mapping[int, _Shard],
        of: NDArray[np.int64],
        similarity: NDArray[np.float32],
        reason: NDArray[np.int8],
    ) -> None:
        self._shards, self._of, self._similarity, self._reason = shards, of, similarity, reason
        ordered = sorted(shards.values(), key=lambda shard: shard.offset)
        self._ordered, self._offsets = ordered, np.array([shard.offset for shard in ordered], np.int64)

    def of_shard(self, index: int) -> dict[str, RepeatedCaption]:
        """The repetitions among a shard's captions, by key."""
        shard = self._shards.get(index)
        if shard is None:
            return {}
        found = np.flatnonzero(self._of[shard.offset : shard.offset + len(shard.keys)] >= 0)
        keys = shard.keys.take(pa.array(found)).to_pylist()
        return {
            key: RepeatedCaption(self._key(int(self._of[row])), float(self._similarity[row]), self._why(row))
            for key, row in zip(keys, (found + shard.offset).tolist(), strict=True)
        }

    def _why(self, row: int) -> str | None:
        code = int(self._reason[row])
        return REASONS[code - 1] if code else None

    def _key(self, row: int) -> str:
        shard = self._ordered[int(np.searchsorted(self._offsets, row, side="right")) - 1]
        return str(shard.keys[row - shard.offset].as_py())


def left_out(out: Path) -> dict[str, tuple[str, str]]:
    """What a release leaves out for dedup: reason and message by key; nothing where there is no release."""
    path = RunLayout(out).dedup
    if not path.is_file():
        return {}
    found = {}
    for batch in parquet_batches(path, DEDUP, ("key", "reasons", "message"), rows=10_000):
        found.update({row["key"]: (row["reasons"][0], row["message"]) for row in batch.to_pylist()})
    return found


def find_duplicates(
    out: Path,
    shards: Iterable[ShardEntry],
    rules: DedupRules,
    reviewed: Reviewed,
    progress: Callable[[], None] | None = None,
) -> Duplicates:
    """Read the captions of a run's shards, in order, after what people said of them, and find what repeats what.

    A shard that cannot be read has no captions here: whoever needs its rows finds out why.
    """
    run = DedupPass(rules)
    for entry in shards:
        try:
            rows = reviewed.apply(read_columns(out, entry.index, COLUMNS))
        except LedgerError:
            continue
        run.add(entry.index, rows)
        if progress:
            progress()
    return run.finish()
