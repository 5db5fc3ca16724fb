"""Reads what a run has written, typed and checked: every fault is one line that names the file and the remedy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import pyarrow as pa

from capgen.dataset.layout import RunLayout, picture_bounds, refuse_links
from capgen.dataset.parquet.opened import opened_parquet
from capgen.dataset.plan import PLAN_VERSION, PlannedMedia, PlanRecord, ShardEntry
from capgen.dataset.release_record import check_released, released_files, stem
from capgen.dataset.row import GivenAnswer, NeighbourFit, ReleasedMedia, Row
from capgen.dataset.schema import CANDIDATES, CAPTIONS, LATER, MEDIA, MEDIA_EMBEDDED, SCHEMA_VERSION, VERSION_KEY
from capgen.dataset.types import HEADER_FIELDS
from capgen.encoding import is_below
from capgen.errors import LedgerError, MissingFile, UnknownName, UserError, first_line
from capgen.videos.frames import file_of

PLAN_REMEDY = "restore it, or start anew in another --out"
"""What to do where a file of a plan is missing or damaged."""
_VERSIONS = ("1", PLAN_VERSION)
_SHARDS, _MEDIA_OF_SHARD = 8, 4
"""So many pictures are looked for, spread over the shards: enough to tell a wrong folder from some missing files."""
_ROWS = 32
_GROUP_ROWS = 500
_CANDIDATES = "run the same command again to mend it"
_RELEASE = "delete release.json and run the same command again to have the release made anew"
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")
_TUPLES = ("file_names", "frame_index", "segmentation", "area", "reasons", "advice", "shown")
_LIGHT = (
    *HEADER_FIELDS,
    *(f"objects.list.element.{name}" for name in ("category_id", "category", "frame_index", "caption")),
)

Folders = Mapping[str, tuple[str, ...]]
"""The folders in which pictures may be, by ``dataset/split``; ``*`` stands for all others."""


def find_plan(out: Path) -> PlanRecord | None:
    """OUT's plan; None where nothing is planned.

    Raises:
        LedgerError: there is a plan that cannot be read, is of a version that is not known, or names a folder or file
            outside of its own.
        UserError: something of the run is a pipe or a device, from which a read might never come back.
    """
    refuse_links(out, reading=True)
    file = RunLayout(out).plan_json
    try:
        record = msgspec.json.decode(file.read_bytes(), type=PlanRecord)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise LedgerError(f"{file} is damaged ({error}); {PLAN_REMEDY}") from error
    if record.version not in _VERSIONS:
        raise LedgerError(
            f"{file} has version {record.version!r}, known are {', '.join(_VERSIONS)}; "
            "use the capgen that wrote it, or start anew in another --out"
        )
    for entry in record.shards:
        if not is_below(entry.file) or "/" in entry.file or entry.index < 0:
            raise LedgerError(f"{file} names a shard's file {entry.file!r} outside of its folder; {PLAN_REMEDY}")
    for folder in {one for folders in record.folders.values() for one in folders} - {""}:
        checked_folder(folder, file)
    if record.version != "1":
        return record
    source = record.settings.get("source", {})
    return msgspec.structs.replace(record, root=source.get("root"), limit=source.get("limit"))


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
                    good.add(checked_folder(media.folder, path))
                yield media
    except FileNotFoundError:
        raise LedgerError(f"{path} is missing; {PLAN_REMEDY}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise LedgerError(f"{path} is damaged ({error}); {PLAN_REMEDY}") from error


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
            raise LedgerError(f"{path} has pictures in {media.root}, outside of {root}; {PLAN_REMEDY}") from None
        return PlannedMedia(**media.header(), folder="" if folder == "." else folder, objects=media.objects)

    return decode


def checked_folder(folder: str, path: Path) -> str:
    """A folder's name, if it lies below the root.

    Raises:
        LedgerError: it does not.
    """
    if not is_below(folder):
        raise LedgerError(f"{path} has pictures in {folder!r}, outside of the dataset's root; {PLAN_REMEDY}")
    return folder


def plan_folders(out: Path, record: PlanRecord) -> dict[str, tuple[str, ...]]:
    """By ``dataset/split``, the folders below the root in which the pictures of a plan are.

    A plan of version 1 has them in its lines only: the first of each shard is read.
    """
    if record.legacy_root is None:
        return dict(record.folders)
    found: dict[str, dict[str, None]] = {}
    for entry in record.shards:
        for media in islice(read_media(out, entry, legacy_root=record.legacy_root), 1):
            if media.file_names:
                found.setdefault(f"{media.dataset}/{media.split}", {})[media.folder] = None
    return {name: tuple(folders) for name, folders in found.items()}


def check_root(out: Path, record: PlanRecord, root: Path) -> None:
    """Refuse a folder in which the pictures of a plan are not; a few of them are looked for.

    Raises:
        UserError: not one is there.
    """
    names = list(_planned_names(out, record))
    if names and not any((root / name).is_file() for name in names):
        raise UserError(
            f"--root {root} does not hold the pictures of {out}: none of {len(names)} that were looked for is there, "
            f"such as {names[0]}; when the run was planned they were in {record.root}",
            "give the folder that holds them now with --root",
        )


def _planned_names(out: Path, record: PlanRecord) -> Iterator[str]:
    """Names of some pictures, relative to the root."""
    for entry in _spread(record.shards):
        media = (one for one in read_media(out, entry, legacy_root=record.legacy_root) if one.file_names)
        for one in islice(media, _MEDIA_OF_SHARD):
            name = PurePosixPath(one.folder, file_of(one.file_names[0]))
            if is_below(name.as_posix()):
                yield name.as_posix()


def _spread(shards: Sequence[ShardEntry]) -> Iterable[ShardEntry]:
    return (shards[i * len(shards) // min(_SHARDS, len(shards))] for i in range(min(_SHARDS, len(shards))))


def release_folders(out: Path, root: Path | None = None) -> Folders:
    """The folders in which a release's pictures are.

    Args:
        root: where the dataset is now, or the folder of its pictures; None where it was when the run was planned.

    Raises:
        UserError: the release has no pictures of its own, and not one of some that were looked for is in ``root``.
    """
    record = find_plan(out)
    below = {} if record is None else plan_folders(out, record)
    planned = None if record is None or record.root is None else Path(record.root)
    if root is None:
        return {} if planned is None else {name: _joined(planned, found) for name, found in below.items()}
    given = {name: (*_joined(root, found), str(root)) for name, found in below.items()} | {"*": (str(root),)}
    sample = _released_names(out)
    if sample and not any(_found(given, name, file) for name, file in sample):
        was = f"; when the run was planned they were in {planned}" if planned else ""
        raise UserError(
            f"{root} does not hold the pictures of {out}: none of {len(sample)} that were looked for is there, "
            f"such as {sample[0][1]}{was}",
            "give the folder that holds them now",
        )
    return given


def release_bounds(out: Path, root: Path | None, follow_links: bool | None) -> Path | None:
    """The folder that links among a release's pictures must not lead out of: see ``picture_bounds``."""
    record = find_plan(out) if root is None else None
    planned = Path(record.root) if record is not None and record.root is not None else None
    return picture_bounds(root or planned, follow_links)


