"""A source against a plan: which of its media are new, and what of those that are planned has changed."""

from __future__ import annotations

import hashlib
import io
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import xxhash
from msgspec.structs import replace

from capgen.dataset.layout import RunLayout
from capgen.dataset.plan import PlannedMedia, PlannedObject, PlanRecord, ShardEntry
from capgen.dataset.reader import read_columns
from capgen.dataset.shards import is_committed
from capgen.errors import LedgerError, UserError
from capgen.videos.frames import file_of

_SHOWN = 3
_LONG = 60
_MISSING = "picture_missing"
_RESTORE = "restore it, or start anew in another --out"


def plan_bytes(layout: RunLayout, entry: ShardEntry) -> bytes:
    """The lines of a shard's planned media.

    Raises:
        LedgerError: the file is missing or is not as it was written.
    """
    path = layout.plan_file(entry.file)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise LedgerError(f"{path} is missing; {_RESTORE}") from None
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise LedgerError(f"{path} differs from its record in plan.json; {_RESTORE}")
    return data


def compact(line: bytes) -> bytes:
    """JSON without the blanks and line breaks that an annotation file was written with."""
    return msgspec.json.format(line, indent=-1)


class _Name(msgspec.Struct, frozen=True):
    """What of a planned medium says which one it is."""

    dataset: str
    split: str
    media_id: str

    @property
    def name(self) -> str:
        return f"{self.dataset}/{self.split}/{self.media_id}"


def _digest(text: bytes) -> int:
    return xxhash.xxh3_64_intdigest(text)


class PlannedLines:
    """The lines of a plan by the names of their media, in 32 bytes each."""

    def __init__(self, layout: RunLayout, planned: PlanRecord) -> None:
        self._layout, self._planned = layout, planned
        self.digests, self._shards, self._offsets = array("Q"), array("Q"), array("Q")
        self.last: dict[int, int] = {}
        names = array("Q")
        decode = msgspec.json.Decoder(_Name).decode
        for entry in planned.shards:
            offset = 0
            for line in io.BytesIO(plan_bytes(layout, entry)):
                self.last[entry.index] = len(names)
                names.append(_digest(decode(line).name.encode()))
                self.digests.append(_digest(compact(line)))
                self._shards.append(entry.index)
                self._offsets.append(offset)
                offset += len(line)
        unsorted = np.frombuffer(names, np.uint64)
        self._order = np.argsort(unsorted, kind="stable")
        self._sorted = unsorted[self._order]

    def __len__(self) -> int:
        return len(self.digests)

    def find(self, name: str) -> int | None:
        """The number of a medium's line; None where it is not planned."""
        digest = _digest(name.encode())
        at = int(np.searchsorted(self._sorted, np.uint64(digest)))
        return int(self._order[at]) if at < len(self) and int(self._sorted[at]) == digest else None

    def shard(self, number: int) -> ShardEntry:
        """The shard of a line."""
        return self._planned.shards[self._shards[number]]

    def read(self, number: int) -> PlannedMedia:
        """A line."""
        with self._layout.plan_file(self.shard(number).file).open("rb") as lines:
            lines.seek(self._offsets[number])
            return msgspec.json.decode(lines.readline(), type=PlannedMedia)


