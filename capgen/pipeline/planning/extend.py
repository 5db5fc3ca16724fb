"""A larger limit for a run that is there: shards are added behind those planned, of which only the last may grow.

The last shard of a limited plan may end in the middle of a medium, and no medium is ever in two shards. Its file gets
another name, so that at every moment the files that ``plan.json`` names are whole.
"""

from __future__ import annotations

import shutil
from itertools import count
from pathlib import Path

from msgspec.structs import replace

from capgen.dataset.layout import RunLayout
from capgen.dataset.plan import PlanRecord, ShardEntry
from capgen.errors import UserError
from capgen.pipeline.planning.plan import write_plan_json, write_shards
from capgen.pipeline.sources.base import Source


def check_limit(limit: int | None, planned: int | None, out: Path) -> None:
    """Refuse a limit below the one that OUT was planned with.

    Raises:
        UserError: it is.
    """
    if limit is not None and (planned is None or limit < planned):
        raise UserError(
            f"--limit {limit}: {out} is planned with {'no limit' if planned is None else f'a limit of {planned}'}, "
            "and a plan only grows",
            "leave --limit out to go on, or give another --out",
        )


def extend(source: Source, out: Path, wanted: PlanRecord, planned: PlanRecord) -> PlanRecord:
    """Plan again with a larger limit; the record that ``OUT/plan.json`` has then.

    Args:
        wanted: the new record, its shards left out.
        planned: the record that OUT has.

    Raises:
        UserError: the plan is of an earlier version, or planning again gives other shards.
    """
    layout = RunLayout(out)
    other = UserError(f"--limit cannot be raised in {out}: planning again gives other shards", "give another --out")
    if planned.legacy_root is not None:
        raise UserError(f"--limit cannot be raised in {out}: an earlier version planned it", "give another --out")
    shard_objects = int(planned.parts["shard_objects"])
    try:
        table = write_shards(source, layout.plan_part, shard_objects=shard_objects, limit=wanted.limit)
        same = [new.sha256 == old.sha256 for new, old in zip(table.shards, planned.shards, strict=False)]
        if len(table.shards) < len(planned.shards) or not all(same[:-1]):
            raise other
        kept = sum(same)
        entries = [*planned.shards[:kept], *(_moved(layout, entry) for entry in table.shards[kept:])]
    finally:
        shutil.rmtree(layout.plan_part, ignore_errors=True)
    record = replace(
        wanted,
        fingerprint=planned.fingerprint,
        folders=table.folders,
        left_out=table.left_out,
        shards=tuple(entries),
    )
    write_plan_json(out, record)
    for old in planned.shards[kept:]:
        layout.plan_file(old.file).unlink(missing_ok=True)
    return record


def _moved(layout: RunLayout, entry: ShardEntry) -> ShardEntry:
    """The shard's file under a name that no plan has used."""
    names = (f"{entry.index:05d}-{number}.jsonl" if number else f"{entry.index:05d}.jsonl" for number in count())
    name = next(name for name in names if not layout.plan_file(name).exists())
    (layout.plan_part / entry.file).rename(layout.plan_file(name))
    return replace(entry, file=name)