def _joined(root: Path, folders: Iterable[str]) -> tuple[str, ...]:
    return tuple(str(root / folder) for folder in folders)


def _found(folders: Folders, name: str, file: str) -> bool:
    return any(Path(folder, file).is_file() for folder in folders.get(name) or folders.get("*", ()))


def _released_names(out: Path) -> list[tuple[str, str]]:
    """(dataset/split, name) of some pictures of a release; none where it holds the pictures itself."""
    found: list[tuple[str, str]] = []
    for file in released_files(out, "media"):
        if holds_pictures(file):
            return []
        for batch in islice(parquet_batches(file, MEDIA, ("dataset", "split", "file_names"), rows=_ROWS), 1):
            rows = ((f"{row['dataset']}/{row['split']}", row["file_names"] or ()) for row in batch.to_pylist())
            found += [(name, file_of(names[0])) for name, names in rows if names and is_below(names[0])]
    return found


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a candidates file, wherever it lies, in order, a group at a time.

    Raises:
        LedgerError: the file is missing, is not whole, or lacks a column.
    """
    for batch in parquet_batches(path, CANDIDATES, rows=_GROUP_ROWS, remedy=_CANDIDATES):
        yield from rows_of(batch)


def read_columns(out: Path, index: int, columns: Sequence[str] = ()) -> pa.Table:
    """Columns of a shard, or all, as one Arrow table; see ``read_rows``."""
    path, names = RunLayout(out).candidates(index), list(columns) or CANDIDATES.names
    schema = pa.schema([CANDIDATES.field(name) for name in names], metadata=CANDIDATES.metadata)
    batches = parquet_batches(path, CANDIDATES, names, rows=_GROUP_ROWS, remedy=_CANDIDATES)
    try:
        return pa.Table.from_batches([batch.select(names) for batch in batches], schema).combine_chunks()
    except pa.ArrowInvalid as error:  # somebody has changed it
        raise LedgerError(f"{path} has a column of another type than the schema's; {_CANDIDATES}") from error


def rows_of(batch: pa.RecordBatch | pa.Table) -> Iterator[Row]:
    """Arrow rows of the candidates' schema as types."""
    for values in batch.to_pylist():
        for name in _TUPLES:
            values[name] = tuple(values[name] or ())
        values["bbox"] = tuple(tuple(box) for box in values["bbox"] or ())
        values["tries"] = values["tries"] or 1
        values["answers"] = msgspec.convert(values["answers"] or (), tuple[GivenAnswer, ...])
        values["fits"] = msgspec.convert(values["fits"] or (), tuple[NeighbourFit, ...])
        yield Row(**values)


