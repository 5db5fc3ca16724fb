"""A shard's candidates joined to its plan, and what becomes of each row: released, or left out for a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from capgen.dataset.plan import PlannedMedia, ShardEntry
from capgen.dataset.reader import read_columns, read_media
from capgen.dataset.row import Status
from capgen.dataset.shards import candidates_path
from capgen.dataset.stats import RowOutcome
from capgen.errors import LedgerError
from capgen.pipeline.releasing.dedup import RepeatedCaption
from capgen.pipeline.releasing.reviewed import Reviewed

ShardProgress = Callable[[int, int], None]
"""Is told how many shards are done, and how many there are in all."""

OUTCOME_COLUMNS = ("key", "category", "caption", "status", "reasons")


@dataclass(frozen=True, slots=True)
class JoinedShard:
    """A shard as it is released: ``rows`` and ``outcomes`` follow the objects of ``media``.

    ``rows`` has the candidates' schema and ``source``.
    """

    media: list[PlannedMedia]
    rows: pa.Table
    outcomes: list[RowOutcome]


def planned_keys(media: Iterable[PlannedMedia]) -> list[str]:
    """The keys of all planned objects, in order."""
    return [m.key_of(item.object_id) for m in media for item in m.objects]


def join(
    out: Path,
    entry: ShardEntry,
    repeated: Mapping[str, RepeatedCaption],
    reviewed: Reviewed,
    *,
    columns: Sequence[str] = (),
    legacy_root: str | None = None,
) -> JoinedShard:
    """A committed shard in the order of its plan; rows find their objects by key.

    Args:
        repeated: what dedup found, at least of this shard, by key.
        reviewed: what people said; it counts what that does to the shard.
        columns: of the rows, with ``OUTCOME_COLUMNS``; empty for all.
        legacy_root: see ``PlanRecord``.

    Raises:
        LedgerError: the keys of the plan and of the candidates are not the same set.
    """
    media = list(read_media(out, entry, legacy_root=legacy_root))
    keys = planned_keys(media)
    rows = read_columns(out, entry.index, columns)
    found: list[str] = rows.column("key").to_pylist()
    if found != keys:
        position = {key: i for i, key in enumerate(found)}
        if len(position) != len(found) or len(found) != len(keys) or set(position) != set(keys):
            path = candidates_path(out, entry.index)
            raise LedgerError(
                f"{path} does not hold the objects that plan/{entry.file} plans; capgen verify says which"
            )
        rows = rows.take([position[key] for key in keys]).combine_chunks()
    rows = reviewed.apply(rows, count=True)
    return JoinedShard(media, rows, outcomes_of(rows, repeated))


def outcomes_of(rows: pa.Table, repeated: Mapping[str, RepeatedCaption]) -> list[RowOutcome]:
    """The outcomes on a shard's rows, of which only ``OUTCOME_COLUMNS`` are read."""
    outcomes = []
    for row in zip(*(rows.column(name).to_pylist() for name in OUTCOME_COLUMNS), strict=True):
        key, category, caption, status, reasons = row
        reason = reasons[0] if reasons else None
        again = repeated.get(key) if status == "kept" else None
        if again is None:
            outcomes.append(RowOutcome(key, category, caption, status, reason))
        else:
            becomes: Status = "dropped" if again.reason else "kept"
            outcomes.append(RowOutcome(key, category, caption, becomes, again.reason, again.dup_of, again.similarity))
    return outcomes
