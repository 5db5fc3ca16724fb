"""The worker: one started engine, and the flow of a shard through it (render, ask, judge, commit)."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from capgen.dataset.files import telling_disk_trouble
from capgen.dataset.plan import ShardEntry
from capgen.dataset.shards import Manifest, committed_manifest, read_manifest
from capgen.dataset.types import Fault
from capgen.errors import CapgenError, Interrupted, first_leaf
from capgen.pipeline.asking import retry_state
from capgen.pipeline.asking.ask import Asker
from capgen.pipeline.asking.distinct.fits import FitAsker, FitRequest
from capgen.pipeline.asking.first_requests import FirstRequests
from capgen.pipeline.asking.handed.open_shards import OpenShards
from capgen.pipeline.asking.handed.pieces import Piece, PieceKey
from capgen.pipeline.asking.journal import ShardJournal
from capgen.pipeline.asking.render_ahead import RenderAhead, RenderedMedia
from capgen.pipeline.asking.shard import Shard
from capgen.pipeline.asking.shared_requests import SharedRequests
from capgen.pipeline.asking.suspects import EngineGuard
from capgen.pipeline.asking.tries import FurtherRequest, view_of
from capgen.pipeline.engines.base import EngineDead, Postponed, Session, together
from capgen.pipeline.planning.job import Job
from capgen.pipeline.view import Settled, View, request_digest

_SENT_S = 2.0
"""So often a journal goes into a bucket; the loss of a machine costs the answers since."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An object that an earlier session has answered, and for which, or for whose medium, more is to be asked."""

    key: str


