"""The second pass over kept captions: which say the same as an earlier one, over the whole release, and what follows.

Candidates stay as they were committed; the outcomes are a function of them. What the release leaves out for this is in
``OUT/dedup.parquet``, and the column ``dup_of`` marks the captions that it keeps although an earlier one says the same.

It is done in two steps of parts that do not depend on each other. A range of shards is read, compared within each image
or video, and its captions are hashed. Captions are compared within a category alone, so each part of the second step
takes some categories of all ranges. Between the steps, and until the release is packed, what was found is in files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from capgen.dataset.files import part_of
from capgen.dataset.layout import RunLayout
from capgen.dataset.reader import parquet_batches, read_columns
from capgen.dataset.release_record import DedupRules, ReviewCounts
from capgen.dataset.schema import DEDUP
from capgen.errors import LedgerError
from capgen.pipeline.releasing.ranges import ShardRange
from capgen.pipeline.releasing.repetition.near_duplicates import earlier_ones
from capgen.pipeline.releasing.repetition.shingles import Hashes, Shingler, ShingleSets, joined, text_hash
from capgen.pipeline.releasing.reviewed import judged_in
from capgen.pipeline.tasks import TaskRunner, Tell, nothing

DUPLICATE = "duplicate"
TOO_OFTEN = "said_too_often"
REASONS = (DUPLICATE, TOO_OFTEN)
"""The reasons for which dedup drops a caption."""

COLUMNS = ("key", "media_id", "category", "caption", "status")

_PART_OBJECTS = 100_000
"""So many objects of a run make one part more of the second step."""
_CODES = (None, *REASONS)
_KEYS = pa.large_string()
_HASHED = pa.schema([("key", _KEYS), ("digest", pa.uint64()), ("tokens", pa.list_(pa.uint64()))])
_REPEATED = pa.schema(
    [("range", pa.int32()), ("key", _KEYS), ("dup_of", _KEYS), ("similarity", pa.float32()), ("reason", pa.int8())]
)


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


@dataclass(frozen=True, slots=True)
class HashedCaptions:
    """The kept captions of a range that repeat nothing of their own image or video, as sets that are compared.

    ``kinds``: a hash of each one's category.
    """

    keys: pa.Array
    sets: ShingleSets
    kinds: Hashes

    def by_category(self, parts: int) -> list[HashedCaptions]:
        """The captions in so many parts, each category in one of them; their order within a part stays."""
        part = (self.kinds % np.uint64(parts)).astype(np.int64)
        order = np.argsort(part, kind="stable")
        ends = np.cumsum(np.bincount(part, minlength=parts))
        keys, sets, kinds = self.keys.take(pa.array(order)), self.sets.reordered(order), self.kinds[order]
        found = []
        for start, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True):
            found.append(HashedCaptions(keys[start:end], sets.between(start, end), kinds[start:end]))
        return found


def hash_captions(shards: Iterable[pa.Table], rules: DedupRules) -> tuple[HashedCaptions, pa.Table]:
    """The captions of some shards, in order, and those that repeat an earlier one of their own image or video.

    Args:
        shards: of their rows only ``COLUMNS`` are read. A medium is never in two shards.

    Returns:
        The captions that remain, and a table of the schema ``_REPEATED`` of the others.
    """
    shingler = Shingler(rules.shingle)
    parts: list[ShingleSets] = []
    keys, kinds, repeated = [pa.array([], _KEYS)], [np.zeros(0, np.uint64)], [_REPEATED.empty_table()]
    for rows in shards:
        kept = rows.select(COLUMNS).filter(pc.equal(rows.column("status"), "kept"))
        sets = shingler.sets(caption or "" for caption in kept.column("caption").to_pylist())
        media, categories = kept.column("media_id").to_pylist(), kept.column("category").to_pylist()
        groups = _hashes([(medium, category) for medium, category in zip(media, categories, strict=True)])
        found = earlier_ones(sets.within(groups), rules.near)
        names = kept.column("key").combine_chunks().cast(_KEYS)
        again = np.flatnonzero(found.of >= 0)
        code = np.full(len(again), _CODES.index(DUPLICATE), np.int8)
        repeated.append(_repeated(names, again, found.of[again], found.similarity[again], code))
        left = found.of < 0
        kind = _hashes([(category,) for category in categories])[left]
        keys.append(names.filter(pa.array(left)))
        kinds.append(kind)
        parts.append(sets.take(left).within(kind))
    hashed = HashedCaptions(pa.concat_arrays(keys), joined(parts), np.concatenate(kinds))
    return hashed, pa.concat_tables(repeated)


def join_captions(ranges: Sequence[HashedCaptions], rules: DedupRules) -> pa.Table:
    """Which captions of all ranges, in order, repeat an earlier one of their category; the schema is ``_REPEATED``."""
    sets = joined(part.sets for part in ranges)
    keys = pa.concat_arrays([*(part.keys for part in ranges), pa.array([], _KEYS)])
    found = earlier_ones(sets, rules.near)
    of, similarity = found.of.copy(), found.similarity.copy()
    reason = np.zeros(len(sets), np.int8)
    if rules.scope == "release":
        reason[of >= 0] = _CODES.index(DUPLICATE)
    if rules.per_sentence is not None:
        free = np.flatnonzero(reason == 0)
        over, first = _beyond(sets.digests[free], rules.per_sentence)
        late = free[over]
        reason[late], of[late], similarity[late] = _CODES.index(TOO_OFTEN), free[first], 1
    rows = np.flatnonzero(of >= 0)
    number = np.repeat(np.arange(len(ranges), dtype=np.int32), [len(part.keys) for part in ranges])
    return _repeated(keys, rows, of[rows], similarity[rows], reason[rows], number[rows])


def _repeated(
    keys: pa.Array,
    rows: NDArray[np.int64],
    of: NDArray[np.int64],
    similarity: NDArray[np.float32],
    reason: NDArray[np.int8],
    number: NDArray[np.int32] | None = None,
) -> pa.Table:
    """The rows that repeat the rows ``of``, in the schema ``_REPEATED``."""
    ranges = np.zeros(len(rows), np.int32) if number is None else number
    columns = [pa.array(ranges), keys.take(pa.array(rows)), keys.take(pa.array(of)), similarity, reason]
    return pa.Table.from_arrays([*columns[:3], *map(pa.array, columns[3:])], schema=_REPEATED)


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


@dataclass(frozen=True, slots=True)
class Duplicates:
    """What was found, in files of a folder.

    Args:
        parts: how many parts the second step had.
    """

    folder: Path
    parts: int

    def of_ranges(self, numbers: Iterable[int]) -> dict[str, RepeatedCaption]:
        """The repetitions among the captions of some ranges, by key."""
        tables = []
        for number in numbers:
            tables.append(_read(_within(self.folder, number)).read_all())
            for part in range(self.parts):
                table = _read(_joined(self.folder, part)).read_all()
                ranges = table.column("range").to_numpy()  # they ascend
                start, end = np.searchsorted(ranges, [number, number + 1])
                tables.append(table.slice(int(start), int(end - start)))
        return repeated_captions(tables)


def repeated_captions(tables: Iterable[pa.Table]) -> dict[str, RepeatedCaption]:
    """The rows of tables as ``hash_captions`` and ``join_captions`` give them, by key."""
    found: dict[str, RepeatedCaption] = {}
    for table in tables:
        columns = (table.column(name).to_pylist() for name in ("key", "dup_of", "similarity", "reason"))
        for key, dup_of, similarity, code in zip(*columns, strict=True):
            found[key] = RepeatedCaption(dup_of, similarity, _CODES[code])
    return found


def left_out(out: Path) -> dict[str, tuple[str, str]]:
    """What a release leaves out for dedup: reason and message by key; nothing where there is no release."""
    path = RunLayout(out).dedup
    if not path.is_file():
        return {}
    found = {}
    for batch in parquet_batches(path, DEDUP, ("key", "reasons", "message"), rows=10_000):
        found.update({row["key"]: (row["reasons"][0], row["message"]) for row in batch.to_pylist()})
    return found


@dataclass(frozen=True, slots=True)
class _HashTask:
    """A part of the first step."""

    out: Path
    shards: ShardRange
    rules: DedupRules
    reviews: ReviewCounts | None
    folder: Path
    parts: int


@dataclass(frozen=True, slots=True)
class _JoinTask:
    """A part of the second step."""

    part: int
    ranges: int
    rules: DedupRules
    folder: Path


def find_duplicates(
    out: Path,
    ranges: Sequence[ShardRange],
    rules: DedupRules,
    reviews: ReviewCounts | None,
    folder: Path,
    tasks: TaskRunner,
    tell: Tell = nothing,
) -> Duplicates:
    """Read the captions of a run's shards, in order, after what people said of them, and find what repeats what.

    A shard that cannot be read has no captions here: whoever needs its rows finds out why.

    Args:
        folder: takes the files of ``Duplicates``; every process of ``tasks`` must see it.
        tell: is called once a shard.
    """
    parts = max(1, -(-sum(entry.objects for one in ranges for entry in one.shards) // _PART_OBJECTS))
    first = [_HashTask(out, one, rules, reviews, folder, parts) for one in ranges]
    for _ in tasks.map(_hash_range, first, tell):
        pass
    for _ in tasks.map(_join_part, [_JoinTask(part, len(ranges), rules, folder) for part in range(parts)]):
        pass
    return Duplicates(folder, parts)


def _hash_range(task: _HashTask, tell: Tell) -> None:
    reviewed = judged_in(task.out, task.reviews)

    def shards() -> Iterator[pa.Table]:
        for entry in task.shards.shards:
            try:
                yield reviewed.apply(read_columns(task.out, entry.index, COLUMNS))
            except LedgerError:
                continue
            finally:
                tell()

    hashed, repeated = hash_captions(shards(), task.rules)
    batches = []
    for part in hashed.by_category(task.parts):
        starts = pa.array(part.sets.starts.astype(np.int32))
        tokens = pa.ListArray.from_arrays(starts, pa.array(part.sets.tokens))
        batches.append(pa.record_batch([part.keys, pa.array(part.sets.digests), tokens], schema=_HASHED))
    _write(_hashed(task.folder, task.shards.number), _HASHED, batches)
    _write(_within(task.folder, task.shards.number), _REPEATED, repeated.to_batches())


def _join_part(task: _JoinTask, tell: Tell) -> None:
    _ = tell
    parts = []
    for number in range(task.ranges):
        batch = _read(_hashed(task.folder, number)).get_batch(task.part)
        tokens = batch.column("tokens")
        starts = tokens.offsets.to_numpy().astype(np.int64)
        sets = ShingleSets(tokens.flatten().to_numpy(), starts - starts[0], batch.column("digest").to_numpy())
        parts.append(HashedCaptions(batch.column("key"), sets, np.zeros(0, np.uint64)))
    _write(_joined(task.folder, task.part), _REPEATED, join_captions(parts, task.rules).to_batches())


def _hashed(folder: Path, number: int) -> Path:
    return folder / f"captions-{number:05d}.arrow"


def _within(folder: Path, number: int) -> Path:
    return folder / f"within-{number:05d}.arrow"


def _joined(folder: Path, part: int) -> Path:
    return folder / f"repeated-{part:05d}.arrow"


def _write(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """The batches as a file, whole: a lost machine may do the same once more."""
    part = part_of(path)
    with pa.ipc.new_file(str(part), schema) as file:
        for batch in batches:
            file.write_batch(batch)
    part.replace(path)


def _read(path: Path) -> pa.ipc.RecordBatchFileReader:
    return pa.ipc.open_file(pa.memory_map(str(path)))
