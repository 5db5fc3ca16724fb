"""The stream of batches: the same sequence on any number of workers, from any position on.

Which medium comes when is settled by the seed alone, in every worker alike; each worker decodes only its own share.
So a resumed run goes on with the very batch that the killed one would have seen next.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import cv2
import numpy as np
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from capgen.errors import CapgenError, UserError
from capgen.maskcaptioner.data.collate import Batch, collate
from capgen.maskcaptioner.data.release_rows import Census, DataPart, MakeMedia
from capgen.maskcaptioner.data.sampling import times
from capgen.maskcaptioner.data.training_clip import ClipMaker


@dataclass(frozen=True, slots=True)
class Draw:
    """One clip to make: a row of a part, and the seed of what chance decides about it."""

    part: int
    row: MakeMedia
    seed: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """The endless order of media: epochs of all media of a kind, repeated by category and shuffled.

    Args:
        index: of each part, of each row: its kind (None is left out) and categories, as ``Census.rows`` has them.
        factors: repeat factors by category.
        buffer: how many media wait at a time to be drawn from; beyond it the order is the release's.
    """

    parts: tuple[DataPart, ...]
    index: Sequence[Sequence[tuple[str | None, tuple[str, ...]]]]
    kind: str
    factors: dict[str, float]
    buffer: int
    seed: tuple[int, ...]

    @property
    def media(self) -> int:
        """How many media an epoch draws from."""
        return sum(self._wanted(kind) for rows in self.index for kind, _ in rows)

    def __iter__(self) -> Iterator[Draw]:
        """Draws without end; the n-th is a function of ``seed`` and the data alone."""
        number = 0
        for epoch in range(2**31):
            rng = np.random.default_rng((*self.seed, epoch))
            for part, row in self._shuffled(rng):
                yield Draw(part, row, (*self.seed, number))
                number += 1

    def _shuffled(self, rng: np.random.Generator) -> Iterator[tuple[int, MakeMedia]]:
        waiting: list[tuple[int, MakeMedia]] = []
        for item in self._repeated(rng):
            if len(waiting) < self.buffer:
                waiting.append(item)
                continue
            place = int(rng.integers(len(waiting)))
            yield waiting[place]
            waiting[place] = item
        for place in rng.permutation(len(waiting)).tolist():
            yield waiting[place]

    def _repeated(self, rng: np.random.Generator) -> Iterator[tuple[int, MakeMedia]]:
        for part, row, categories in self._mixed(rng):
            for _ in range(times(categories, self.factors, rng)):
                yield part, row

    def _mixed(self, rng: np.random.Generator) -> Iterator[tuple[int, MakeMedia, tuple[str, ...]]]:
        """The parts' rows, each part spread over the whole epoch."""
        streams = [self._rows(number) for number in range(len(self.parts))]
        left = np.array([sum(self._wanted(kind) for kind, _ in rows) for rows in self.index])
        while left.any():
            part = int(rng.choice(len(left), p=left / left.sum())) if len(left) > 1 else 0
            row, categories = next(streams[part])
            left[part] -= 1
            yield part, row, categories

    def _rows(self, part: int) -> Iterator[tuple[MakeMedia, tuple[str, ...]]]:
        for row, (kind, categories) in zip(self.parts[part].rows(), self.index[part], strict=True):
            if self._wanted(kind):
                yield row, categories

    def _wanted(self, kind: str | None) -> bool:
        return kind is not None and self.kind in ("any", kind)


@dataclass(frozen=True, slots=True)
class Feed:
    """Batches of one process of a training.

    Args:
        rank, world: of the process; passes are dealt out in turn.
    """

    order: Order
    maker: ClipMaker
    classes: dict[str, int]
    batch: int
    divisor: int
    federated: bool = False
    rank: int = 0
    world: int = 1

    def draws(self, start: int = 0, worker: int = 0, workers: int = 1) -> Iterator[list[Draw]]:
        """What passes ``start``, ``start + 1``, ... of this process are made of; only every so many for one worker."""
        draws = iter(self.order)
        number = 0
        while batch := list(islice(draws, self.batch)):
            turn, rank = divmod(number, self.world)
            number += 1
            if rank == self.rank and turn >= start and turn % workers == worker:
                yield batch

    def build(self, draws: Sequence[Draw]) -> Batch:
        """Decode a batch."""
        clips = [self.maker(self.order.parts[draw.part].medium(draw.row()), draw.seed) for draw in draws]
        return collate(clips, self.classes, self.divisor, federated=self.federated)


class _Shards(IterableDataset[Any]):  # type: ignore[misc]
    """The share of one worker process; an error travels as an item, because its sentence must stay whole."""

    def __init__(self, feed: Feed, start: int) -> None:
        self.feed, self.start = feed, start

    def __iter__(self) -> Iterator[Batch | CapgenError]:
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        cv2.setNumThreads(0)
        # worker w of W must be the one that DataLoader asks for turns start + w, start + w + W, ...
        share = (worker + self.start) % workers
        try:
            for draws in self.feed.draws(self.start, share, workers):
                yield self.feed.build(draws)
        except CapgenError as error:
            yield error


def batches(feed: Feed, *, start: int, workers: int, threads: int, prefetch: int) -> Generator[Batch]:
    """The batches of passes ``start``, ``start + 1``, ..., decoded ahead of time; close it to end the workers.

    Args:
        workers: processes; 0 decodes in ``threads`` threads of this process.
        prefetch: batches that wait ready, a worker each or in all threads.

    Raises:
        UserError: the data has no medium of the kind, or a picture is missing or damaged.
    """
    if not feed.order.media:
        raise UserError(
            f"the data has no {feed.order.kind} with objects",
            "give a release that has, or leave the stage out with --set stages.NAME.steps=0",
        )
    return _by_processes(feed, start, workers, prefetch) if workers else _by_threads(feed, start, threads, prefetch)


def _by_processes(feed: Feed, start: int, workers: int, prefetch: int) -> Generator[Batch]:
    # not fork: pyarrow's and OpenCV's threads do not survive one
    context = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    loader = DataLoader(
        _Shards(feed, start),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=prefetch,
        multiprocessing_context=context,
        pin_memory=False,
        worker_init_fn=_leave_signals,
    )
    for item in loader:
        if isinstance(item, CapgenError):
            raise item
        yield item


def _leave_signals(_: int) -> None:
    """Ctrl-C reaches the workers as well; the training needs them for as long as it goes on, and ends them itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _by_threads(feed: Feed, start: int, threads: int, prefetch: int) -> Generator[Batch]:
    cv2.setNumThreads(1)
    draws = feed.draws(start)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    try:
        ready = deque(pool.submit(feed.build, next(draws)) for _ in range(prefetch))
        while True:
            batch = ready.popleft().result()
            ready.append(pool.submit(feed.build, next(draws)))
            yield batch
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def order_of(
    parts: tuple[DataPart, ...],
    census: Census,
    *,
    kind: str,
    factors: dict[str, float],
    buffer: int,
    seed: tuple[int, ...],
) -> Order:
    """The order of a stage's media."""
    return Order(parts, tuple(tuple(rows) for rows in census.rows), kind, factors, buffer, seed)
