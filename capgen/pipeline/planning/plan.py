"""The plan: a source's media cut into shards, one file of JSON lines each, and the table of them.

A plan depends on the source and on ``shard_objects`` alone, never on how many workers there will be. Segmentations
pass through as they stand in the annotation file: the worker that owns a shard decodes them.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import msgspec

from capgen.dataset.files import write_whole
from capgen.dataset.layout import RunLayout
from capgen.dataset.plan import PlannedMedia, PlanRecord, ShardEntry, ShardTable
from capgen.dataset.release_record import stem
from capgen.errors import UserError
from capgen.pipeline.sources.base import Source

PlanProgress = Callable[[int, int], None]
"""Told after every shard how many media and objects are planned so far."""

_HASHED = 32 * 2**20  # so much is hashed at a time: between two pieces a thread waits for the interpreter
_SWITCH_S = 0.0005  # the threads that hash and write need the interpreter often and briefly
_NAME = re.compile(r"\d{5,}(-\d+)?\.jsonl(\.part)?")
_SPLIT = re.compile(r"\w+(\.\w+)*")


def write_plan(
    source: Source, out: Path, *, shard_objects: int, limit: int | None = None, progress: PlanProgress | None = None
) -> ShardTable:
    """Write ``OUT/plan/00012.jsonl``, a ``PlannedMedia`` a line, and return the table; an older plan is replaced.

    Args:
        shard_objects: a shard is full once it holds so many; a medium is never split.
        limit: plan exactly the first so many objects; the last medium may lose some of its own.

    Raises:
        UserError: the source is missing or not of its format, or a split's name cannot be loaded.
        OSError: ``out`` cannot be written.
    """
    return write_shards(source, RunLayout(out).plan_dir, shard_objects=shard_objects, limit=limit, progress=progress)


def write_shards(
    source: Source, folder: Path, *, shard_objects: int, limit: int | None = None, progress: PlanProgress | None = None
) -> ShardTable:
    """The shards' files in any folder; see ``write_plan``."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if _NAME.fullmatch(old.name):
            old.unlink()
    entries: list[ShardEntry] = []
    folders: dict[str, dict[str, None]] = {}
    left_out: Counter[str] = Counter()
    media = objects = 0
    with _quick_threads():
        planned = _noting_folders(_counting(_loadable(_limited(source.scan(), limit)), left_out), folders)
        for entry in _written(folder, _shards(planned, shard_objects)):
            entries.append(entry)
            media, objects = media + entry.media, objects + entry.objects
            if progress is not None:
                progress(media, objects)
    found = {name: tuple(names) for name, names in folders.items()}
    return ShardTable(shards=tuple(entries), folders=found, left_out=dict(sorted(left_out.items())))


def write_plan_json(out: Path, record: PlanRecord) -> None:
    """Write ``OUT/plan.json``, which makes OUT a run; whole or not at all."""
    write_whole(RunLayout(out).plan_json, msgspec.json.format(msgspec.json.encode(record)) + b"\n")


def file_sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file's contents."""
    digest = hashlib.sha256()
    piece = bytearray(min(_HASHED, max(1, path.stat().st_size)))
    view = memoryview(piece)
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(piece):
            digest.update(view[:size])
    return digest.hexdigest()


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
        if left is None:
            yield medium
            continue
        if len(medium.objects) >= left:
            yield msgspec.structs.replace(medium, objects=medium.objects[:left])
            return
        left -= len(medium.objects)
        yield medium


def _loadable(media: Iterable[PlannedMedia]) -> Iterator[PlannedMedia]:
    """The media, whose splits must have names that ``datasets`` can load.

    Raises:
        UserError: a split is called ``all``, which means every split there, or its name is no word.
    """
    split = None
    named: dict[str, str] = {}
    for medium in media:
        if medium.split != split and (medium.split.lower() == "all" or not _SPLIT.fullmatch(medium.split)):
            what = f"the source of {medium.dataset} gives a split called {medium.split!r}, which `datasets` cannot load"
            raise UserError(what, "the source must name it otherwise, with letters, digits and _")
        first = named.setdefault(stem(medium.split), medium.split)
        if first != medium.split:
            what = f"the splits {first!r} and {medium.split!r} of {medium.dataset} are one in file names"
            raise UserError(what, "run them apart")
        split = medium.split
        yield medium


def _noting_folders(media: Iterable[PlannedMedia], folders: dict[str, dict[str, None]]) -> Iterator[PlannedMedia]:
    """The media, while their folders are written down by dataset and split, in the order of their first use."""
    for medium in media:
        if medium.file_names:
            folders.setdefault(f"{medium.dataset}/{medium.split}", {})[medium.folder] = None
        yield medium


def _counting(media: Iterable[PlannedMedia], left_out: Counter[str]) -> Iterator[PlannedMedia]:
    """The media, while what the source left out is counted."""
    for medium in media:
        left_out.update(medium.left_out)
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
    path = folder / f"{index:05d}.jsonl"
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
