"""The release: kept captions and all media, written range by range from plan and candidates into ``OUT/data/``.

Its files are a function of the committed shards, the release's options and the card's template alone: neither the
number of processes nor an interruption shows in a single byte.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import msgspec

from capgen.dataset.card import CardInfo, check_card
from capgen.dataset.files import scratch_folder, sha256_of
from capgen.dataset.layout import RunLayout
from capgen.dataset.plan import PlanRecord, ShardEntry, ShardTable
from capgen.dataset.release_record import (
    DEFAULT_RULES,
    Counts,
    DedupRules,
    Release,
    ReleasedFile,
    read_release,
    write_release,
)
from capgen.dataset.schema import SCHEMA_VERSION
from capgen.dataset.shards import is_committed, read_manifest, remove_leftovers
from capgen.errors import LedgerError, UserError
from capgen.pipeline.releasing.assembly import Assembly
from capgen.pipeline.releasing.dedup import find_duplicates
from capgen.pipeline.releasing.embedded import Embed
from capgen.pipeline.releasing.outcomes import ShardProgress
from capgen.pipeline.releasing.ranges import EMBEDDED_RANGE_OBJECTS, RANGE_OBJECTS, ranges_of
from capgen.pipeline.releasing.release_card import FileTold, card_digest, card_text, has_card, recount, replace_card
from capgen.pipeline.releasing.release_writer import PackOptions, PackTask, pack_range
from capgen.pipeline.releasing.reviewed import Reviewed
from capgen.pipeline.tasks import InThisProcess, TaskRunner, Tell, nothing


def pack(
    out: Path,
    plan: PlanRecord,
    card: CardInfo,
    *,
    embed: Embed | None = None,
    dedup: DedupRules | None = DEFAULT_RULES,
    keep_alike: bool = True,
    root: Path | None = None,
    bounds: Path | None = None,
    max_failed: float = 1.0,
    progress: ShardProgress | None = None,
    tasks: TaskRunner | None = None,
    written: FileTold | None = None,
) -> Release:
    """Write a run's release: ``OUT/data/``, ``OUT/dedup.parquet``, ``OUT/README.md``, and ``OUT/release.json`` last.

    A release of the same inputs that is already there is left alone; where its card alone would be another one, that
    alone is written. The old release stays until the new one is complete beside it; from the swap until
    ``release.json`` is written, OUT has none.

    Args:
        embed: the pictures that the release holds; see ``PackOptions``.
        keep_alike: see ``PackOptions``.
        dedup: which repetitions are left out; None: none are, and none are marked.
        progress: is told of each shard twice: when its captions were compared, and when it was written.
        max_failed: share of the objects above which the release is marked because so many failed.
        root: where the dataset is now, for ``embed``; None where it was when the run was planned.
        bounds: the folder out of which links among the pictures must not lead; None follows all links.
        tasks: where the ranges are packed; None in this process, one after the other.
        written: is told of each file where the card alone is written; see ``replace_card``.

    Raises:
        UserError: shards are missing, or the card's template has a mistake.
        LedgerError: candidates and plan disagree, or ``OUT/reviews.jsonl`` is damaged.
        MissingFile: with ``embed``, not one of the pictures is where the plan says.
    """
    table, fingerprint = plan.table, plan.fingerprint
    done = [entry for entry in table.shards if is_committed(out, entry.index, fingerprint)]
    if len(done) < len(table.shards):
        missing = len(table.shards) - len(done)
        raise UserError(
            f"{out}: {missing} of its {len(table.shards)} shards are not done", "run the same command again"
        )
    remove_leftovers(out)
    options = PackOptions(embed=embed, dedup=dedup, keep_alike=keep_alike)
    reviewed = Reviewed.of_run(out)
    inputs, shown = _digest(out, table, done, options, fingerprint, max_failed, reviewed.sha256), card_digest(card)
    current = _current(out, inputs)
    if current is not None and has_card(out, current, shown):
        return current

    check_card(card)
    runner = tasks or InThisProcess()
    if current is not None:
        counts = recount(out, plan, current, runner, counted_steps(progress, len(done)))
        return replace_card(out, current, card_text(card, current, table.splits, options, counts), shown, written)
    assembly = Assembly(out, table.splits)
    ranges = ranges_of(done, EMBEDDED_RANGE_OBJECTS if embed else RANGE_OBJECTS)
    tell = counted_steps(progress, (1 + (dedup is not None)) * len(done))
    with scratch_folder(out) as folder:
        used, where = reviewed.used, root or plan.root or ""
        found = find_duplicates(out, ranges, dedup, used, folder, runner, tell) if dedup is not None else None
        work = [PackTask(out, one, options, folder, used, found, where, bounds, plan.legacy_root) for one in ranges]
        for packed in runner.map(pack_range, work, tell):
            assembly.add(packed)
            reviewed.count(packed.effects)
        files = assembly.finish()
    stats = assembly.counts.stats
    release = Release(
        version=SCHEMA_VERSION,
        fingerprint=fingerprint,
        inputs=inputs,
        dedup=dedup is not None,
        dedup_rules=dedup,
        embed_media=embed == "media",
        embed=embed,
        shards=len(done),
        shards_planned=len(table.shards),
        media=stats.media,
        counts=Counts(
            planned=stats.objects,
            kept=stats.kept,
            dropped=dict(sorted(stats.dropped.items())),
            failed=dict(sorted(stats.failed.items())),
        ),
        missing_pictures=stats.missing_pictures,
        files=tuple(files),
        keep_alike=keep_alike,
        warning=too_many_failed(stats.failed, stats.objects, max_failed),
        reviews=reviewed.counts(),
        card=shown,
    )
    assembly.swap(card_text(card, release, table.splits, options, assembly.counts))
    release = msgspec.structs.replace(release, files=(*files, *_recorded_whole(out)))
    write_release(out, release)
    return release


def counted_steps(progress: ShardProgress | None, total: int) -> Tell:
    """Tells ``progress`` of one step more of ``total`` each time."""
    steps = itertools.count(1)
    return (lambda: progress(next(steps), total)) if progress else nothing


def too_many_failed(failed: Mapping[str, int], planned: int, max_failed: float) -> str | None:
    """A sentence where more than a share ``max_failed`` of the objects failed; None where that is not so."""
    count = sum(failed.values())
    if count <= max_failed * planned:
        return None
    reasons = ", ".join(f"{code} {number:,}" for code, number in sorted(failed.items(), key=lambda one: (-one[1], one)))
    return f"{count:,} of {planned:,} objects failed, {count / planned:.1%} where {max_failed:.1%} may ({reasons})"


def _digest(
    out: Path,
    table: ShardTable,
    done: Sequence[ShardEntry],
    options: PackOptions,
    fingerprint: str,
    max_failed: float,
    reviews: str | None,
) -> str:
    """Digest of all that a release is a function of, its card aside."""
    manifests = [read_manifest(out, entry.index) for entry in done]
    inputs = {
        "version": SCHEMA_VERSION,
        "fingerprint": fingerprint,
        "options": asdict(options),
        "max_failed": max_failed,
        "plan": [[entry.index, entry.split, entry.sha256] for entry in table.shards],
        "candidates": [[manifest.index, manifest.sha256] for manifest in manifests if manifest is not None],
    } | ({"reviews": reviews} if reviews else {})
    return hashlib.sha256(msgspec.json.encode(inputs, order="sorted")).hexdigest()


def _current(out: Path, inputs: str) -> Release | None:
    """The release that is there, if it is of these inputs, its plan is as it was, and no file changed its size.

    Its card may be another one.
    """
    try:
        release = read_release(out)
    except LedgerError:
        return None
    if release is None or release.inputs != inputs:
        return None
    layout = RunLayout(out)
    plan = layout.record_of(layout.plan_json)  # a larger limit may have left its size and all shards as they were
    if any(file.path == plan and file.sha256 != sha256_of(layout.plan_json) for file in release.files):
        return None
    card = layout.record_of(layout.card)
    if all(file.path != card for file in release.files):
        return None
    sizes = ((layout.released(file.path), file.bytes) for file in release.files if file.path != card)
    return release if all(path.is_file() and path.stat().st_size == size for path, size in sizes) else None


def _recorded_whole(out: Path) -> list[ReleasedFile]:
    """The records of the files beside ``data/``."""
    layout = RunLayout(out)
    paths = [path for path in (layout.dedup, layout.card, layout.plan_json, layout.source_json) if path.is_file()]
    return [
        ReleasedFile(path=layout.record_of(path), sha256=sha256_of(path), bytes=path.stat().st_size) for path in paths
    ]
