"""DEST while it is made: everything grows in ``DEST.part`` beside it and is renamed when it is complete.

Files that grow are only appended to, and a checkpoint notes their lengths. A run that was killed cuts them back to the
last checkpoint and goes on, so that the same command gives the same bytes however often it was stopped.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from capgen.dataset.files import disk_trouble, publish, remove_parts, sync, write_whole
from capgen.dataset.layout import PART, RunLayout
from capgen.dataset.lock import exclusive
from capgen.encoding import check_name, is_below
from capgen.errors import UserError

RECORD = "export.json"
"""The record in DEST of what was exported."""
_COPIED_AT_ONCE = 1 << 20
_PROGRESS = "progress.json"


class ExportProgress(msgspec.Struct, kw_only=True):
    """``DEST.part/progress.json``.

    Args:
        digest: of all that the files are a function of.
        done: what was counted in the splits that are complete.
        split, media: so many media of the split in work are written.
        sizes: of the files that grow, bytes.
        counts: of the split in work.
    """

    digest: str
    done: dict[str, dict[str, int]] = {}
    split: str = ""
    media: int = 0
    sizes: dict[str, int] = {}
    counts: dict[str, int] = {}


@dataclass(slots=True)
class ExportFolder:
    """The files of an export in the making; names are relative to DEST."""

    dest: Path
    progress: ExportProgress
    counts: Counter[str] = field(default_factory=Counter)
    _open: dict[str, BinaryIO] = field(default_factory=dict)

    @property
    def part(self) -> Path:
        """Where everything is made."""
        return part_of_export(self.dest)

    @property
    def tree(self) -> Path:
        """What becomes DEST."""
        return self.part / "tree"

    def append(self, name: str, data: bytes) -> int:
        """Add to a file that grows; its length before."""
        file = self._file(name)
        before = file.tell()
        file.write(data)
        return before

    def size(self, name: str) -> int:
        """The length of a file that grows; 0 where nothing was added to it yet."""
        return self._open[name].tell() if name in self._open else self.progress.sizes.get(name, 0)

    def put(self, name: str, data: bytes) -> None:
        """Write a small file at once; one of the same bytes may be there already.

        Raises:
            UserError: another file has that name.
        """
        path = self._below(self.tree, name)
        if path.is_file():
            if path.stat().st_size == len(data) and path.read_bytes() == data:
                return
            raise UserError(
                f"two different pictures would be {name} in {self.dest}", "export with --pictures reference"
            )
        part = path.with_name(path.name + PART)  # without syncing each: nobody sees them before DEST has its name
        part.write_bytes(data)
        part.replace(path)

    def checkpoint(self, split: str, media: int) -> None:
        """Note that so many media of a split are written."""
        for file in self._open.values():
            file.flush()
        sizes = self.progress.sizes | {name: file.tell() for name, file in self._open.items()}
        self.progress.split, self.progress.media, self.progress.sizes = split, media, sizes
        self.progress.counts = dict(self.counts)
        self._write_progress()

    def resume(self, split: str) -> int:
        """Go back to the last checkpoint of a split; how many of its media are written."""
        sizes = self.progress.sizes if self.progress.split == split else {}
        whole = all(self._length(name) >= size for name, size in sizes.items())
        self.progress.sizes = sizes if whole else {}
        self.counts = Counter(self.progress.counts) if sizes and whole else Counter()
        for folder in (self.part / "pieces", self.part / "grown"):
            for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
                if path.is_file():
                    self._cut_back(path)
        return self.progress.media if sizes and whole else 0

    def _cut_back(self, path: Path) -> None:
        size = self.progress.sizes.get(path.relative_to(self.part).as_posix())
        if size is None:
            path.unlink()
        else:
            os.truncate(path, size)

    def _length(self, name: str) -> int:
        path = self.part / name
        return path.stat().st_size if path.is_file() else -1

    def assemble(self, name: str, pieces: Sequence[bytes | str]) -> None:
        """Make a file out of bytes and of pieces that grew, given by their names."""
        path = self._below(self.tree, name)
        part = path.with_name(path.name + PART)
        with part.open("wb") as out:
            for piece in pieces:
                if isinstance(piece, bytes):
                    out.write(piece)
                elif self.size(piece):
                    self._file(piece).flush()
                    with (self.part / piece).open("rb") as grown:
                        shutil.copyfileobj(grown, out, _COPIED_AT_ONCE)
        publish(part, path)

    def finish_split(self, split: str, grown: Sequence[str] = ()) -> None:
        """Record that a split is complete; ``grown`` are files that are final as they have grown, below ``grown/``."""
        for file in self._open.values():
            file.close()
        self._open.clear()
        for name in grown:
            path = self._below(self.tree, name.removeprefix("grown/"))
            if (self.part / name).is_file():
                publish(self.part / name, path)
        self.progress.done[split] = dict(self.counts)
        self.progress.split, self.progress.media, self.progress.sizes, self.progress.counts = "", 0, {}, {}
        self._write_progress()
        shutil.rmtree(self.part / "pieces", ignore_errors=True)
        self.counts = Counter()

    def finish(self, record: dict[str, Any]) -> None:
        """Give DEST its name, in one step."""
        self.tree.mkdir(exist_ok=True)
        for left in self.tree.rglob(f"*{PART}"):
            left.unlink()
        write_whole(self.tree / RECORD, msgspec.json.format(msgspec.json.encode(record)) + b"\n")
        sync(self.tree)
        self.tree.replace(self.dest)
        sync(self.dest.parent)

    def close(self) -> None:
        """Let go of the files; what was appended since the last checkpoint is forgotten."""
        for file in self._open.values():
            file.close()
        self._open.clear()

    def _file(self, name: str) -> BinaryIO:
        if name not in self._open:
            path = self._below(self.part, name)
            self._open[name] = path.open("ab")
        return self._open[name]

    def _below(self, folder: Path, name: str) -> Path:
        if not is_below(name):
            raise UserError(f"{name!r} is not a name below {self.dest}", "nothing is written outside of it")
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _write_progress(self) -> None:
        write_whole(self.part / _PROGRESS, msgspec.json.encode(self.progress))


def part_of_export(dest: Path) -> Path:
    """Where an export is made until it is complete."""
    return dest.with_name(f"{dest.name}{PART}")


def remove_left_part(dest: Path) -> bool:
    """Delete what an export that was killed in its last step left beside its finished DEST; whether it left anything.

    Raises:
        InUse: it still goes on.
    """
    part = part_of_export(dest)
    if part.is_symlink() or not part.is_dir() or _strangers(part):
        return False
    with exclusive(part):
        shutil.rmtree(part, ignore_errors=True)
    return True


def recorded_digest(dest: Path) -> str | None:
    """The digest of the export that is in DEST; None where there is none."""
    try:
        found = msgspec.json.decode((dest / RECORD).read_bytes(), type=dict[str, Any]).get("digest")
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if isinstance(found, str) else None


@contextmanager
def opened_export(dest: Path, digest: str) -> Iterator[ExportFolder]:
    """The folder in which DEST is made; an unfinished export of the same digest goes on.

    Raises:
        UserError: DEST holds something else, somebody else works on it, or it cannot be written.
    """
    dest = dest.parent.resolve() / dest.name if dest.name else dest.resolve()
    check_name(dest)
    part = part_of_export(dest)
    _refuse_taken(dest, part)
    try:
        with exclusive(part):
            remove_parts(part, re.compile(re.escape(_PROGRESS)))
            folder = ExportFolder(dest, _progress(part, digest))
            try:
                yield folder
            finally:
                folder.close()
        if dest.exists() and recorded_digest(dest) == digest:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        trouble = disk_trouble(error, dest.parent)
        if trouble is None:
            raise
        raise trouble from error


def _refuse_taken(dest: Path, part: Path) -> None:
    for path in (dest, part):
        if path.is_symlink():
            raise UserError(f"{path} is a symbolic link; nothing is written through links", "give another DEST")
        if path.exists() and not path.is_dir():
            raise UserError(f"{path} is a file where a folder belongs", "DEST is a folder: give another name")
    if dest.is_dir() and any(dest.iterdir()):
        raise UserError(f"{dest} is not empty", "give a DEST that is not there yet")
    strangers = _strangers(part)
    if strangers:
        raise UserError(f"{part} is no unfinished export: it holds {strangers[0]}", "move it away")
    for path in part.rglob("*") if part.is_dir() else ():
        if path.is_symlink():
            raise UserError(f"{path} is a symbolic link; nothing is written through links", "delete it")


def _strangers(part: Path) -> list[str]:
    """What no export has put there."""
    names = [path.name for path in part.iterdir()] if part.is_dir() else []
    return [name for name in names if name not in _OWN and not (name.startswith(_PROGRESS) and PART in name)]


_LOCKS = (RunLayout(Path()).lock.name, RunLayout(Path()).lock_file.name)
_OWN = frozenset({"tree", "pieces", "grown", _PROGRESS, *_LOCKS})


def _progress(part: Path, digest: str) -> ExportProgress:
    try:
        found = msgspec.json.decode((part / _PROGRESS).read_bytes(), type=ExportProgress)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    if found is not None and found.digest == digest:
        return found
    for name in ("tree", "pieces", "grown"):
        shutil.rmtree(part / name, ignore_errors=True)
    return ExportProgress(digest=digest)
