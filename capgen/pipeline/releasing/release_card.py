"""The card of a release: written with it, and alone where nothing but the card changes.

The rest of the release is then neither written again nor compared anew: what dedup found is read from the release, and
everything is counted from the candidates as it was when the release was packed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import msgspec

from capgen.dataset.card import CardInfo, ReleaseInfo, render_card, template_text
from capgen.dataset.files import remove_parts, sha256_of, write_whole
from capgen.dataset.layout import RunLayout
from capgen.dataset.plan import PlanRecord
from capgen.dataset.quality.release_counts import COLUMNS, ReleaseCounts
from capgen.dataset.release_record import (
    CONFIGS,
    Release,
    ReleasedFile,
    ReviewCounts,
    card_fits,
    stem,
    write_release,
)
from capgen.pipeline.releasing.outcomes import join
from capgen.pipeline.releasing.ranges import ShardRange, files_of, released_ranges
from capgen.pipeline.releasing.recorded_repeats import repeats_of_range
from capgen.pipeline.releasing.release_writer import PackOptions
from capgen.pipeline.releasing.reviewed import judged_in
from capgen.pipeline.tasks import TaskRunner, Tell

FileTold = Callable[[Path], None]
"""Is told of a file that was written."""


def card_digest(card: CardInfo) -> str:
    """Digest of all that a card is a function of beside its release."""
    inputs = {field.name: getattr(card, field.name) for field in fields(card)}
    text = msgspec.json.encode([inputs, template_text(card.template)], order="sorted")
    return hashlib.sha256(text).hexdigest()


def card_text(
    card: CardInfo, release: Release, splits: Sequence[str], options: PackOptions, counts: ReleaseCounts
) -> str:
    """``README.md`` of a release."""
    info = ReleaseInfo(
        globs={config: _globs(config, release, splits) for config in CONFIGS},
        schemas={"captions": options.captions_schema, "media": options.media_schema},
        fingerprint=release.fingerprint,
        embedded=options.embed_media,
        picture=options.embed,
        dedup=options.dedup,
        keep_alike=options.keep_alike,
        inputs=release.inputs,
        warning=release.warning,
        reviews=release.reviews,
    )
    return render_card(card, info, counts.stats, counts.quality)


def _globs(config: str, release: Release, splits: Sequence[str]) -> dict[str, str]:
    """The splits that have rows: ``datasets`` refuses a whole config because of one split without any."""
    filled = [split for split in splits if any(file.rows for file in release.of(config, split))]
    return {stem(split): RunLayout.data_pattern(config, stem(split)) for split in filled or splits}


def has_card(out: Path, release: Release, digest: str) -> bool:
    """Whether a release has the card with this digest, and no kill came between the card and its record."""
    return release.card == digest and release.card_before is None and card_fits(out, release)


def replace_card(out: Path, release: Release, text: str, digest: str, written: FileTold | None = None) -> Release:
    """Give a release another card; its record with it.

    A kill leaves a whole release with the old card or the new one: until the new one is there, the record has both.

    Args:
        digest: of what the card was made of; see ``card_digest``.
        written: is told of ``release.json``, the card, and ``release.json``, so that a bucket follows step by step.
    """
    layout, tell = RunLayout(out), written or (lambda _: None)
    remove_parts(out)
    data = text.encode()
    name = layout.record_of(layout.card)
    record = ReleasedFile(path=name, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
    files = tuple(record if file.path == name else file for file in release.files)
    before = sha256_of(layout.card) if card_fits(out, release) else None
    release = msgspec.structs.replace(release, files=files, card=digest, card_before=before)
    write_release(out, release)
    tell(layout.release_json)
    write_whole(layout.card, data)
    tell(layout.card)
    release = msgspec.structs.replace(release, card_before=None)
    write_release(out, release)
    tell(layout.release_json)
    return release


@dataclass(frozen=True, slots=True)
class RecountTask:
    """A range of a release that is to be counted again.

    Args:
        reviews: what people had said when the release was made.
        files: the released captions that hold its rows.
        legacy_root: see ``PlanRecord``.
    """

    out: Path
    shards: ShardRange
    reviews: ReviewCounts | None
    files: Sequence[ReleasedFile]
    legacy_root: str | None


def recount(out: Path, plan: PlanRecord, release: Release, runner: TaskRunner, tell: Tell) -> ReleaseCounts:
    """The counts that a release was packed with, from the candidates and from what dedup left in the release.

    Raises:
        LedgerError: candidates and plan disagree, or a file of the release cannot be read.
    """
    counts = ReleaseCounts()
    for split in plan.table.splits:
        counts.stats.open_split(split)
    ranges = released_ranges(plan.table.shards, release.files)
    captions = {one.number: files_of(one, release.files)["captions"] for one in ranges}
    work = [RecountTask(out, one, release.reviews, captions[one.number], plan.legacy_root) for one in ranges]
    for found in runner.map(recount_range, work, tell):
        counts.merge(found)
    counts.stats.missing_pictures = release.missing_pictures
    return counts


def recount_range(task: RecountTask, tell: Tell) -> ReleaseCounts:
    """The counts of one range."""
    counts = ReleaseCounts()
    reviewed = judged_in(task.out, task.reviews)
    repeated = repeats_of_range(task.out, task.shards.shards, task.files)
    for entry in task.shards.shards:
        shard = join(task.out, entry, repeated, reviewed, columns=COLUMNS, legacy_root=task.legacy_root)
        counts.add(entry.split, len(shard.media), shard.rows, shard.outcomes)
        tell()
    return counts
