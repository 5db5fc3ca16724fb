"""The plan: a source's media cut into shards, one file of JSON lines each, and the table of them.

A plan depends on the source and on ``shard_objects`` alone, never on how many workers there will be, nor on how many
processes plan it. Segmentations pass through as they stand in the annotation file: the worker that owns a shard decodes
them. A source of several annotation files or folders gives its parts, which are planned side by side; a shard ends
where a part ends.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import xxhash

from capgen.dataset.files import part_of, scratch_folder, write_whole
from capgen.dataset.layout import RunLayout
from capgen.dataset.plan import PlannedMedia, PlanRecord, ShardEntry, ShardTable
from capgen.dataset.release_record import stem
from capgen.errors import UserError
from capgen.pipeline.sources.base import Source
from capgen.pipeline.tasks import InThisProcess, TaskRunner, Tell

PlanProgress = Callable[[int, int], None]
"""Told after every shard how many media and objects are planned so far."""

_SWITCH_S = 0.0005  # the threads that hash and write need the interpreter often and briefly
_NAME = re.compile(r"\d{5,}(-\d+)?\.jsonl(\.part)?")
_SPLIT = re.compile(r"\w+(\.\w+)*")
_TELL_S = 0.5
_BYTES_EACH = 10_000
_PART_EACH = 10_000

ChooseTasks = Callable[[int], TaskRunner]
"""Where work is done that takes as long as packing so many objects."""


def write_plan(
    source: Source,
    out: Path,
    *,
    shard_objects: int,
    limit: int | None = None,
    progress: PlanProgress | None = None,
    tasks: ChooseTasks | None = None,
) -> ShardTable:
    """Write ``OUT/plan/00012.jsonl``, a ``PlannedMedia`` a line, and return the table; an older plan is replaced.

    Args:
        shard_objects: a shard is full once it holds so many; a medium is never split.
        limit: plan exactly the first so many objects; the last medium may lose some of its own.
        tasks: where the source's parts are planned; None in this process.

    Raises:
        UserError: the source is missing or not of its format, or a split's name cannot be loaded.
        OSError: ``out`` cannot be written.
    """
    return write_shards(
        source, RunLayout(out).plan_dir, shard_objects=shard_objects, limit=limit, progress=progress, tasks=tasks
    )


def write_shards(
    source: Source,
    folder: Path,
    *,
    shard_objects: int,
    limit: int | None = None,
    progress: PlanProgress | None = None,
    tasks: ChooseTasks | None = None,
) -> ShardTable:
    """The shards' files in a folder of OUT; see ``write_plan``."""
    _make_empty(folder)
    parts = getattr(source, "parts", lambda: [source])()
    if len(parts) > 1:
        runner = tasks(_likely_objects(parts)) if tasks is not None and limit is None else InThisProcess()
        with scratch_folder(folder.parent) as scratch:
            work = [_PlanTask(part, scratch / f"part-{i:05d}", shard_objects) for i, part in enumerate(parts)]
            joined = _Joined(folder, _Told(progress, scratch))
            for planned in _planned(work, runner, limit, joined.told):
                joined.add(planned)
        if not joined.twice():
            return joined.table()
        _make_empty(folder)  # ids that come twice need one look at all of them
    return _plan_source(source, folder, shard_objects, limit, progress).table()


def write_media(
    media: Iterable[PlannedMedia], folder: Path, shard_objects: int, progress: PlanProgress | None
) -> ShardTable:
    """Write chosen media, as shards from 0 on, into a folder of OUT; see ``write_plan``."""
    _make_empty(folder)
    return _plan_media(media, folder, shard_objects, progress).table()


class _PlannedPart(NamedTuple):
    """What a part of a source has given.

    Args:
        folder: holds the files that ``entries`` name.
        media: digests of the media's names, by dataset and split.
    """

    folder: Path
    entries: tuple[ShardEntry, ...]
    folders: dict[str, dict[str, None]]
    left_out: Counter[str]
    media: dict[tuple[str, str], array[int]]

    def table(self) -> ShardTable:
        """The plan, where this is all of it."""
        return ShardTable(
            shards=self.entries,
            folders={name: tuple(names) for name, names in self.folders.items()},
            left_out=dict(sorted(self.left_out.items())),
        )


@dataclass(frozen=True, slots=True)
class _PlanTask:
    """A part to be planned, into a folder of its own."""

    source: Source
    folder: Path
    shard_objects: int
    limit: int | None = None