class SourceComparison:
    """A source against a plan: what is new in it is given, what has changed or is gone is refused at the end.

    Attributes:
        longer: by shard, its last medium with more of its objects than a limit had left it.
    """

    def __init__(self, out: Path, planned: PlanRecord, wanted: PlanRecord) -> None:
        self.longer: dict[int, PlannedMedia] = {}
        self._out, self._planned = out, planned
        self._left = None if wanted.limit is None else wanted.limit - planned.table.objects
        self._lines = PlannedLines(RunLayout(out), planned)
        self._seen = np.zeros(len(self._lines), np.bool_)
        ends = {len(planned.shards), *(one.shards for one in planned.grown)} if planned.limit is not None else ()
        self._cut = {self._lines.last[end - 1] for end in ends if end}
        self._pictures = _Pictures(Path(wanted.root or ""))
        self._changed: list[str] = []
        self._missing: list[tuple[int, str]] = []

    def new(self, media: Iterable[PlannedMedia]) -> Iterator[PlannedMedia]:
        """The media that are not planned yet, up to the limit; all others are compared."""
        for medium in media:
            number = self._lines.find(medium.name)
            if number is not None:
                self._compare(number, medium)
            elif self._left is None or self._left > 0:
                yield replace(medium, objects=self._taken(medium.objects))

    def check(self) -> None:
        """After the last medium.

        Raises:
            UserError: a planned medium has changed or is gone; it is named.
        """
        gone = [self._lines.read(int(number)).name for number in np.flatnonzero(~self._seen)[:_SHOWN]]
        missing = [f"{name} of {medium}" for medium, name in self._vanished_pictures()]
        found = [
            _told("changed", self._changed, len(self._changed)),
            _told("gone from the dataset", gone, int((~self._seen).sum())),
            _told("gone from the pictures", missing, len(missing)),
        ]
        if any(found):
            told = "; ".join(filter(None, found))
            raise UserError(
                f"{self._out} cannot be extended, since its dataset has not only grown: {told}",
                "put back what was planned, or give the changed dataset another --out, or --fork to start beside it",
            )

    def _taken(self, objects: tuple[PlannedObject, ...]) -> tuple[PlannedObject, ...]:
        if self._left is not None:
            objects = objects[: self._left]
            self._left -= len(objects)
        return objects

    def _compare(self, number: int, medium: PlannedMedia) -> None:
        self._seen[number] = True
        missing = self._pictures.missing(medium)
        if missing is not None:
            self._missing.append((number, missing))
        if _digest(compact(msgspec.json.encode(medium))) == self._lines.digests[number]:
            return
        old = self._lines.read(number)
        had = len(old.objects)
        cut = number in self._cut and had < len(medium.objects)
        now = replace(medium, objects=medium.objects[:had]) if cut else medium
        difference = _difference(old, now)
        if difference is not None:
            self._changed.append(f"{medium.name} ({difference})")
        elif cut and (more := self._taken(medium.objects[had:])):
            self.longer[self._lines.shard(number).index] = replace(medium, objects=(*old.objects, *more))

    def _vanished_pictures(self) -> list[tuple[str, str]]:
        """(medium, file) of the pictures that are not there although their objects were asked about."""
        by_shard: dict[int, list[tuple[str, str]]] = {}
        for number, name in self._missing:
            by_shard.setdefault(self._lines.shard(number).index, []).append((self._lines.read(number).name, name))
        found = []
        for index, pictures in by_shard.items():
            if is_committed(self._out, index, self._planned.fingerprint):
                columns = read_columns(self._out, index, ["key", "reasons"]).to_pydict()
                rows = zip(columns["key"], columns["reasons"], strict=True)
                asked = {key.rpartition("/")[0] for key, reasons in rows if _MISSING not in (reasons or ())}
                found += [one for one in pictures if one[0] in asked]
        return found


class _Pictures:
    """Which files of pictures are below a root; each folder is listed once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._listings: dict[Path, frozenset[str]] = {}

    def missing(self, medium: PlannedMedia) -> str | None:
        """The first file of a medium that is not there."""
        for name in dict.fromkeys(map(file_of, medium.file_names)):
            path = self._root / medium.folder / name
            if path.parent not in self._listings:
                try:
                    self._listings[path.parent] = frozenset(one.name for one in path.parent.iterdir())
                except OSError:
                    self._listings[path.parent] = frozenset()
            if path.name not in self._listings[path.parent]:
                return Path(medium.folder, name).as_posix()
        return None


def _difference(old: PlannedMedia, new: PlannedMedia) -> str | None:
    """The first thing in which two lines of a medium differ; None where they mean the same."""
    for field in PlannedMedia.__struct_fields__:
        before, after = getattr(old, field), getattr(new, field)
        if field != "objects" and before != after:
            return f"{field} was {_short(before)} and is {_short(after)}"
    had, has = ({one.object_id: one for one in media.objects} for media in (old, new))
    for name in [*had, *has]:
        if name not in has:
            return f"object {name} is gone"
        if name not in had:
            return f"object {name} is new"
        if _value(had[name].segmentation) != _value(has[name].segmentation):
            return f"object {name} has another mask"
        if replace(had[name], segmentation=msgspec.Raw()) != replace(has[name], segmentation=msgspec.Raw()):
            return f"object {name} has another category or description"
    return None


def _value(segmentation: msgspec.Raw) -> Any:
    return msgspec.json.decode(segmentation)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"


def _told(what: str, names: list[str], total: int) -> str:
    if not total:
        return ""
    more = f" and {total - _SHOWN:,} more" if total > _SHOWN else ""
    return f"{what}: {', '.join(names[:_SHOWN])}{more}"
