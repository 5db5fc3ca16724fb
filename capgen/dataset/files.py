"""Files that appear whole or not at all, and Parquet with fixed options, so that equal rows are equal bytes."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from capgen.dataset.layout import PART, RunLayout
from capgen.errors import CapgenError, UserError

_REPEATING = (
    *("dataset", "split", "kind", "category", "coco_url", "license", "status", "message", "finish_reason"),
    *("model", "model_revision", "engine", "prompt", "prompt_sha256", "highlight"),
)

_PICTURE_DICTIONARY = 64 * 2**20

log = logging.getLogger(__name__)

_REMOVALS, _BETWEEN_S = 20, 0.05
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_CLOSED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_OS_ERROR = re.compile(r"\(os error (\d+)\)")
_PART_NAME = re.compile(rf"(.+)\.[0-9a-f]{{8}}{re.escape(PART)}")  # as part_of makes it
_NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EPERM, errno.EACCES, errno.EBADF})


class DiskTrouble(UserError):
    """A folder cannot be written any more: its disk is full, or it may not be written to."""


def disk_trouble(error: OSError, folder: Path) -> DiskTrouble | None:
    """The error in one sentence with its remedy; None where it is not the disk's."""
    if error.errno in _FULL:
        return DiskTrouble(
            f"{folder} cannot be written: {_reason(error)}",
            "make room there and run the same command again: what is done is kept",
        )
    if error.errno in _CLOSED:
        return DiskTrouble(f"{folder} cannot be written: {_reason(error)}", "make it writable, or choose another --out")
    return None


@contextmanager
def telling_disk_trouble(folder: Path) -> Iterator[None]:
    """Let an error of the disk under ``folder`` leave the block as a ``DiskTrouble``.

    Raises:
        DiskTrouble: the disk is full, or the folder may not be written to.
    """
    try:
        yield
    except CapgenError:
        raise
    except Exception as error:
        found = error if isinstance(error, OSError) else full_disk_behind(error)
        trouble = disk_trouble(found, folder) if found is not None else None
        if trouble is None:
            raise
        raise trouble from error


def full_disk_behind(error: BaseException) -> OSError | None:
    """The full disk that another library's error is about.

    torch chains the system's error, safetensors says its number, DuckDB says its text.
    """
    seen: list[BaseException] = []
    while error not in seen:
        seen.append(error)
        said = _OS_ERROR.search(str(error))
        number = error.errno if isinstance(error, OSError) else int(said[1]) if said else None
        if number not in _FULL:
            number = next((one for one in _FULL if str(error).endswith(f": {os.strerror(one)}")), None)
        if number is not None:
            return OSError(number, os.strerror(number))
        error = error.__cause__ or error.__context__ or error
    return None


def _reason(error: OSError) -> str:
    return os.strerror(error.errno or 0)


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_stamp(path: Path) -> tuple[int, int] | None:
    """What changes when a file is written anew: its time (ns) and size; None where it is not there."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size


def part_of(path: Path) -> Path:
    """A name beside ``path`` that no other process writes to."""
    return path.with_name(f"{path.name}.{uuid4().hex[:8]}{PART}")


def sync(path: Path) -> None:
    """Have the file or folder on the disk before going on; some network file systems cannot do that for a folder."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC or not path.is_dir():
            raise
        _tell_once("the file system cannot sync folders: a power cut may undo the last shards")
    finally:
        os.close(fd)


@cache
def _tell_once(line: str) -> None:
    log.warning("%s", line)


def publish(part: Path, path: Path) -> None:
    """Give a finished part its name, in one step that survives a power cut."""
    sync(part)
    part.replace(path)
    sync(path.parent)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A name beside ``path`` to write to: it becomes ``path`` when the block ends, and is gone after an error.

    Raises:
        DiskTrouble: the folder is full, or may not be written to.
    """
    part = part_of(path)
    try:
        with telling_disk_trouble(path.parent):
            yield part
            publish(part, path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write a small file so that it is seen whole or not at all; see ``whole_file``."""
    with whole_file(path) as part:
        part.write_bytes(data)


@contextmanager
def scratch_folder(out: Path) -> Iterator[Path]:
    """An empty folder in a run's OUT for what tasks leave for each other; call it only while OUT is held.

    Where a task has failed, others may still write into it for a moment: it is removed until it stays away.
    """
    folder = RunLayout(out).scratch
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        for _ in range(_REMOVALS):
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break
            time.sleep(_BETWEEN_S)


