"""``capgen import``: plan, candidates and release of captions that somebody else wrote, as a run leaves them.

Nothing is asked, checked or deduplicated. An object without a caption is one that was dropped for ``no_caption``, or
for the reason that an export of capgen gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from capgen.dataset.files import scratch_folder, write_whole
from capgen.dataset.layout import RunLayout, picture_bounds
from capgen.dataset.lock import exclusive
from capgen.dataset.plan import PLAN_VERSION, ModelName, PlannedMedia, PlanRecord, ShardTable
from capgen.dataset.reader import find_plan, read_media
from capgen.dataset.row import Rle, Row
from capgen.dataset.schema import SCHEMA_VERSION
from capgen.dataset.shards import is_committed, read_manifest, remove_leftovers, write_candidates
from capgen.dataset.types import Media, MediaObject
from capgen.errors import LedgerError, UserError
from capgen.pipeline.importing.files import CaptionFile, CaptionIndex, caption_files
from capgen.pipeline.planning.config import load_settings
from capgen.pipeline.planning.fingerprint import digest
from capgen.pipeline.planning.open_source import file_sha256
from capgen.pipeline.planning.plan import write_plan, write_plan_json
from capgen.pipeline.planning.prepare import card_info
from capgen.pipeline.releasing.embedded import Embed
from capgen.pipeline.releasing.pack import pack
from capgen.pipeline.releasing.verify import Ledger, verify
from capgen.pipeline.settings import Settings
from capgen.pipeline.sources.reading.decode import decode_media
from capgen.pipeline.tasks import local_tasks

NO_CAPTION = "no_caption"
ENGINE = "import"
"""What rows say in place of an engine."""
_SHARD_OBJECTS = {"image": 2000, "video": 200}

ImportStep = Callable[[str, int, int], None]
"""Told what is being done, how far it is, and how far it goes."""


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What is imported, and what its rows say.

    Args:
        given: a file or a folder; see ``caption_files``.
        dataset: the rows' dataset; None for ``lvis`` and ``lv-vis`` (the official files), ``coco`` and ``youtube-vis``.
        model: who wrote the captions, where that is known.
        license: the Hub's identifier of the captions' licence.
        embed: the pictures that the release holds.
        follow_links: whether pictures and masks may be links out of their folder; see ``picture_bounds``.
    """

    given: Path
    out: Path
    root: Path | None = None
    split: str | None = None
    dataset: str | None = None
    model: str | None = None
    license: str | None = None
    embed: Embed | None = None
    follow_links: bool | None = None


def import_captions(request: ImportRequest, progress: ImportStep | None = None) -> Ledger:
    """Write OUT, or go on with it, and prove its ledger.

    Raises:
        UserError: the files cannot be imported, hold no caption, or OUT holds something else.
        LedgerError: the ledger does not close.
    """
    told = progress or (lambda *_: None)
    files = caption_files(request.given, request.root, request.split)
    settings = _settings(request, files)
    with exclusive(request.out):
        record = _planned(request, settings, files, told)
        _commit(request, record, files, told)
        # the record of what else the files say comes before the release, which names it
        tops = {file.split: file.fields.top for file in files}
        write_whole(RunLayout(request.out).source_json, msgspec.json.encode(tops) + b"\n")
        with local_tasks(record.table.objects) as tasks:
            pack(
                request.out,
                record,
                replace(card_info(settings), model_terms=None),
                embed=request.embed,
                bounds=picture_bounds(files[0].root, request.follow_links),
                dedup=None,
                progress=lambda done, of: told("packing", done, of),
                tasks=tasks,
            )
        with local_tasks(record.table.objects) as tasks, scratch_folder(request.out) as scratch:
            ledger = verify(request.out, lambda done, of: told("verifying", done, of), tasks=tasks, scratch=scratch)
    if not ledger.ok:
        raise LedgerError(f"{request.out}: the ledger does not close; `capgen verify {request.out}` says where")
    return ledger


def _settings(request: ImportRequest, files: Sequence[CaptionFile]) -> Settings:
    """The settings of a run over such files: the pages and the card follow them."""
    first = files[0]
    names = {"image": ("lvis", "coco"), "video": ("lv-vis", "youtube-vis")}[first.kind]
    name = names[0] if first.official else names[1]
    flags: dict[str, Any] = {
        "dataset": request.dataset,
        "source.root": first.root.resolve(),
        "source.split": ",".join(str(file.path.resolve()) for file in files),
        "dedup.enabled": False,
        "card.template": "masks",
        "card.title": f"Imported captions for {request.dataset or name}",
        "card.license_source": "as the owner of the dataset states it",
        "card.license_captions": request.license or "other",
    }
    return load_settings(name, flags)


