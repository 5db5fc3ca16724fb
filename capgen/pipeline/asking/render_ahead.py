"""Rendering beside the asking: a few media ahead of the requests, in threads, in the order of the plan."""

from __future__ import annotations

import asyncio
import functools
import itertools
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from capgen.buckets.roots import soon
from capgen.dataset.plan import PlannedMedia, ShardEntry
from capgen.dataset.types import Fault, Media
from capgen.pipeline.asking.handed.pieces import Piece
from capgen.pipeline.planning.job import Job
from capgen.pipeline.rendering.render import render_media
from capgen.pipeline.view import View

_THREADS = 2
_MEDIA_AHEAD = 6
_FETCHED_AHEAD = 64

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RenderedMedia:
    """One medium with a view, or a fault, of each object that was to be rendered; ``seconds`` of a thread's time."""

    media: Media
    views: tuple[View, ...]
    faults: dict[str, Fault]
    seconds: float


class RenderAhead:
    """The render threads of one worker."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="render")

    async def media(self, piece: Piece, skip: Collection[str]) -> AsyncIterator[RenderedMedia]:
        """Every medium of a piece; objects whose key is in ``skip`` get neither a view nor a fault."""
        planned, skipped = self._fetched_ahead(piece), frozenset(skip)
        loop = asyncio.get_running_loop()

        def started(count: int) -> list[asyncio.Future[RenderedMedia]]:
            items = itertools.islice(planned, count)
            render = functools.partial(render_planned, self._job, skip=skipped)
            return [loop.run_in_executor(self._threads, render, item) for item in items]

        ahead = started(_MEDIA_AHEAD)
        while ahead:
            rendered = await ahead.pop(0)
            ahead += started(1)
            yield rendered

    def _fetched_ahead(self, piece: Piece) -> Iterator[PlannedMedia]:
        """The planned media; pictures of images in a bucket are fetched well before they are rendered.

        Of a video only some frames are shown, which are known, and fetched together, when it is rendered.
        """
        planned = itertools.islice(self._job.planned(piece.entry), piece.first, piece.last)
        if self._job.root_url is None:
            yield from planned
            return
        waiting: deque[PlannedMedia] = deque()
        for item in planned:
            if item.kind == "image":
                soon(Path(self._job.settings.source.root or "", item.folder, name) for name in item.file_names)
            waiting.append(item)
            if len(waiting) > _FETCHED_AHEAD:
                yield waiting.popleft()
        yield from waiting

    def first_view_of(self, entry: ShardEntry, keys: Collection[str]) -> View | None:
        """The view of one object of ``keys``: the first in the plan that can be rendered."""
        for media in map(self._job.decode, self._job.planned(entry)):
            here = {each.key for each in media.objects}
            if here.isdisjoint(keys):
                continue
            for result in render_media(media, self._job.renderer, skip=frozenset(here.difference(keys))):
                if isinstance(result, View):
                    return result
        return None

    async def in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        """Call a function that takes long in one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    async def to_its_end(self, function: Callable[..., T], *arguments: object) -> T:
        """Call what must not be left half done; where this is cancelled meanwhile, the call ends first.

        A thread goes on although nobody waits for it: it would commit a shard while the next worker does it again.
        """
        calling = asyncio.ensure_future(self.in_thread(function, *arguments))
        try:
            return await asyncio.shield(calling)
        except asyncio.CancelledError:
            await asyncio.gather(calling, return_exceptions=True)
            raise

    def close(self) -> None:
        """Start nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def render_planned(job: Job, item: PlannedMedia, skip: frozenset[str]) -> RenderedMedia:
    """Decode the masks and the frames of one planned medium and render its objects."""
    begun = time.perf_counter()
    media = job.decode(item)
    views: list[View] = []
    faults: dict[str, Fault] = {}
    for result in render_media(media, job.renderer, skip=skip):
        if isinstance(result, View):
            views.append(result)
        else:
            faults[result[0].key] = result[1]
    return RenderedMedia(media, tuple(views), faults, time.perf_counter() - begun)