class Worker:
    """Does shards with one started engine; several at once, so that the next is asked while the last drains."""

    def __init__(self, job: Job, session: Session) -> None:
        self.job = job
        self.active: dict[int, Shard] = {}
        self._handed = itertools.count()
        run = job.settings.run
        self._session = session
        self._asker = Asker(SharedRequests(session), run.attempts)
        self._guard = EngineGuard(session, in_flight=job.in_flight, attempts=run.attempts, stall_s=run.stall_s)
        self._first = FirstRequests(job.in_flight)
        self._render = RenderAhead(job)
        self._fits = FitAsker(job, session, self._guard, self._render)
        self._feeding = asyncio.Lock()
        self._ends: float | None = None
        self._mirror = job.mirror
        job.in_this_process()
        self._ready = time.monotonic()

    async def __call__(self, entry: ShardEntry) -> Manifest:
        """Do a shard and return its manifest; see ``piece``."""
        manifest = await self.piece(Piece.whole(entry))
        assert manifest is not None  # nobody has asked for some of it
        return manifest

    async def piece(self, piece: Piece) -> Manifest | None:
        """Do a piece; its shard's manifest, or None where others have to be done before the shard can be committed.

        Raises:
            EngineDead: the engine is gone or does nothing any more; what was settled is in the journal.
            Postponed: answers are still to come from elsewhere; what was settled is in the journal.
            Interrupted: ``finish`` or ``drop`` was called before everything was asked.
            UserError: the engine can answer nothing until the user has changed something, or the disk is full.
        """
        started, begun = datetime.now(UTC), time.monotonic()
        entry = piece.entry
        folder = self.job.journal_dir(entry.index)
        if self._mirror is not None:
            done = await self._render.in_thread(self._mirror.begin_shard, entry.file, entry.index)
            if done and (manifest := read_manifest(self.job.out, entry.index)) is not None:
                return manifest
        with telling_disk_trouble(self.job.out), ShardJournal(folder) as journal:
            shard = Shard(self.job, piece, journal, await self._render.in_thread(retry_state.load, folder))
            shard.taken = piece.first
            resumed = len(journal.settled)
            number = next(self._handed)
            self.active[number] = shard
            try:
                async with self._journal_sent(entry.index):
                    await self._ask_all(shard)
                if not shard.piece.commits:
                    return None
                shard.committing = True
            finally:
                del self.active[number]
            extra = {
                "fingerprint": self.job.fingerprint,
                "started": started.isoformat(timespec="milliseconds"),
                "finished": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "seconds": round(time.monotonic() - begun, 3),  # a wall clock may be set while the shard is done
                "resumed": resumed,
                "asked": shard.asked,
                "render_seconds": round(shard.render_s, 3),
            }
            manifest = await self._render.to_its_end(self._commit, shard, extra)
            journal.remove()
        return manifest

    def _commit(self, shard: Shard, extra: Mapping[str, Any]) -> Manifest:
        """Commit a shard, unless an engine that was taken for dead has done it."""
        out, index = self.job.out, shard.entry.index
        if (done := committed_manifest(out, index, self.job.fingerprint)) is not None:
            return done
        manifest = shard.commit(extra)
        if self._mirror is not None and not self._mirror.commit_shard(index):
            manifest = read_manifest(out, index) or manifest  # another worker was first
        return manifest

    @asynccontextmanager
    async def _journal_sent(self, index: int) -> AsyncIterator[None]:
        """Bring a shard's answers into the bucket every few seconds, and at the end, where the run is in one."""
        mirror = self._mirror
        if mirror is None:
            yield
            return
        loop = asyncio.get_running_loop()

        async def send() -> None:
            while True:
                await asyncio.sleep(_SENT_S)
                await loop.run_in_executor(None, mirror.push_journals, [index])

        sending = loop.create_task(send())
        try:
            yield
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError):
                await sending
            await loop.run_in_executor(None, mirror.push_journals, [index])

    async def _ask_all(self, shard: Shard) -> None:
        """Render, ask and judge every object of the shard that is not settled, in the order of the plan."""
        suspects: list[View | Answered] = []
        async with self._watched(shard), asyncio.TaskGroup() as requests, self._feeding:
            async for todo in self._todo(shard):
                if self._guard.is_suspect(shard.journal, todo.key):
                    suspects.append(todo)
                else:
                    await self._guard.slot()
                    await self._first.wait()
                    self._send(requests, shard, todo)
            await self._ask_suspects(shard, suspects)
        if shard.cut:
            raise Interrupted
        if shard.postponed:
            raise together(shard.postponed)

    async def _todo(self, shard: Shard) -> AsyncIterator[View | Answered]:
        """Render: the views still to be asked for, and what is to be gone on with, until the run is to end."""
        for ended in shard.journal.proven_faults(self.job.settings.run.attempts):
            shard.settle(ended)
        skip = {*shard.journal.settled, *shard.unchanged}
        async for rendered in self._render.media(shard.piece, skip):
            if not shard.media_left or self._to_end(shard, cut=shard.media_left > 0):
                return
            shard.taken += 1
            go_on = [Answered(key) for key in shard.add(rendered)]
            self._note_first(rendered)
            await self._first.wait()
            todo: list[View | Answered] = [*rendered.views, *go_on]
            for one in todo:
                yield one
                if one is not todo[-1] and self._to_end(shard):
                    return

    def _note_first(self, rendered: RenderedMedia) -> None:
        """Follow the objects that can be asked for; one without a mask says nothing of pictures and engines."""
        views = {view.key for view in rendered.views}
        for item in rendered.media.objects:
            if item.key in views or (item.key in rendered.faults and item.fault is None and item.visible):
                self._first.begin(item.key)
        for key, fault in rendered.faults.items():
            self._first.failed(key, fault)

    def _send(self, requests: asyncio.TaskGroup, shard: Shard, todo: View | Answered) -> None:
        """Ask in a task of its own, whose slot is taken already."""
        if self._to_end(shard):
            self._guard.free_slot()
            return
        if isinstance(todo, View):
            digest = self._digest(shard, todo)
            self._guard.sent(shard.journal, todo.key, digest)
            work = self._ask(shard, todo, digest)
        else:
            work = self._go_on(shard, todo.key)

        def landed(_: object) -> None:
            self._guard.returned(todo.key)
            self._guard.free_slot()

        # Not `finally` inside the task: a task that is cancelled before its first step never runs it.
        requests.create_task(work).add_done_callback(landed)

    async def _ask(self, shard: Shard, view: View, digest: str, *, isolated: bool = False) -> None:
        """Ask and judge one object, and go on with it as long as more is due."""
        settled = await self._answer(shard, view, digest)
        if settled is None:
            self._first.go_on()
            return
        shard.settle(settled)
        if settled.fault is None:
            self._first.go_on()
        else:
            self._first.failed(settled.key, Fault(settled.fault, settled.message or settled.fault))
        await self._go_on(shard, view.key, isolated=isolated)

    async def _answer(self, shard: Shard, view: View, digest: str) -> Settled | None:
        """Ask the engine; None where the answer comes later from elsewhere."""
        try:
            settled = await self._asker.ask(view, digest)
        except Postponed as postponed:
            self._guard.finished(answered=False)
            shard.postponed.append(postponed)
            return None
        except EngineDead:
            self._guard.ended("killed")
            raise
        self._guard.finished(answered=settled.fault is None)
        return settled

    async def _go_on(self, shard: Shard, key: str, *, isolated: bool = False) -> None:
        """Ask an answered object again as long as that is due.

        After the last object of a medium, those of it are asked whose captions do not tell them apart.
        """
        while (request := shard.next_try(key)) is not None:
            if not await self._ask_again(shard, request, isolated=isolated):
                return
        media = shard.complete(key)
        while media is not None and (due := shard.to_differ(media)):
            for further in due:
                if not await self._ask_again(shard, further, isolated=isolated):
                    return

    async def _ask_again(self, shard: Shard, request: FurtherRequest | FitRequest, *, isolated: bool) -> bool:
        """Make a further request and settle it; False where it was not answered because the run is to end or wait."""
        if self._to_end(shard):
            return False
        key = request.key
        if isinstance(request, FitRequest):
            shard.note(await self._fits.ask(shard.journal, request, isolated=isolated))
            return True
        shown = await self._render.in_thread(view_of, self.job, request)
        if isinstance(shown, Fault):
            settled: Settled | None = Settled(key=key, request="", fault=shown.reason, message=shown.message)
            told = None
        else:
            view, told = shown
            digest = self._digest(shard, view)
            settled = shard.journal.proven_fault(key, digest, self.job.settings.run.attempts)
            if settled is None:
                self._guard.sent(shard.journal, key, digest, isolated=isolated)
                settled = await self._answer(shard, view, digest)
                self._guard.returned(key)
        if settled is not None:
            shard.settle(msgspec.structs.replace(settled, step=request.name, told=told))
        return settled is not None

    async def _ask_suspects(self, shard: Shard, suspects: list[View | Answered]) -> None:
        """Ask for what may have killed engines before, one by one."""

        async def ask(todo: View | Answered) -> bool:
            if self._to_end(shard):
                return False
            if isinstance(todo, View):
                digest = self._digest(shard, todo)
                self._guard.sent(shard.journal, todo.key, digest, isolated=True)
                await self._ask(shard, todo, digest, isolated=True)
            else:
                await self._go_on(shard, todo.key, isolated=True)
            return True

        async def answered_before() -> View | None:
            return await self._render.in_thread(self._render.first_view_of, shard.entry, shard.answered)

        if not self._to_end(shard, cut=bool(suspects)):
            await self._guard.ask_suspects(shard.journal, suspects, ask, answered_before)

    def _digest(self, shard: Shard, view: View) -> str:
        shard.asked += 1
        return request_digest(view, self.job.salt)

    def _to_end(self, shard: Shard, *, cut: bool = True) -> bool:
        """Whether nothing more is to be asked; the shard then counts as cut."""
        if self._ends is None:
            return False
        shard.cut = shard.cut or cut
        return True

    @asynccontextmanager
    async def _watched(self, shard: Shard) -> AsyncIterator[None]:
        """While this lasts, the shard is ended where that is due; raises the first error alone, not a group."""
        try:
            async with asyncio.TaskGroup() as outer:
                watch = outer.create_task(self._watch(shard))
                yield
                watch.cancel()
        except* (CapgenError, OSError) as group:
            raise first_leaf(group) from None

    async def _watch(self, shard: Shard) -> None:
        every = min(1.0, self.job.settings.run.stall_s / 4)
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(shard.wake.wait(), every)
            if shard.disk_trouble is not None:
                raise shard.disk_trouble
            if shard.dropped:
                raise Interrupted
            if self._ends is not None and time.monotonic() > self._ends:
                raise Interrupted
            self._guard.check_stalled(shard.journal)

    def give(self) -> Piece | None:
        """Part with work that was not begun, for an engine that has none: the most that one shard has left."""
        shards = sorted(self.active.values(), key=lambda shard: -shard.media_left)
        begun = [shard for shard in shards if shard.taken > shard.piece.first]
        # Of several shards one is fed to the engine at a time: the others have not begun.
        given = (shard.give(begun=shard in begun or not begun) for shard in shards)
        return next((piece for piece in given if piece is not None), None)

    def share(self, key: PieceKey) -> Piece | None:
        """Have another engine ask for the same: from now on this one does not commit it. None where it is too late."""
        shard = self._known(key)
        if shard is None or shard.piece.final or shard.committing or shard.dropped:
            return None
        shard.piece = shard.piece.until(shard.piece.last)
        return shard.piece

    def drop(self, key: PieceKey) -> None:
        """Give a piece up: another engine was quicker."""
        shard = self._known(key)
        if shard is not None:
            shard.dropped = True
            shard.wake.set()

    def _known(self, key: PieceKey) -> Shard | None:
        return next((shard for shard in self.active.values() if shard.piece.key == key), None)

    async def finish(self, seconds: float) -> None:
        """Ask for nothing more; requests in flight have so many seconds to be answered."""
        self._ends = time.monotonic() + seconds
        self._first.go_on()

    @property
    def open_shards(self) -> OpenShards:
        """Where the unfinished shards stand."""
        failures = self._first.failures
        return OpenShards(
            {shard.piece.key: shard.counts for shard in self.active.values()},
            self._guard.answered,
            () if failures is None else (failures,),
            undecided=int(bool(self.active) and failures is None and not self._first.decided),
            workers=1,
            in_flight=self._guard.in_flight,
            up_s=time.monotonic() - self._ready,
            busy_s=self._guard.busy_s,
            left={shard.piece.key: shard.media_left for shard in self.active.values()},
            leaving=int(self._ends is not None),
        )

    def go_on(self) -> None:
        """Do not wait although the first requests all failed alike."""
        self._first.go_on()

    async def close(self) -> None:
        """Stop the engine and the threads."""
        await self._session.stop()
        self.detach()

    def detach(self) -> None:
        """Stop the threads; the engine stays, for another worker."""
        self._render.close()
