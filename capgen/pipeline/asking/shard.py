"""The flow of one shard: planned media in, rendered, asked, judged, one committed Parquet file out."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from capgen.dataset.files import DiskTrouble, telling_disk_trouble
from capgen.dataset.plan import PlannedMedia, ShardEntry
from capgen.dataset.row import Row
from capgen.dataset.shards import Manifest, write_candidates
from capgen.dataset.types import Fault, Media, MediaObject
from capgen.errors import CapgenError, Interrupted
from capgen.pipeline.asking.ask import Asker
from capgen.pipeline.asking.journal import Flight, Journal, Strike, Why
from capgen.pipeline.asking.retry_state import Carried, load
from capgen.pipeline.engines.base import EngineDead, EngineFault, Postponed, Session, together
from capgen.pipeline.planning.job import Job, Verdict, failed, judged
from capgen.pipeline.rendering.render import render_media
from capgen.pipeline.view import Settled, View, request_digest

_RENDER_THREADS = 2
_MEDIA_AHEAD = 6


@dataclass(slots=True)
class Shard:
    """One shard while it is worked on.

    ``flying``: what is being asked, with the requests' digests. ``trouble``: what ends the shard as soon as ``alarm``
    wakes its watch. ``cut``: not everything was asked, because the run is to end.
    """

    entry: ShardEntry
    journal: Journal
    carried: Carried | None = None
    media: list[Media] = field(default_factory=list)
    faults: dict[str, Fault] = field(default_factory=dict)
    asked: int = 0
    render_s: float = 0.0
    flying: dict[str, str] = field(default_factory=dict)
    objects: dict[str, MediaObject] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    flushing: bool = False
    postponed: list[Postponed] = field(default_factory=list)
    trouble: CapgenError | None = None
    alarm: asyncio.Event = field(default_factory=asyncio.Event)
    cut: bool = False

    @property
    def stay(self) -> dict[str, Row]:
        """The rows of an earlier commit that are not asked for again, by key."""
        return dict(self.carried.stay) if self.carried else {}

    @property
    def settled(self) -> int:
        """Objects that need no more asking."""
        return len(self.journal.settled) + len(self.faults) + (len(self.carried.stay) if self.carried else 0)


@dataclass(slots=True)
class Standing:
    """What a worker has in its unfinished shards: objects settled so far, dropped and failed by reason."""

    settled: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: Standing) -> Standing:
        return Standing(self.settled + other.settled, self.reasons + other.reasons)


class Worker:
    """Does shards with one started engine; several at once, so that the next is asked while the last drains."""

    def __init__(self, job: Job, session: Session) -> None:
        self.job = job
        self.active: dict[int, Shard] = {}
        self._session = session
        self._asker = Asker(session, job.settings.run.attempts)
        self._slots = asyncio.Semaphore(job.engine.in_flight)
        self._feeding = asyncio.Lock()
        self._threads = ThreadPoolExecutor(_RENDER_THREADS, thread_name_prefix="render")
        self._moved = time.monotonic()
        self._answered = 0
        self._struck = False
        self._ends: float | None = None

    async def __call__(self, entry: ShardEntry) -> Manifest:
        """Do a shard and return its manifest.

        Raises:
            EngineDead: the engine is gone or does nothing any more; what was settled is in the journal.
            Postponed: answers are still to come from elsewhere; what was settled is in the journal.
            Interrupted: ``finish`` was called before everything was asked.
            UserError: the engine can answer nothing until the user has changed something, or the disk is full.
        """
        started, begun = datetime.now(UTC), time.monotonic()
        folder = self.job.journal_dir(entry.index)
        with telling_disk_trouble(self.job.out), Journal(folder) as journal:
            carried = await asyncio.get_running_loop().run_in_executor(self._threads, load, folder)
            shard = self.active[entry.index] = Shard(entry, journal, carried)
            resumed = len(journal.settled)
            try:
                await self._ask_all(shard)
            finally:
                del self.active[entry.index]
            if shard.cut:
                raise Interrupted
            if shard.postponed:
                raise together(shard.postponed)
            extra = {
                "fingerprint": self.job.fingerprint,
                "started": started.isoformat(timespec="milliseconds"),
                "finished": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "seconds": round(time.monotonic() - begun, 3),  # a wall clock may be set while the shard is done
                "resumed": resumed,
                "asked": shard.asked,
                "render_seconds": round(shard.render_s, 3),
            }
            manifest = await asyncio.get_running_loop().run_in_executor(self._threads, self._commit, shard, extra)
            journal.remove()
        return manifest

    async def finish(self, seconds: float) -> None:
        """Ask for nothing more; requests in flight have so many seconds to be answered."""
        self._ends = time.monotonic() + seconds

    @property
    def standing(self) -> Standing:
        """Where the unfinished shards stand."""
        shards = list(self.active.values())
        settled = sum(shard.settled for shard in shards)
        return Standing(settled, sum((shard.reasons for shard in shards), Counter()))

    async def _ask_all(self, shard: Shard) -> None:
        """Ask for every object of the shard that is not settled, in the order of the plan, suspects last."""
        try:
            async with asyncio.TaskGroup() as outer:
                watch = outer.create_task(self._watch(shard))
                async with asyncio.TaskGroup() as flights, self._feeding:
                    suspects = []
                    async for view in self._views(shard):
                        if self._suspect(shard, view.key):
                            suspects.append(view)
                            continue
                        await self._slots.acquire()
                        if self._ends is not None:
                            shard.cut = True
                            break
                        self._fly(flights, shard, view)
                    await self._one_by_one(shard, suspects)
                watch.cancel()
        except* (CapgenError, OSError) as group:
            raise first_leaf(group) from None

    def _suspect(self, shard: Shard, key: str) -> bool:
        """Whether the key was in flight at so many ends of engines that it is asked with nothing else in flight."""
        return shard.journal.strikes.get(key, 0) >= max(1, self.job.settings.run.attempts - 1)

    def _fly(self, flights: asyncio.TaskGroup, shard: Shard, view: View) -> None:
        if not shard.flying:
            self._moved = time.monotonic()
        request = self._take_off(shard, view)
        # Not `finally` inside the task: a task that is cancelled before its first step never runs it.
        flights.create_task(self._ask(shard, view, request)).add_done_callback(lambda _: self._land(shard, view.key))

    def _take_off(self, shard: Shard, view: View, *, alone: bool = False) -> str:
        request = shard.flying[view.key] = request_digest(view, self.job.salt)
        shard.asked += 1
        if shard.journal.careful:
            shard.journal.add(Flight(flight=view.key, alone=alone, request=request))
            shard.journal.flush()
        return request

    def _land(self, shard: Shard, key: str) -> None:
        shard.flying.pop(key, None)
        self._slots.release()

    async def _one_by_one(self, shard: Shard, views: Iterable[View]) -> None:
        """Ask for suspects with nothing else in flight, so that an engine's end tells which of them is to blame.

        That blames nobody unless the engine has answered something before: it may be dead for reasons of its own.
        """
        views = list(views)
        if not views:
            return
        slots = self.job.engine.in_flight
        for _ in range(slots):
            await self._slots.acquire()
        if not self._answered and self._ends is None:
            await self._ask_known(shard)
        for view in sorted(views, key=lambda view: self._urgency(shard, view.key)):
            if self._ends is not None:
                shard.cut = True
                break
            self._moved = time.monotonic()
            request = self._take_off(shard, view, alone=self._answered > 0)
            await self._ask(shard, view, request)
            del shard.flying[view.key]
        for _ in range(slots):
            self._slots.release()

    def _urgency(self, shard: Shard, key: str) -> tuple[int, int]:
        """The order of suspects: the one that is nearly proved, in an engine that has answered something.

        Before it has, who was in flight least often: the likeliest to be answered, and so to prove the others.
        """
        strikes = shard.journal.strikes[key]
        return (-len(shard.journal.alone.get(key, ())) if self._answered else 0, strikes)

    async def _ask_known(self, shard: Shard) -> None:
        """See whether the engine works at all: ask for something of this shard that was answered before."""
        loop = asyncio.get_running_loop()
        view = await loop.run_in_executor(self._threads, self._known, shard)
        if view is None:
            return
        try:
            await asyncio.wait_for(self._session.answer(view), self.job.settings.run.stall_s)
        except TimeoutError:
            raise EngineDead("the engine does not answer what it answered before") from None
        except EngineDead:
            raise
        except EngineFault:
            return
        self._answered += 1

    def _known(self, shard: Shard) -> View | None:
        answered = {key for key, settled in shard.journal.settled.items() if settled.fault is None}
        answered |= {key for key, row in shard.stay.items() if row.status != "failed"}
        for media in map(self.job.decode, self.job.planned(shard.entry)):
            keys = {item.key for item in media.objects}
            if not answered.isdisjoint(keys):
                for result in render_media(media, self.job.renderer, skip=frozenset(keys - answered)):
                    if isinstance(result, View):
                        return result
        return None

    async def _watch(self, shard: Shard) -> None:
        """Ends the shard where that is due; an engine that finishes nothing for ``stall_s`` is as good as dead."""
        limit = self.job.settings.run.stall_s
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(shard.alarm.wait(), min(1.0, limit / 4))
            if shard.trouble is not None:
                raise shard.trouble
            if self._ends is not None and time.monotonic() > self._ends:
                raise Interrupted
            if shard.flying and time.monotonic() - self._moved > limit:
                self._strike("stalled")
                raise EngineDead(f"the engine finished nothing for {limit:g} s")

    def _strike(self, why: Why) -> None:
        """What is in flight at an engine's end gets a strike, which proves something where it is one request alone.

        A key with as many strikes of that kind as attempts is not asked again.
        """
        if self._struck:
            return
        self._struck = True
        flying = [(shard, key, request) for shard in self.active.values() for key, request in shard.flying.items()]
        for shard, key, request in flying:
            proof = len(flying) == 1 and self._answered > 0
            shard.journal.add(Strike(strike=key, why=why, alone=proof, request=request))
        for shard in self.active.values():
            shard.journal.flush()

    async def _ask(self, shard: Shard, view: View, request: str) -> None:
        try:
            settled = await self._asker.ask(view, request)
        except Postponed as postponed:
            shard.postponed.append(postponed)
            return
        except EngineDead:
            self._strike("killed")
            raise
        finally:
            self._moved = time.monotonic()
        self._answered += settled.fault is None
        self._settle(shard, settled)

    def _settle(self, shard: Shard, settled: Settled) -> None:
        if not shard.flushing:
            shard.flushing = True
            asyncio.get_running_loop().call_soon(self._flush, shard)
        shard.journal.add(settled)
        if settled.fault is not None:
            shard.reasons[settled.fault] += 1
            return
        verdict = shard.verdicts[settled.key] = self.job.judge(shard.objects[settled.key], settled)
        shard.reasons.update(code for code, _ in verdict[:1])

    def _flush(self, shard: Shard) -> None:
        """Write every answer that came in this turn of the event loop; where that fails, the shard ends."""
        shard.flushing = False
        try:
            shard.journal.flush()
        except DiskTrouble as trouble:
            shard.trouble = trouble
            shard.alarm.set()

    async def _views(self, shard: Shard) -> AsyncIterator[View]:
        """The views still to be asked for, rendered some media ahead in threads, in the order of the plan."""
        for ended in shard.journal.proven_faults(self.job.settings.run.attempts):
            self._settle(shard, ended)
        skip = frozenset({*shard.journal.settled, *shard.stay})
        planned = self.job.planned(shard.entry)
        loop = asyncio.get_running_loop()

        def render(item: PlannedMedia) -> tuple[Media, list[View], dict[str, Fault], float]:
            begun = time.perf_counter()
            media = self.job.decode(item)
            views: list[View] = []
            faults: dict[str, Fault] = {}
            for result in render_media(media, self.job.renderer, skip=skip):
                if isinstance(result, View):
                    views.append(result)
                else:
                    faults[result[0].key] = result[1]
            return media, views, faults, time.perf_counter() - begun

        ahead = [loop.run_in_executor(self._threads, render, item) for item in itertools.islice(planned, _MEDIA_AHEAD)]
        while ahead:
            if self._ends is not None:
                shard.cut = True
                return
            media, views, faults, seconds = await ahead.pop(0)
            ahead += [loop.run_in_executor(self._threads, render, item) for item in itertools.islice(planned, 1)]
            shard.media.append(media)
            shard.faults |= faults
            shard.render_s += seconds
            shard.objects |= {item.key: item for item in media.objects}
            shard.reasons.update(fault.reason for fault in faults.values())
            for view in views:
                yield view

    def _commit(self, shard: Shard, extra: dict[str, Any]) -> Manifest:
        answers = shard.journal.settled.values()
        tokens = {
            name: sum(getattr(answer, name) for answer in answers)
            for name in ("prompt_tokens", "cached_tokens", "output_tokens")
        }
        rows = self._rows(shard)
        if shard.carried is not None:
            rows = list(rows)
            extra |= shard.carried.compared(rows)
        return write_candidates(rows, self.job.out, shard.entry.index, extra | tokens)

    def _rows(self, shard: Shard) -> Iterable[Row]:
        stay = shard.stay
        for media in shard.media:
            for item in media.objects:
                if item.key in stay:
                    yield stay[item.key]
                    continue
                fault = item.fault or shard.faults.get(item.key)
                if fault is not None:
                    yield failed(self.job, media, item, fault)
                    continue
                settled = shard.journal.settled[item.key]
                if settled.fault is not None:
                    ended = Fault(settled.fault, settled.message or settled.fault)
                    yield failed(self.job, media, item, ended, settled)
                else:
                    verdict = shard.verdicts.get(item.key)
                    yield judged(
                        self.job, media, item, settled, self.job.judge(item, settled) if verdict is None else verdict
                    )

    async def close(self) -> None:
        """Stop the engine and the threads."""
        await self._session.stop()
        self._threads.shutdown(wait=False, cancel_futures=True)


def first_leaf(group: BaseException) -> BaseException:
    """The first leaf of an exception group."""
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group
