"""A source against a plan: which of its media are new, and what of those that are planned has changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace

from capgen.dataset.layout import RunLayout
from capgen.dataset.plan import PlannedMedia, PlannedObject, PlanRecord
from capgen.errors import UserError
from capgen.pipeline.planning.adding.lines import PlannedLines, compact, line_digest
from capgen.pipeline.planning.adding.pictures import PlannedPictures
from capgen.pipeline.planning.job import Job

_SHOWN = 3
_LONG = 60


class SourceComparison:
    """A source against a plan: what is new in it is given, what has changed or is gone is refused at the end.

    Attributes:
        longer: by a shard's place in the plan, its last medium with more of its objects than a limit had left it.
    """

    def __init__(self, job: Job, planned: PlanRecord, wanted: PlanRecord) -> None:
        self.longer: dict[int, PlannedMedia] = {}
        self._out = job.out
        self._left = None if wanted.limit is None else wanted.limit - planned.table.objects
        self._lines = PlannedLines(RunLayout(job.out), planned)
        self._seen = np.zeros(len(self._lines), np.bool_)
        ends = {len(planned.shards), *(one.shards for one in planned.grown)} if planned.limit is not None else ()
        self._cut = {self._lines.last[end - 1] for end in ends if end - 1 in self._lines.last}
        self._pictures = PlannedPictures(job, self._lines)
        self._changed: list[str] = []

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
        missing = self._pictures.vanished()
        other = [f"{name} (its picture has other pixels)" for name in self._pictures.changed()]
        changed = [*self._changed, *other]
        found = [
            _told("changed", changed, len(changed)),
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
        self._pictures.look(number, medium)
        if line_digest(compact(msgspec.json.encode(medium))) == self._lines.digests[number]:
            return
        old = self._lines.read(number)
        had = len(old.objects)
        cut = number in self._cut and had < len(medium.objects)
        now = replace(medium, objects=medium.objects[:had]) if cut else medium
        difference = _difference(old, now)
        if difference is not None:
            self._changed.append(f"{medium.name} ({difference})")
        elif cut and (more := self._taken(medium.objects[had:])):
            self.longer[self._lines.place(number)] = replace(medium, objects=(*old.objects, *more))


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
    """What a segmentation says; its text where that is no JSON of usual numbers."""
    try:
        return msgspec.json.decode(segmentation)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return bytes(segmentation)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"


def _told(what: str, names: list[str], total: int) -> str:
    if not total:
        return ""
    more = f" and {total - _SHOWN:,} more" if total > _SHOWN else ""
    return f"{what}: {', '.join(names[:_SHOWN])}{more}"
