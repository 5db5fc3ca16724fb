"""Work in parts that do not depend on each other: one after the other, or side by side in processes of this machine.

Where the parts run decides nothing of what they give: results come in the order of the items.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from capgen.errors import CapgenError
from capgen.pipeline.parent_watchdog import end_with_parent

Item = TypeVar("Item")
Result = TypeVar("Result")
Tell = Callable[[], None]
"""Is called when one unit more of the work is done."""

_IDLE_S = 0.5
_AHEAD = 2
_WORTH_OBJECTS = 100_000
_MEMORY_SHARE = 0.5
_WORKER_OBJECTS = 70_000  # new objects until cycles among them are looked for; Python's own number is 700


class TaskLost(CapgenError):
    """A process that did a part of the work was killed."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)

    def __str__(self) -> str:
        return (
            f"a process of this run was killed while it worked ({' '.join(self.why.split())}), often for lack of "
            "memory; what is done is kept: make memory free and run the same command again"
        )


def nothing() -> None:
    """Tell nobody."""


class TaskRunner(Protocol):
    """Where parts of the work are done."""

    def map(
        self,
        work: Callable[[Item, Tell], Result],
        items: Sequence[Item],
        tell: Tell = nothing,
        *,
        idle: Tell = nothing,
        memory: int = 0,
    ) -> Iterator[Result]:
        """The results of ``work`` on each item, in the order of the items.

        Args:
            work: a function of a module, so that another process finds it; it calls its second argument once for each
                unit that it has done. A part may be done twice where a machine is lost, so it must write whole files.
            tell: is called as often.
            idle: is called now and then while nothing is ready.
            memory: bytes that one part takes, where that is much.

        Raises:
            TaskLost: a process was killed.
        """
        ...


class InThisProcess:
    """One part after the other, here."""

    @classmethod
    def for_any(cls, objects: int) -> InThisProcess:
        """Itself, however many objects there are."""
        _ = objects
        return cls()

    def map(
        self,
        work: Callable[[Item, Tell], Result],
        items: Sequence[Item],
        tell: Tell = nothing,
        *,
        idle: Tell = nothing,
        memory: int = 0,
    ) -> Iterator[Result]:
        """See ``TaskRunner``."""
        _ = memory
        for item in items:
            yield work(item, tell)
            idle()


class LocalProcesses:
    """Parts side by side in processes of this machine, which end with this one. Use it as a context.

    Args:
        count: so many at once; None is one for each core that this process may use.
    """

    def __init__(self, count: int | None = None) -> None:
        self._count = count or cores()
        self._pool: ProcessPoolExecutor | None = None
        self._others: frozenset[int | None] = frozenset()

    def __enter__(self) -> LocalProcesses:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def map(
        self,
        work: Callable[[Item, Tell], Result],
        items: Sequence[Item],
        tell: Tell = nothing,
        *,
        idle: Tell = nothing,
        memory: int = 0,
    ) -> Iterator[Result]:
        """See ``TaskRunner``; a single part is done in this process."""
        at_once = min(self._count, len(items), _fitting(memory))
        if at_once < 2:
            yield from InThisProcess().map(work, items, tell, idle=idle)
            return
        if at_once == self._count:
            at_once *= 2  # half of them wait, so that no process waits until this one sends the next part
        if self._pool is None:
            self._others = frozenset(child.pid for child in multiprocessing.active_children())
            # A forked process would share the locks of this one's threads.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._count, mp_context=context, initializer=_begin)
        yield from in_order(_PoolCalls(self._pool, work), items, at_once, tell, idle)

    def close(self) -> None:
        """End the processes, also those that work."""
        if self._pool is None:
            return
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = None
        for child in multiprocessing.active_children():
            if child.pid not in self._others:
                child.kill()


def worth_processes(objects: int) -> bool:
    """Whether work on so many objects takes longer than processes take to start."""
    return objects >= _WORTH_OBJECTS


@contextmanager
def local_tasks(objects: int) -> Iterator[TaskRunner]:
    """Processes of this machine for work on so many objects, or this process alone where they are few."""
    if not worth_processes(objects):
        yield InThisProcess()
        return
    with LocalProcesses() as processes:
        yield processes


class Calls(Protocol):
    """How a part is sent off, and how its end is noticed."""

    def send(self, item: Any) -> Hashable:
        """Have a part done; what to know it by."""
        ...

    def ended(self, running: Sequence[Any], seconds: float) -> Iterable[Any]:
        """Those that have ended, after at most so many seconds of waiting for the first."""
        ...

    def take(self, call: Any) -> tuple[Any, int]:
        """The result of an ended part, and how many units it has told of; or its error."""
        ...

    def drop(self, running: Iterable[Any]) -> None:
        """Nobody waits for these any more."""
        ...


def in_order(calls: Calls, items: Sequence[Any], at_once: int, tell: Tell, idle: Tell) -> Iterator[Any]:
    """Send the items off, at most ``at_once`` at a time; their results in order, few of which wait for earlier ones."""
    left = deque(items)
    sent: deque[Hashable] = deque()
    results: dict[Hashable, Any] = {}
    try:
        while left or sent:
            while left and len(sent) - len(results) < at_once and len(sent) < _AHEAD * at_once:
                sent.append(calls.send(left.popleft()))
            for call in calls.ended([call for call in sent if call not in results], _IDLE_S):
                results[call], units = calls.take(call)
                for _ in range(units):
                    tell()
            idle()
            while sent and sent[0] in results:
                yield results.pop(sent.popleft())
    finally:
        calls.drop(call for call in sent if call not in results)


def counted(work: Callable[[Item, Tell], Result], item: Item) -> tuple[Result, int]:
    """The result of a part, and how many units it has told of."""
    units: list[None] = []
    result = work(item, lambda: units.append(None))
    return result, len(units)


class _PoolCalls:
    """Calls of a pool of processes."""

    def __init__(self, pool: ProcessPoolExecutor, work: Callable[[Any, Tell], Any]) -> None:
        self._pool, self._work = pool, work

    def send(self, item: Any) -> Future[tuple[Any, int]]:
        # Ctrl-C reaches the whole group of processes: new ones inherit that it is blocked, this one decides.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            return self._pool.submit(counted, self._work, item)
        except BrokenProcessPool as error:
            raise TaskLost(str(error)) from error
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def ended(self, running: Sequence[Future[Any]], seconds: float) -> Iterable[Future[Any]]:
        return wait(running, seconds, FIRST_COMPLETED).done

    def take(self, call: Future[tuple[Any, int]]) -> tuple[Any, int]:
        try:
            return call.result()
        except BrokenProcessPool as error:
            raise TaskLost(str(error)) from error

    def drop(self, running: Iterable[Future[Any]]) -> None:
        for call in running:
            call.cancel()


def _begin() -> None:
    end_with_parent()
    tune_worker()


def tune_worker() -> None:
    """Set up a process that does nothing but parts of the work; call it in no other.

    Its libraries compute in one thread, because there is a process for each core. Python looks for cycles of garbage
    a hundred times less often: parts make millions of short-lived objects, which are freed without that.
    """
    import cv2
    import pyarrow as pa

    pa.set_cpu_count(1)
    cv2.setNumThreads(1)
    gc.set_threshold(_WORKER_OBJECTS)


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _fitting(memory: int) -> int:
    """How many parts of so many bytes fit into a share of the free memory; at least one."""
    import psutil

    if not memory:
        return cores()
    return max(1, int(psutil.virtual_memory().available * _MEMORY_SHARE) // memory)
