"""The flow of one shard: planned media in, rendered, asked, judged, one committed Parquet file out."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from capgen.dataset.row import Row
from capgen.dataset.shards import Manifest, write_candidates
from capgen.dataset.types import Fault, Media, MediaObject
from capgen.errors import CapgenError
from capgen.pipeline.caption import Asker, Settled, request_digest
from capgen.pipeline.engines.base import EngineDead, Postponed, Session, together
from capgen.pipeline.job import Job, Verdict, failed, judged
from capgen.pipeline.journal import Journal, Strike
from capgen.pipeline.plan import ShardEntry, read_plan
from capgen.pipeline.render import render_media
from capgen.pipeline.sources.decode import decode_media
from capgen.pipeline.view import View

_RENDER_THREADS = 2
_MEDIA_AHEAD = 6


@dataclass(slots=True)
class Shard:
    """One shard while it is worked on."""

    entry: ShardEntry
    journal: Journal
    media: list[Media] = field(default_factory=list)
    faults: dict[str, Fault] = field(default_factory=dict)
    asked: int = 0
    render_s: float = 0.0
    flying: set[str] = field(default_factory=set)
    objects: dict[str, MediaObject] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    flushing: bool = False
    postponed: list[Postponed] = field(default_factory=list)


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

    async def __call__(self, entry: ShardEntry) -> Manifest:
        """Do a shard and return its manifest.

        Raises:
            EngineDead: the engine is gone or does nothing any more; what was settled is in the journal.
            Postponed: answers are still to come from elsewhere; what was settled is in the journal.
            UserError: the engine can answer nothing until the user has changed something.
        """
        started = datetime.now(UTC)
        with Journal(self.job.journal_dir(entry.index)) as journal:
            shard = self.active[entry.index] = Shard(entry, journal)
            resumed = len(journal.settled)
            try:
                await self._ask_all(shard)
            finally:
                del self.active[entry.index]
            if shard.postponed:
                raise together(shard.postponed)
            ended = datetime.now(UTC)
            extra = {
                "fingerprint": self.job.fingerprint,
                "started": started.isoformat(timespec="milliseconds"),
                "finished": ended.isoformat(timespec="milliseconds"),
                "seconds": round((ended - started).total_seconds(), 3),
                "resumed": resumed,
                "asked": shard.asked,
                "render_seconds": round(shard.render_s, 3),
            }
            manifest = await asyncio.get_running_loop().run_in_executor(self._threads, self._commit, shard, extra)
            journal.remove()
        return manifest

    @property
    def standing(self) -> Standing:
        """Where the unfinished shards stand."""
        shards = list(self.active.values())
        settled = sum(len(shard.journal.settled) + len(shard.faults) for shard in shards)
        return Standing(settled, sum((shard.reasons for shard in shards), Counter()))

    async def _ask_all(self, shard: Shard) -> None:
        """Ask for every object of the shard that is not settled, in the order of the plan."""
        try:
            async with asyncio.TaskGroup() as outer:
                watch = outer.create_task(self._watch(shard))
                async with asyncio.TaskGroup() as flights, self._feeding:
                    async for view in self._views(shard):
                        await self._slots.acquire()
                        self._fly(flights, shard, view)
                watch.cancel()
        except* CapgenError as group:
            raise _first(group) from None

    def _fly(self, flights: asyncio.TaskGroup, shard: Shard, view: View) -> None:
        if not shard.flying:
            self._moved = time.monotonic()
        shard.flying.add(view.key)
        shard.asked += 1
        # Not `finally` inside the task: a task that is cancelled before its first step never runs it.
        flights.create_task(self._ask(shard, view)).add_done_callback(lambda _: self._land(shard, view.key))

    def _land(self, shard: Shard, key: str) -> None:
        shard.flying.discard(key)
        self._slots.release()

    async def _watch(self, shard: Shard) -> None:
        """An engine that finishes nothing for ``stall_s`` is as good as dead.

        What was in flight gets a strike in its journal; a key with as many strikes as attempts is not asked again.
        """
        limit = self.job.settings.run.stall_s
        while True:
            await asyncio.sleep(min(1.0, limit / 4))
            if shard.flying and time.monotonic() - self._moved > limit:
                for key in sorted(shard.flying):
                    shard.journal.add(Strike(strike=key))
                shard.journal.flush()
                raise EngineDead(f"the engine finished nothing for {limit:g} s")

    async def _ask(self, shard: Shard, view: View) -> None:
        try:
            settled = await self._asker.ask(view, request_digest(view, self.job.salt))
        except Postponed as postponed:
            shard.postponed.append(postponed)
            return
        finally:
            self._moved = time.monotonic()
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
        """Write every answer that came in this turn of the event loop."""
        shard.flushing = False
        shard.journal.flush()

    async def _views(self, shard: Shard) -> AsyncIterator[View]:
        """The views still to be asked for, rendered some media ahead in threads, in the order of the plan."""
        self._settle_struck(shard)
        skip = frozenset(shard.journal.settled)
        planned = read_plan(self.job.plan_file(shard.entry.file))
        loop = asyncio.get_running_loop()

        def render(item: Any) -> tuple[Media, list[View], dict[str, Fault], float]:
            begun = time.perf_counter()
            media = decode_media(item)
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
            media, views, faults, seconds = await ahead.pop(0)
            ahead += [loop.run_in_executor(self._threads, render, item) for item in itertools.islice(planned, 1)]
            shard.media.append(media)
            shard.faults |= faults
            shard.render_s += seconds
            shard.objects |= {item.key: item for item in media.objects}
            shard.reasons.update(fault.reason for fault in faults.values())
            for view in views:
                yield view

    def _settle_struck(self, shard: Shard) -> None:
        attempts = self.job.settings.run.attempts
        for key, strikes in shard.journal.strikes.items():
            if strikes >= attempts and key not in shard.journal.settled:
                message = f"the engine did not answer this request {strikes} times"
                self._settle(
                    shard, Settled(key=key, request="", attempts=strikes, fault="engine_stalled", message=message)
                )

    def _commit(self, shard: Shard, extra: dict[str, Any]) -> Manifest:
        answers = shard.journal.settled.values()
        tokens = {
            name: sum(getattr(answer, name) for answer in answers)
            for name in ("prompt_tokens", "cached_tokens", "output_tokens")
        }
        return write_candidates(self._rows(shard), self.job.out, shard.entry.index, extra | tokens)

    def _rows(self, shard: Shard) -> Iterator[Row]:
        for media in shard.media:
            for item in media.objects:
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


def _first(group: BaseExceptionGroup[CapgenError]) -> CapgenError:
    """The first leaf of an exception group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, CapgenError)
    return error