def _plan_part(task: _PlanTask, tell: Tell) -> _PlannedPart:
    part = part_of(task.folder)
    part.mkdir()
    note = task.folder.with_suffix(".progress")
    told = 0.0

    def progress(media: int, objects: int) -> None:
        nonlocal told
        if time.monotonic() - told > _TELL_S:
            told = time.monotonic()
            note.write_text(f"{media} {objects}")
        tell()

    planned = _plan_source(task.source, part, task.shard_objects, task.limit, progress)
    note.unlink(missing_ok=True)
    shutil.rmtree(task.folder, ignore_errors=True)  # of a machine that was lost
    part.rename(task.folder)
    return planned._replace(folder=task.folder)


def _planned(work: Sequence[_PlanTask], runner: TaskRunner, limit: int | None, told: _Told) -> Iterator[_PlannedPart]:
    """The parts in order; with a limit one after the other, until there are enough objects."""
    if limit is None:
        yield from runner.map(_plan_part, work, told, idle=told, memory=max(map(_memory, work)))
        return
    for task in work:
        planned = _plan_part(replace(task, limit=limit), told)
        yield planned
        limit -= sum(entry.objects for entry in planned.entries)
        if limit <= 0:
            return


class _Told:
    """Tells how much is planned by now: finished parts, and what the others have noted."""

    def __init__(self, progress: PlanProgress | None, scratch: Path) -> None:
        self.media = self.objects = 0
        self._progress, self._scratch, self._next = progress, scratch, 0.0

    def __call__(self) -> None:
        if self._progress is None or time.monotonic() < self._next:
            return
        media, objects = self.media, self.objects
        for note in self._scratch.glob("*.progress"):
            with suppress(OSError, ValueError):  # it has just ended, or is being written
                more, others = map(int, note.read_text().split())
                media, objects = media + more, objects + others
        self._progress(media, objects)
        self._next = time.monotonic() + _TELL_S


class _Joined:
    """The parts of a plan as one: shards are numbered through."""

    def __init__(self, folder: Path, told: _Told) -> None:
        self.told = told
        self._folder = folder
        self._entries: list[ShardEntry] = []
        self._folders: dict[str, dict[str, None]] = {}
        self._left_out: Counter[str] = Counter()
        self._media: dict[tuple[str, str], list[array[int]]] = {}
        self._named: dict[str, str] = {}

    def add(self, part: _PlannedPart) -> None:
        """The next part.

        Raises:
            UserError: a split cannot be loaded beside the others.
        """
        for dataset, split in part.media:
            _check_split(dataset, split, self._named)
        for entry in part.entries:
            index = len(self._entries)
            (part.folder / entry.file).rename(self._folder / _name(index))
            self._entries.append(msgspec.structs.replace(entry, index=index, file=_name(index)))
            self.told.media += entry.media
            self.told.objects += entry.objects
        for name, folders in part.folders.items():
            self._folders.setdefault(name, {}).update(folders)
        self._left_out.update(part.left_out)
        for split_of, digests in part.media.items():
            self._media.setdefault(split_of, []).append(digests)
        self.told()

    def twice(self) -> bool:
        """Whether a medium of one part has the name of one in another."""
        for parts in self._media.values():
            names = np.concatenate([np.frombuffer(part, np.uint64) for part in parts])
            if len(parts) > 1 and len(np.unique(names)) < len(names):
                return True
        return False

    def table(self) -> ShardTable:
        """The plan."""
        return ShardTable(
            shards=tuple(self._entries),
            folders={name: tuple(names) for name, names in self._folders.items()},
            left_out=dict(sorted(self._left_out.items())),
        )


def _plan_source(
    source: Source, folder: Path, shard_objects: int, limit: int | None, progress: PlanProgress | None
) -> _PlannedPart:
    """The media of a source, in one go."""
    return _plan_media(loadable(_limited(source.scan(), limit)), folder, shard_objects, progress)


def _plan_media(
    chosen: Iterable[PlannedMedia], folder: Path, shard_objects: int, progress: PlanProgress | None
) -> _PlannedPart:
    entries: list[ShardEntry] = []
    noted = _PlannedPart(folder, (), {}, Counter(), {})
    done = 0, 0
    with _quick_threads():
        for entry in _written(folder, _shards(_noting(chosen, noted), shard_objects)):
            entries.append(entry)
            done = done[0] + entry.media, done[1] + entry.objects
            if progress is not None:
                progress(*done)
    return noted._replace(entries=tuple(entries))