@dataclass(frozen=True, slots=True)
class _Files:
    """The files as a source."""

    captions: Sequence[CaptionFile]
    dataset: str

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(file.path for file in self.captions)

    def scan(self) -> Iterator[PlannedMedia]:
        for file in self.captions:
            yield from file.scan(self.dataset)


def _planned(request: ImportRequest, settings: Settings, files: Sequence[CaptionFile], told: ImportStep) -> PlanRecord:
    """The plan of OUT, made where it is not there yet.

    Raises:
        UserError: OUT holds something else.
    """
    out, shard_objects = request.out, _SHARD_OBJECTS[settings.kind]
    parts = {
        "import": {file.split: file_sha256(file.path) for file in files},
        "dataset": settings.dataset,
        "model": request.model,
        "shard_objects": shard_objects,
        "schema": SCHEMA_VERSION,
    }
    record = find_plan(out)
    if record is not None:
        if record.fingerprint != digest(parts):
            raise UserError(f"{out} holds another run or import", "give this one a folder of its own with --out")
        return record
    source = _Files(files, settings.dataset)
    table: ShardTable = write_plan(
        source, out, shard_objects=shard_objects, progress=lambda _, objects: told("planning", objects, objects)
    )
    record = PlanRecord(
        version=PLAN_VERSION,
        fingerprint=digest(parts),
        parts=parts,
        settings=settings.model_dump(mode="json"),
        model=ModelName(request.model or ENGINE),
        root=str(files[0].root.resolve()),
        folders=table.folders,
        left_out=table.left_out,
        shards=table.shards,
    )
    write_plan_json(out, record)
    return record


def _commit(request: ImportRequest, record: PlanRecord, files: Sequence[CaptionFile], told: ImportStep) -> None:
    """Write the shards that are not done, a file's captions in memory at a time.

    Raises:
        UserError: not one object of all files has a caption.
    """
    out = request.out
    remove_leftovers(out)
    for file in files:
        entries = [entry for entry in record.shards if entry.split == file.split]
        left = [entry for entry in entries if not is_committed(out, entry.index, record.fingerprint)]
        index = file.captions() if left else CaptionIndex()
        bounds = picture_bounds(file.root, request.follow_links)
        for entry in left:
            media = (decode_media(one, file.root, bounds) for one in read_media(out, entry))
            rows = (row for one in media for row in _rows(one, index, request))
            write_candidates(rows, out, entry.index, {"fingerprint": record.fingerprint})
            told("reading captions", entry.index + 1, len(record.shards))
    manifests = [read_manifest(out, entry.index) for entry in record.shards]
    if not any(manifest is not None and manifest.kept for manifest in manifests):
        raise UserError(
            f"{request.given}: not one of its {record.table.objects:,} objects has a caption, so nothing is released",
            "to have them captioned, give the dataset to capgen run",
        )


def _rows(media: Media, index: CaptionIndex, request: ImportRequest) -> Iterator[Row]:
    for item in media.objects:
        key = f"{media.media_id}/{item.object_id}"
        yield _row(media, item, key, index, request.model)


def _row(media: Media, item: MediaObject, key: str, index: CaptionIndex, model: str | None) -> Row:
    fault, caption, dropped = item.fault, index.captions.get(key), index.reasons.get(key)
    reasons: tuple[str, ...] = (fault.reason,) if fault else () if caption else (dropped or NO_CAPTION,)
    without = "its caption was dropped before it was exported" if dropped else "the file has no caption for it"
    size = [media.height, media.width]
    return Row(
        **media.header(),
        key=item.key,
        object_id=item.object_id,
        category_id=item.category_id,
        category=item.category,
        frame_index=item.visible,
        segmentation=tuple(Rle(size=size, counts=text) if (text := item.counts[i]) else None for i in item.visible),
        bbox=tuple(box for box in item.boxes if box is not None),
        area=tuple(item.areas[i] for i in item.visible),
        caption=caption,
        status="failed" if fault else "dropped" if reasons else "kept",
        reasons=reasons,
        message=fault.message if fault else None if caption else without,
        model=model,
        model_revision=None,
        engine=ENGINE,
        prompt=None,
        prompt_sha256=None,
        highlight=None,
        seed=None,
        finish_reason=None,
        prompt_tokens=None,
        cached_tokens=None,
        output_tokens=None,
        attempts=0,
        request_sha256=None,
        extra=index.extras.get(key),
    )


def counts_text(ledger: Ledger) -> str:
    """What an import holds, in one line."""
    without = sum(ledger.dropped.values())
    failed = ", ".join(f"{code} {count:,}" for code, count in ledger.failed.items())
    line = f"{ledger.planned:,} objects, {ledger.kept:,} captions, {without:,} objects without one"
    return f"{line}; without a usable mask: {failed}" if failed else line
