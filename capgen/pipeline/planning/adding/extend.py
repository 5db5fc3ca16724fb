"""Adds to a run that is there: objects beyond its limit, and the new media of a source that has grown.

Shards that are planned keep their numbers and their media; what is new gets shards behind them. Only a medium that a
limit has cut may grow, in the shard that ends with it. That shard's file gets another name, so that at every moment the
files that ``plan.json`` names are whole.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from itertools import count
from pathlib import Path

import msgspec
from msgspec.structs import replace

from capgen.dataset.layout import RunLayout
from capgen.dataset.plan import PlannedMedia, PlanRecord, ShardEntry, SourceGrowth
from capgen.errors import UserError
from capgen.pipeline.planning.adding.comparison import SourceComparison
from capgen.pipeline.planning.adding.lines import compact, plan_bytes
from capgen.pipeline.planning.job import Job
from capgen.pipeline.planning.plan import PlanProgress, loadable, write_media, write_plan_json, write_shards
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
    _refuse_legacy(planned, f"--limit cannot be raised in {out}")
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
    return _recorded(layout, record)


def grow(
    source: Source, job: Job, wanted: PlanRecord, planned: PlanRecord, progress: PlanProgress | None = None
) -> PlanRecord:
    """Plan the media of a source that are not planned yet; the record that ``OUT/plan.json`` has then.

    The run stays the same one: its fingerprint is that of the source as it was planned first, and ``grown`` says what
    the source is now.

    Args:
        job: the run as it was planned.
        wanted: the new record, its shards left out.
        planned: the record that OUT has.

    Raises:
        UserError: the plan is of an earlier version, or a planned medium or one of its objects or pictures has changed
            or is gone.
        LedgerError: a file of the plan is missing or damaged.
    """
    layout = RunLayout(job.out)
    _refuse_legacy(planned, f"{job.out} cannot be extended")
    _drop_unnamed(layout, planned)
    first = len(planned.shards)
    comparison = SourceComparison(job, planned, wanted)
    try:
        new = comparison.new(loadable(source.scan()))
        table = write_media(new, layout.plan_part, int(planned.parts["shard_objects"]), progress)
        comparison.check()
        entries = [*planned.shards]
        for place, medium in comparison.longer.items():
            entries[place] = _rewritten(layout, entries[place], medium)
        entries += [_moved(layout, replace(entry, index=first + entry.index)) for entry in table.shards]
    finally:
        shutil.rmtree(layout.plan_part, ignore_errors=True)
    names = dict.fromkeys((*planned.folders, *table.folders))
    folders = {
        name: tuple(dict.fromkeys((*planned.folders.get(name, ()), *table.folders.get(name, ())))) for name in names
    }
    record = replace(
        wanted,
        fingerprint=planned.fingerprint,
        parts=planned.parts,
        folders=folders,
        left_out=dict(sorted((Counter(planned.left_out) + Counter(table.left_out)).items())),
        shards=tuple(entries),
        grown=(*planned.grown, SourceGrowth(source=wanted.parts["source"], shards=first)),
    )
    return _recorded(layout, record)


def _refuse_legacy(planned: PlanRecord, what: str) -> None:
    if planned.legacy_root is not None:
        raise UserError(f"{what}: an earlier version planned it", "give another --out")


def _recorded(layout: RunLayout, record: PlanRecord) -> PlanRecord:
    """Write the record, then delete the files that only an earlier one names."""
    write_plan_json(layout.out, record)
    _drop_unnamed(layout, record)
    return record


def _drop_unnamed(layout: RunLayout, record: PlanRecord) -> None:
    """Delete planned media that no record names: an extension was killed before its record was written."""
    named = {entry.file for entry in record.shards}
    for file in layout.plan_dir.glob("*.jsonl"):
        if file.name not in named:
            file.unlink()


def _moved(layout: RunLayout, entry: ShardEntry) -> ShardEntry:
    """The shard's file under a name that no plan has used."""
    name = _free_name(layout, entry.index)
    (layout.plan_part / entry.file).rename(layout.plan_file(name))
    return replace(entry, file=name)


def _free_name(layout: RunLayout, index: int) -> str:
    names = (f"{index:05d}-{number}.jsonl" if number else f"{index:05d}.jsonl" for number in count())
    return next(name for name in names if not layout.plan_file(name).exists())


def _rewritten(layout: RunLayout, entry: ShardEntry, medium: PlannedMedia) -> ShardEntry:
    """The shard with more objects of its last medium, in another file."""
    data = plan_bytes(layout, entry)
    start = data.rfind(b"\n", 0, len(data) - 1) + 1
    before = len(msgspec.json.decode(data[start:], type=PlannedMedia).objects)
    data = data[:start] + compact(msgspec.json.encode(medium)) + b"\n"
    name = _free_name(layout, entry.index)
    part = layout.plan_part / name
    part.write_bytes(data)
    part.rename(layout.plan_file(name))
    objects = entry.objects + len(medium.objects) - before
    return replace(entry, objects=objects, file=name, sha256=hashlib.sha256(data).hexdigest())
