"""Reads what a run has written, typed and checked: every fault is one line that names the file and the remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path, PurePosixPath, PureWindowsPath

import msgspec

from capgen.dataset.layout import RunLayout
from capgen.dataset.plan import PLAN_VERSION, PlannedMedia, PlanRecord, ShardEntry
from capgen.errors import LedgerError, MissingFile

_REMEDY = "restore it, or start anew in another --out"
_VERSIONS = ("1", PLAN_VERSION)


def find_plan(out: Path) -> PlanRecord | None:
    """OUT's plan; None where nothing is planned.

    Raises:
        LedgerError: there is a plan that cannot be read, or it is of a version that is not known.
    """
    file = RunLayout(out).plan_json
    try:
        record = msgspec.json.decode(file.read_bytes(), type=PlanRecord)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LedgerError(f"{file} is damaged ({error}); {_REMEDY}") from error
    if record.version not in _VERSIONS:
        raise LedgerError(
            f"{file} has version {record.version!r}, known are {', '.join(_VERSIONS)}; "
            "use the capgen that wrote it, or start anew in another --out"
        )
    if record.version != "1":
        return record
    root = record.settings.get("source", {}).get("root")
    return msgspec.structs.replace(record, root=root)


def read_plan(out: Path) -> PlanRecord:
    """OUT's plan.

    Raises:
        MissingFile: OUT holds no run.
        LedgerError: the plan cannot be read.
    """
    record = find_plan(out)
    if record is None:
        raise MissingFile(RunLayout(out).plan_json, "give the folder of a run, as capgen run --out named it")
    return record


def read_media(out: Path, entry: ShardEntry, *, legacy_root: str | None = None) -> Iterator[PlannedMedia]:
    """The media of one shard's file, in order, without holding them all.

    Args:
        legacy_root: ``PlanRecord.legacy_root`` of the plan.

    Raises:
        LedgerError: the file is missing or damaged, or a line names a folder outside of the root.
    """
    yield from read_media_file(RunLayout(out).plan_file(entry.file), legacy_root=legacy_root)


def read_media_file(path: Path, *, legacy_root: str | None = None) -> Iterator[PlannedMedia]:
    """The media of a file of planned media; see ``read_media``."""
    decode = msgspec.json.Decoder(PlannedMedia).decode if legacy_root is None else _legacy(path, legacy_root)
    good = {""}
    try:
        with path.open("rb") as lines:
            for line in lines:
                media = decode(line)
                if media.folder not in good:
                    good.add(_checked(media.folder, path))
                yield media
    except FileNotFoundError:
        raise LedgerError(f"{path} is missing; {_REMEDY}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LedgerError(f"{path} is damaged ({error}); {_REMEDY}") from error


def plan_folders(out: Path, record: PlanRecord) -> dict[str, tuple[str, ...]]:
    """By ``dataset/split``, the folders below the root in which the pictures of a plan are.

    A plan of version 1 has them in its lines only: the first of each shard is read.
    """
    if record.legacy_root is None:
        return dict(record.folders)
    found: dict[str, dict[str, None]] = {}
    for entry in record.shards:
        for media in islice(read_media(out, entry, legacy_root=record.legacy_root), 1):
            if not media.file_names:
                continue
            found.setdefault(f"{media.dataset}/{media.split}", {})[media.folder] = None
    return {name: tuple(folders) for name, folders in found.items()}


class _LegacyMedia(PlannedMedia, frozen=True, kw_only=True):
    """A line of a plan of version 1: ``root`` is where the files were on the machine that planned."""

    root: str


def _legacy(path: Path, root: str) -> Callable[[bytes], PlannedMedia]:
    decoder = msgspec.json.Decoder(_LegacyMedia)

    def decode(line: bytes) -> PlannedMedia:
        media = decoder.decode(line)
        try:
            folder = PurePosixPath(media.root).relative_to(root).as_posix()
        except ValueError:
            raise LedgerError(f"{path} has pictures in {media.root}, outside of {root}; {_REMEDY}") from None
        return PlannedMedia(**media.header(), folder="" if folder == "." else folder, objects=media.objects)

    return decode


def _checked(folder: str, path: Path) -> str:
    """A folder's name, if it lies below the root.

    Raises:
        LedgerError: it does not.
    """
    windows = PureWindowsPath(folder)
    if windows.drive or windows.root or PurePosixPath(folder).is_absolute() or ".." in windows.parts:
        raise LedgerError(f"{path} has pictures in {folder!r}, outside of the dataset's root; {_REMEDY}")
    return folder