def remove_parts(folder: Path, names: re.Pattern[str] | None = None) -> list[Path]:
    """Delete what killed processes left half-written in ``folder``; returns what was deleted.

    Args:
        names: of the files whose parts are deleted, where other programs write to the folder too; None is all.
    """
    deleted = []
    for path in sorted(folder.glob(f"*{PART}")):
        made = _PART_NAME.fullmatch(path.name)
        if path.is_file() and (names is None or (made is not None and names.fullmatch(made[1]))):
            path.unlink(missing_ok=True)
            deleted.append(path)
    return deleted


def put_by_content(folder: Path, stem: str, suffix: str, data: bytes) -> str:
    """Write a file under a name that is made of its content, and give the name.

    A page that is made anew thus never changes what the page before it shows.
    """
    name = f"{stem}-{hashlib.sha256(data).hexdigest()[:16]}{suffix}"
    path = folder / name
    if path.is_symlink() or not path.is_file() or path.stat().st_size != len(data):
        write_whole(path, data)
    return name


def open_parquet(path: Path, schema: pa.Schema) -> Any:
    """A ``ParquetWriter`` whose bytes depend on nothing but the rows, their groups and pyarrow's version."""
    pictures = "image" in schema.names  # of objects that share a frame: a dictionary holds it once a row group
    repeating = [name for name in _REPEATING if name in schema.names] + ["image.bytes"] * pictures
    return pq.ParquetWriter(
        path,
        schema,
        version="2.6",
        data_page_version="1.0",
        compression="zstd",
        compression_level=3,
        use_dictionary=repeating or False,
        dictionary_pagesize_limit=_PICTURE_DICTIONARY if pictures else None,
        write_statistics=True,
        store_schema=True,
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """How large row groups and files of a release become; bytes are those in memory, before compression."""

    group_rows: int
    group_bytes: int = 32 * 2**20
    file_rows: int = 50_000
    file_bytes: int = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Written:
    """A finished file and the rows in it."""

    path: Path
    rows: int


@dataclass(slots=True)
class NumberedWriter:
    """Writes a stream of tables as ``<stem>-00000-of-00004.parquet`` and so on, in memory of one row group.

    Equal tables in equal order give equal bytes. A stream without rows still gives one file, which has the schema.
    """

    folder: Path
    stem: str
    schema: pa.Schema
    limits: Limits
    _files: list[Written] = field(default_factory=list)
    _writer: Any = None
    _rows: int = 0
    _bytes: int = 0
    _waiting: list[pa.Table] = field(default_factory=list)
    _waiting_rows: int = 0
    _waiting_bytes: int = 0

    def add(self, table: pa.Table) -> None:
        """Append rows, which must have the schema."""
        if not table.num_rows:
            return
        row_bytes = max(1, table.nbytes // table.num_rows)
        piece = max(1, min(self.limits.group_rows, self.limits.group_bytes // 4 // row_bytes))
        start = 0
        while start < table.num_rows:
            count = min(piece, table.num_rows - start, self.limits.group_rows - self._waiting_rows)
            self._waiting.append(table.slice(start, count))
            self._waiting_rows += count
            self._waiting_bytes += count * row_bytes
            start += count
            if self._waiting_rows >= self.limits.group_rows or self._waiting_bytes >= self.limits.group_bytes:
                self._write_group()

    def close(self) -> list[Written]:
        """Finish; the files with their final names, in order."""
        self._write_group()
        if not self._files and self._writer is None:
            self._open()
        self._close_file()
        return [self._named(number, file) for number, file in enumerate(self._files)]

    def _named(self, number: int, file: Written) -> Written:
        path = self.folder / f"{self.stem}-{number:05d}-of-{len(self._files):05d}.parquet"
        publish(file.path, path)
        return Written(path, file.rows)

    def _open(self) -> None:
        self._writer = open_parquet(self._part(), self.schema)

    def _part(self) -> Path:
        return self.folder / f"{self.stem}-{len(self._files):05d}{PART}"

    def _write_group(self) -> None:
        if not self._waiting:
            return
        if self._writer is None:
            self._open()
        group = pa.concat_tables(self._waiting).combine_chunks()
        self._writer.write_table(group, row_group_size=max(1, group.num_rows))
        self._rows += self._waiting_rows
        self._bytes += self._waiting_bytes
        self._waiting, self._waiting_rows, self._waiting_bytes = [], 0, 0
        if self._rows >= self.limits.file_rows or self._bytes >= self.limits.file_bytes:
            self._close_file()

    def _close_file(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._files.append(Written(self._part(), self._rows))
            self._writer, self._rows, self._bytes = None, 0, 0
