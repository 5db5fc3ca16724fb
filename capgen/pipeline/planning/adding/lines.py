"""The lines of a plan, found by the names of their media."""

from __future__ import annotations

import hashlib
import io
from array import array
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import numpy as np
import xxhash

from capgen.dataset.layout import RunLayout
from capgen.dataset.plan import PlannedMedia, PlanRecord, ShardEntry
from capgen.dataset.reader import PLAN_REMEDY, checked_folder
from capgen.errors import LedgerError


def plan_bytes(layout: RunLayout, entry: ShardEntry) -> bytes:
    """The lines of a shard's planned media.

    Raises:
        LedgerError: the file is missing or is not as it was written.
    """
    path = layout.plan_file(entry.file)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise LedgerError(f"{path} is missing; {PLAN_REMEDY}") from None
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise LedgerError(f"{path} differs from its record in plan.json; {PLAN_REMEDY}")
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


def line_digest(text: bytes) -> int:
    """Eight bytes that tell two texts apart, nearly always."""
    return xxhash.xxh3_64_intdigest(text)


class PlannedLines:
    """The lines of a plan by the names of their media, in 32 bytes each.

    Attributes:
        last: the number of each shard's last line, by the shard's place in the plan.

    Raises:
        LedgerError: a file is missing or damaged.
    """

    def __init__(self, layout: RunLayout, planned: PlanRecord) -> None:
        self._layout, self._planned = layout, planned
        self.digests, self._shards, self._offsets = array("Q"), array("Q"), array("Q")
        self.last: dict[int, int] = {}
        names = array("Q")
        decode = msgspec.json.Decoder(_Name).decode
        for place, entry in enumerate(planned.shards):
            offset = 0
            for line in io.BytesIO(plan_bytes(layout, entry)):
                self.last[place] = len(names)
                with self._decoding(entry):
                    names.append(line_digest(decode(line).name.encode()))
                    self.digests.append(line_digest(compact(line)))
                self._shards.append(place)
                self._offsets.append(offset)
                offset += len(line)
        unsorted = np.frombuffer(names, np.uint64)
        self._order = np.argsort(unsorted, kind="stable")
        self._sorted = unsorted[self._order]

    def __len__(self) -> int:
        return len(self.digests)

    def find(self, name: str) -> int | None:
        """The number of a medium's line; None where it is not planned."""
        digest = line_digest(name.encode())
        at = int(np.searchsorted(self._sorted, np.uint64(digest)))
        return int(self._order[at]) if at < len(self) and int(self._sorted[at]) == digest else None

    def place(self, number: int) -> int:
        """The place in the plan of a line's shard."""
        return self._shards[number]

    def shard(self, number: int) -> ShardEntry:
        """The shard of a line."""
        return self._planned.shards[self._shards[number]]

    def read(self, number: int) -> PlannedMedia:
        """A line.

        Raises:
            LedgerError: it is damaged, or names a folder outside of the root.
        """
        entry = self.shard(number)
        path = self._layout.plan_file(entry.file)
        with path.open("rb") as lines, self._decoding(entry):
            lines.seek(self._offsets[number])
            media = msgspec.json.decode(lines.readline(), type=PlannedMedia)
        if media.folder:
            checked_folder(media.folder, path)
        return media

    @contextmanager
    def _decoding(self, entry: ShardEntry) -> Iterator[None]:
        try:
            yield
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise LedgerError(f"{self._layout.plan_file(entry.file)} is damaged ({error}); {PLAN_REMEDY}") from error