def _make_empty(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if _NAME.fullmatch(old.name):
            old.unlink()


def _name(index: int) -> str:
    return f"{index:05d}.jsonl"


def _memory(task: _PlanTask) -> int:
    """Bytes that planning a part takes, where it reads an annotation file as a whole."""
    return 2 * sum(file.stat().st_size for file in task.source.files if file.is_file())


def _likely_objects(parts: Sequence[Source]) -> int:
    """How many objects would take as long to pack as these parts take to plan."""
    files = {file for part in parts for file in part.files if file.is_file()}
    return sum(file.stat().st_size for file in files) // _BYTES_EACH if files else len(parts) * _PART_EACH


def write_plan_json(out: Path, record: PlanRecord) -> None:
    """Write ``OUT/plan.json``, which makes OUT a run; whole or not at all."""
    write_whole(RunLayout(out).plan_json, msgspec.json.format(msgspec.json.encode(record)) + b"\n")


@contextmanager
def _quick_threads() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, _SWITCH_S))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _limited(media: Iterable[PlannedMedia], limit: int | None) -> Iterator[PlannedMedia]:
    left = limit
    for medium in media:
        if left is not None and len(medium.objects) >= left:
            yield msgspec.structs.replace(medium, objects=medium.objects[:left])
            return
        left = None if left is None else left - len(medium.objects)
        yield medium


def loadable(media: Iterable[PlannedMedia]) -> Iterator[PlannedMedia]:
    """The media, whose splits must have names that ``datasets`` can load.

    Raises:
        UserError: a split is called ``all``, which means every split there, or its name is no word.
    """
    split = None
    named: dict[str, str] = {}
    for medium in media:
        if medium.split != split:
            _check_split(medium.dataset, medium.split, named)
        split = medium.split
        yield medium


def _check_split(dataset: str, split: str, named: dict[str, str]) -> None:
    if split.lower() == "all" or not _SPLIT.fullmatch(split):
        what = f"the source of {dataset} gives a split called {split!r}, which `datasets` cannot load"
        raise UserError(
            what,
            "rename the file, folder or list that names it, with letters, digits and _, or choose others by --split",
        )
    first = named.setdefault(stem(split), split)
    if first != split:
        raise UserError(f"the splits {first!r} and {split!r} of {dataset} are one in file names", "run them apart")


def _noting(media: Iterable[PlannedMedia], noted: _PlannedPart) -> Iterator[PlannedMedia]:
    """The media, while their folders (in the order of their first use), names and what was left out are noted."""
    for medium in media:
        if medium.file_names:
            noted.folders.setdefault(f"{medium.dataset}/{medium.split}", {})[medium.folder] = None
        split = (medium.dataset, medium.split)
        if split not in noted.media:
            noted.media[split] = array("Q")
        noted.media[split].append(xxhash.xxh3_64_intdigest(medium.media_id.encode()))
        noted.left_out.update(medium.left_out)
        yield medium


def _shards(media: Iterable[PlannedMedia], shard_objects: int) -> Iterator[list[PlannedMedia]]:
    shard: list[PlannedMedia] = []
    objects = 0
    for medium in media:
        if shard and (objects >= shard_objects or medium.split != shard[0].split):
            yield shard
            shard, objects = [], 0
        shard.append(medium)
        objects += len(medium.objects)
    if shard:
        yield shard


def _written(folder: Path, shards: Iterable[list[PlannedMedia]]) -> Iterator[ShardEntry]:
    """Hashes and writes in a thread, two shards behind the scan: both let go of the GIL."""
    pending: deque[Future[ShardEntry]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="plan") as writer:
        for index, shard in enumerate(shards):
            data = _lines(shard)
            objects = sum(len(medium.objects) for medium in shard)
            pending.append(writer.submit(_write, folder, index, shard[0].split, len(shard), objects, data))
            if len(pending) > 2:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _write(folder: Path, index: int, split: str, media: int, objects: int, data: bytearray) -> ShardEntry:
    path = folder / _name(index)
    part = path.with_suffix(".jsonl.part")
    part.write_bytes(data)
    part.replace(path)
    digest = hashlib.sha256(data).hexdigest()
    return ShardEntry(index=index, split=split, media=media, objects=objects, file=path.name, sha256=digest)


def _lines(shard: Iterable[PlannedMedia]) -> bytearray:
    encoder = msgspec.json.Encoder()
    lines = bytearray()
    for medium in shard:
        start = len(lines)
        encoder.encode_into(medium, lines, -1)
        if lines.find(b"\n", start) >= 0:  # a segmentation of a file that was written with line breaks
            lines[start:] = msgspec.json.format(bytes(lines[start:]), indent=-1)
        lines += b"\n"
    return lines
