"""The worker as a Ray actor: what runs on a machine of the cluster."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from capgen.dataset.layout import RunLayout
from capgen.dataset.shards import Manifest
from capgen.pipeline.asking.handed.open_shards import OpenShards
from capgen.pipeline.asking.handed.pieces import Piece, PieceKey
from capgen.pipeline.asking.worker import Worker
from capgen.pipeline.engines.base import EngineDead
from capgen.pipeline.engines.starting.start import start_engine
from capgen.pipeline.library_warnings import hide_library_warnings
from capgen.pipeline.parent_watchdog import end_with_parent
from capgen.pipeline.planning.job import Job
from capgen.pipeline.running.cluster.leave_notice import LeaveNotice

LEAVE_S = 20.0
"""So long requests in flight may take on a machine that is going away; the rest is asked elsewhere."""

_NOTICE = LeaveNotice()
_NOTICE.listen()

_SWITCH_S = 0.0005  # the event loop must not wait 5 ms for its turn while pictures are rendered beside it


class ShardActor:
    """The worker as a Ray actor: its engine is loaded at the first call, and anew after a restart."""

    def __init__(self, job: Job, number: int) -> None:
        hide_library_warnings()
        self._job, self._number = job, number
        self._worker: Worker | None = None
        self._leaving: asyncio.Future[None] | None = None
        self._starting = asyncio.Lock()
        self._life = uuid4().hex
        self._log = RunLayout(job.out).engine_log(number)
        sys.setswitchinterval(_SWITCH_S)
        end_with_parent()
        if job.url is not None:
            job.out.mkdir(parents=True, exist_ok=True)  # the copy of a bucket on this machine
        if job.out.is_dir():  # else `start` says so: a folder made here would hide that OUT is not mounted
            _log_to(self._log)

    def __repr__(self) -> str:
        """What Ray's dashboard and ``ray list actors`` call it."""
        return f"engine {self._number} of {self._job.out.name}"

    async def start(self) -> dict[str, Any]:
        """Load the engine, if it is not; says how long that took, and which of the actor's lives this is.

        Raises:
            UserError: the engine knows no such model, or the like.
            EngineDead: OUT is not on this machine, or the engine did not start.
        """
        begun = time.monotonic()
        async with self._starting:
            if not self._job.out.is_dir():
                raise EngineDead(f"{socket.gethostname()} has no folder {self._job.out}; mount it there")
            if self._worker is None:
                session = await start_engine(self._job.engine, self._job.context, self._log)
                self._worker = Worker(self._job, session)
                loop = asyncio.get_running_loop()
                _NOTICE.when_heard(lambda: loop.call_soon_threadsafe(self._leave))
        return {"start_s": round(time.monotonic() - begun, 2), "life": self._life, "node": _node()}

    async def piece(self, piece: Piece) -> Manifest | None:
        """Do a piece; its shard's manifest, or None where it is not to be committed yet."""
        await self.start()
        assert self._worker is not None
        return await self._worker.piece(piece)

    async def give(self) -> Piece | None:
        """Part with work that was not begun."""
        return self._worker.give() if self._worker else None

    async def share(self, key: PieceKey) -> Piece | None:
        """Have another engine ask for the same piece."""
        return self._worker.share(key) if self._worker else None

    async def drop(self, key: PieceKey) -> None:
        """Give a piece up: another engine was quicker."""
        if self._worker is not None:
            self._worker.drop(key)

    async def open_shards(self) -> OpenShards:
        """Where the shards in hand stand."""
        return self._worker.open_shards if self._worker else OpenShards()

    async def go_on(self) -> None:
        """Do not wait although the first requests all failed alike."""
        if self._worker is not None:
            self._worker.go_on()

    async def finish(self, seconds: float) -> None:
        """Ask for nothing more; requests in flight have so many seconds."""
        if self._worker is not None:
            await self._worker.finish(seconds)

    def _leave(self) -> None:
        """The machine is going away: what is in flight may end, then the shards are handed back."""
        self._leaving = asyncio.ensure_future(self.finish(LEAVE_S))

    async def stop(self) -> None:
        """End the engine's own processes."""
        if self._worker is not None:
            await self._worker.close()


def _node() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


def _log_to(file: Path) -> None:
    """Send this process's output, and that of the engine's own processes, to a file of the run."""
    file.parent.mkdir(exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o666)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