def media_splits(out: Path) -> list[str]:
    """The splits that a release's media have, as their files spell them."""
    return list(dict.fromkeys(_SHARD.sub("", file.stem) for file in released_files(out, "media")))


def media_batches(out: Path, split: str, *, rows: int, light: bool = False) -> Iterator[pa.RecordBatch]:
    """A split of a release's media in order, so many rows at a time; ``media_of`` makes types of them.

    It is read again and again, by several processes: ``check_released`` compares its hashes, once.

    Args:
        light: without masks, boxes and pictures.

    Raises:
        MissingFile: there is no release.
        UnknownName: it has no such split.
        LedgerError: a file is not whole, or lacks a column.
    """
    splits = media_splits(out)
    if stem(split) not in splits:
        raise UnknownName(f"split of {out}", split, splits)
    for file in released_files(out, "media"):
        if _SHARD.sub("", file.stem) == stem(split):
            schema = MEDIA_EMBEDDED if holds_pictures(file) else MEDIA
            yield from parquet_batches(file, schema, _LIGHT if light else (), rows=rows)


def holds_pictures(file: Path) -> bool:
    """Whether a file of a release's media holds the pictures themselves.

    Raises:
        LedgerError: it cannot be read.
    """
    with _opened(file, _RELEASE) as parquet:
        return "images" in parquet.schema_arrow.names


def holds_media(out: Path) -> bool:
    """Whether a release holds its pictures itself; False where there is none.

    Raises:
        LedgerError: its first file cannot be read.
    """
    file = next(iter(RunLayout(out).media_files()), None)
    return file is not None and holds_pictures(file)


def media_of(batch: pa.RecordBatch, index: int) -> ReleasedMedia:
    """A row of a release's media as a type.

    Raises:
        LedgerError: it holds something that no release has.
    """
    (row,) = batch.slice(index, 1).to_pylist()
    values = {name: value for name, value in row.items() if value is not None}
    values["objects"] = [{k: v for k, v in one.items() if v is not None} for one in values.get("objects", ())]
    try:
        return msgspec.convert(values, ReleasedMedia)
    except msgspec.ValidationError as error:
        raise LedgerError(f"a row of the release is not of its schema ({error}); {_RELEASE}") from error


def released_captions(out: Path) -> Iterator[tuple[str, str]]:
    """Keys and captions of a release.

    Raises:
        MissingFile: there is no release.
        LedgerError: a file is not as recorded, not whole, or lacks a column.
    """
    check_released(out, "captions")
    for file in released_files(out, "captions"):
        for batch in parquet_batches(file, CAPTIONS, ("key", "caption"), rows=_GROUP_ROWS):
            yield from ((row["key"], row["caption"]) for row in batch.to_pylist() if row["caption"] is not None)


def parquet_batches(
    path: Path, schema: pa.Schema, columns: Sequence[str] = (), *, rows: int, remedy: str = ""
) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file, a group at a time; a column that has come later and is not there is null.

    Args:
        schema: what the file should hold.
        columns: names out of ``schema``, with the dotted names of Parquet for what is inside lists; none is all.

    Raises:
        LedgerError: the file is missing, damaged, of another version, or lacks a column.
    """
    remedy = remedy or _RELEASE
    with _opened(path, remedy, columns) as parquet:
        there = parquet.schema_arrow
        version = (there.metadata or {}).get(VERSION_KEY, SCHEMA_VERSION.encode()).decode()
        if version != SCHEMA_VERSION:
            raise LedgerError(
                f"{path} has schema version {version!r}, known is {SCHEMA_VERSION!r}; use the capgen that wrote it"
            )
        wanted = list(columns) or schema.names
        lacking = [name for name in wanted if name.partition(".")[0] not in there.names]
        for name in lacking:
            if name not in LATER:
                raise LedgerError(f"{path} has no column {name!r}; {remedy}")
        read = [name for name in wanted if name not in lacking]
        for batch in parquet.iter_batches(rows, columns=read):
            batch.validate(full=True)  # text that is no UTF-8 is damage
            yield _with_nulls(batch, lacking, schema)


def _with_nulls(batch: pa.RecordBatch, names: Sequence[str], schema: pa.Schema) -> pa.RecordBatch:
    for name in names:
        batch = batch.append_column(name, pa.nulls(batch.num_rows, schema.field(name).type))
    return batch


@contextmanager
def _opened(path: Path, remedy: str, columns: Sequence[str] = ()) -> Iterator[Any]:
    try:
        with opened_parquet(path, columns) as parquet:
            yield parquet
    except (OSError, pa.ArrowException) as error:
        raise LedgerError(f"{path} cannot be read ({first_line(error)}); {remedy}") from error
