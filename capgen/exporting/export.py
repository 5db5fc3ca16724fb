"""A release in another form: every split is streamed through the form's writer; DEST appears when it is whole."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from capgen.dataset.annotations.source_fields import SourceFields, fields_of, read_source_json, top_level
from capgen.dataset.files import sha256_of
from capgen.dataset.layout import RunLayout, refuse_links
from capgen.dataset.reader import media_splits, release_bounds, release_folders
from capgen.dataset.release_record import check_released, recorded_files
from capgen.dataset.row import ReleasedMedia
from capgen.errors import LedgerError, MissingFile, UserError
from capgen.exporting.base import ExportForm, ExportSplit, SplitWriter
from capgen.exporting.folder import ExportFolder, opened_export, recorded_digest, remove_left_part
from capgen.exporting.media import caption_of, released_media
from capgen.exporting.pictures import PictureFiles, PictureMode

EXPORT_VERSION = 2
"""Changes when the same release and options give other bytes."""
_CHECKPOINT = 2000  # media between two checkpoints

ExportStep = Callable[[str, int], None]
"""Told the split and how many of its media are written."""


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What is exported and how.

    Args:
        name: the form's name, for the record.
        pictures: what becomes of the pictures.
        root: where the pictures are now; None where they were when the run was planned.
        follow_links: whether pictures may be links out of their folder; see ``picture_bounds``.
        annotations: by split as the release spells it, the source's annotation file, where it was found.
    """

    out: Path
    dest: Path
    name: str
    form: ExportForm
    pictures: PictureMode = "reference"
    root: Path | None = None
    follow_links: bool | None = None
    annotations: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export holds; ``already`` where it was there before."""

    dest: Path
    counts: Mapping[str, int]
    already: bool = False

    def text(self) -> str:
        """The counts in one line."""
        found = self.counts
        line = ", ".join(f"{found.get(key, 0):,} {key}" for key in ("media", "objects", "captions"))
        notes = {
            "frames_of_videos": "frames lie in video files: --pictures copy makes pictures of them",
            "missing_pictures": "pictures are missing",
            "repeated_ids": "annotation ids were used twice and have their medium's in front",
            "without_lvis_fields": "images lack fields of LVIS (neg_category_ids and so on): give --root with its file",
            "defused": "texts had a token of the form in them, which is broken up",
            "left_out": "objects or videos have no place in this form and are left out",
        }
        told = [f"{found[key]:,} {words}" for key, words in notes.items() if found.get(key)]
        return "; ".join([line, *told])


def export_release(request: ExportRequest, progress: ExportStep | None = None) -> ExportReport:
    """Write DEST, or say that it is there already.

    Raises:
        UserError: DEST cannot be made, or ``root`` does not hold the pictures.
        MissingFile: there is no release, or not one picture that was to be copied is there.
        LedgerError: the release is damaged.
    """
    out = request.out
    if not out.is_dir():
        raise MissingFile(out, "give the OUT of a finished `capgen run` or `capgen import`")
    refuse_links(out, reading=True)
    splits = media_splits(out)
    if not splits:
        raise MissingFile(RunLayout(out).data_dir, "give the OUT of a finished `capgen run`")
    digest = _digest(request)
    if recorded_digest(request.dest) == digest:
        left = remove_left_part(request.dest)
        return ExportReport(request.dest, _recorded_counts(request.dest), already=not left)
    check_released(out, "media")
    files = _picture_files(request)
    tops = read_source_json(RunLayout(out).source_json)
    with opened_export(request.dest, digest) as folder:
        for split in splits:
            if split not in folder.progress.done:
                _export_split(request, folder, split, files, _fields(request, split, tops), progress)
        counts: Counter[str] = sum(map(Counter, folder.progress.done.values()), Counter())
        shown = {key: count for key, count in sorted(counts.items()) if ":" not in key}
        options = {"form": request.name, "pictures": request.pictures, **_options(request.form)}
        folder.finish({"version": EXPORT_VERSION, "digest": digest, "options": options, "counts": shown})
    return ExportReport(request.dest, shown)


def _export_split(
    request: ExportRequest,
    folder: ExportFolder,
    split: str,
    files: PictureFiles,
    fields: SourceFields,
    progress: ExportStep | None,
) -> None:
    rows = released_media(request.out, split)
    first = next(rows, None)
    done = folder.resume(split)
    kind = first.kind if first is not None else "image"
    writer: SplitWriter = request.form.writer(ExportSplit(folder, split, kind, fields, files, request.pictures))
    media = 0
    for one in _chained(first, rows):
        media += 1
        if media <= done:
            writer.skip(one)
            continue
        writer.add(one)
        _count(folder.counts, one)
        if media % _CHECKPOINT == 0:
            folder.checkpoint(split, media)
            if progress:
                progress(split, media)
    folder.finish_split(split, writer.finish())
    if progress:
        progress(split, media)


def _chained(first: ReleasedMedia | None, rest: Any) -> Any:
    if first is not None:
        yield first
        yield from rest


def _count(counts: Counter[str], media: ReleasedMedia) -> None:
    counts["media"] += 1
    counts["objects"] += len(media.objects)
    counts["captions"] += sum(caption_of(one) is not None for one in media.objects)


def _picture_files(request: ExportRequest) -> PictureFiles:
    """Where pictures are; nothing is looked for where they are only named."""
    if request.pictures == "reference" and request.form.pictures_in("image") is not None:
        return PictureFiles()
    bounds = release_bounds(request.out, request.root, request.follow_links)
    return PictureFiles(release_folders(request.out, request.root), bounds)


def _fields(request: ExportRequest, split: str, tops: Mapping[str, Any]) -> SourceFields:
    """What the source said: as it was imported, or as its annotation file says."""
    if split in tops:
        return SourceFields(top=tops[split])
    path = request.annotations.get(split)
    if path is None:
        return SourceFields()
    top = top_level(path)
    return fields_of(path, top) if {"images", "videos"} & top.keys() else SourceFields()  # BURST's keys are no COCO's


def _digest(request: ExportRequest) -> str:
    """Digest of all that an export is a function of."""
    source = RunLayout(request.out).source_json
    inputs = {
        "version": EXPORT_VERSION,
        "release": [[file.path, file.sha256] for file in recorded_files(request.out, "media")],
        "source": sha256_of(source) if source.is_file() else None,
        "annotations": {split: sha256_of(path) for split, path in sorted(request.annotations.items())},
        "form": request.name,
        "options": _options(request.form),
        "pictures": request.pictures,
    }
    return hashlib.sha256(msgspec.json.encode(inputs, order="sorted")).hexdigest()


def _options(form: ExportForm) -> dict[str, Any]:
    described = getattr(form, "described", None)
    found: dict[str, Any] = described() if callable(described) else asdict(form)  # type: ignore[call-overload]
    return found


def _recorded_counts(dest: Path) -> dict[str, int]:
    from capgen.exporting.folder import RECORD

    try:
        record = msgspec.json.decode((dest / RECORD).read_bytes(), type=dict[str, Any])
        return {str(key): int(value) for key, value in record["counts"].items()}
    except (OSError, msgspec.DecodeError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise LedgerError(f"{dest / RECORD} is damaged ({error}); delete {dest} and export again") from error


def check_pictures_mode(mode: str) -> PictureMode:
    """The way of keeping pictures that a user named.

    Raises:
        UserError: there is no such way.
    """
    modes: dict[str, PictureMode] = {"reference": "reference", "copy": "copy", "tar": "tar"}
    if mode not in modes:
        raise UserError(f"--pictures {mode!r} is none of {', '.join(modes)}", "see capgen export --help")
    return modes[mode]
