"""Finds the request that kills or stalls an engine, so that it fails alone and every other request is answered.

1. When an engine dies or stalls, every request that was in flight gets a strike in its shard's journal.
2. A request with ``attempts - 1`` strikes is a suspect: it is asked last, with nothing else in flight.
3. A suspect that ends an engine which has answered something before is to blame: that strike counts as ``alone``.
4. With ``attempts`` strikes of that kind the request fails (``ShardJournal.proven_faults``) and is not asked again.

An engine that has answered nothing proves nothing, it may be dead for reasons of its own. So before suspects are asked,
a new engine is given a request that was answered before.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from capgen.pipeline.asking.journal import Flight, ShardJournal, Strike, Why
from capgen.pipeline.engines.base import EngineDead, EngineFault, Session
from capgen.pipeline.view import View


@dataclass(frozen=True, slots=True)
class _Request:
    journal: ShardJournal
    digest: str


class Suspect(Protocol):
    """Something to be asked for, by the key of its object."""

    @property
    def key(self) -> str: ...  # noqa: D102


T = TypeVar("T", bound=Suspect)


class EngineGuard:
    """Knows what one engine has in flight, over all the shards that it works on, and blames requests when it ends.

    Args:
        in_flight: requests that may be in flight together.
        attempts: ends of engines that a request must cause before it fails.
        stall_s: an engine that has requests and finishes none of them for so long is as good as dead.
    """

    def __init__(self, session: Session, *, in_flight: int, attempts: int, stall_s: float) -> None:
        self.answered = 0
        self._session = session
        self._limit, self._attempts, self._stall_s = in_flight, attempts, stall_s
        self._slots = asyncio.Semaphore(in_flight)
        self._requests: dict[str, _Request] = {}
        self._last_finished = time.monotonic()
        self._ended = False
        self._busy_s = self._busy_since = 0.0

    def is_suspect(self, journal: ShardJournal, key: str) -> bool:
        """Whether a request has enough strikes to be retried in isolation."""
        return journal.strikes.get(key, 0) >= max(1, self._attempts - 1)

    @property
    def busy_s(self) -> float:
        """Seconds for which the engine has had requests."""
        return self._busy_s + (time.monotonic() - self._busy_since if self._requests else 0.0)

    @property
    def in_flight(self) -> int:
        """Requests that are with the engine."""
        return len(self._requests)

    async def slot(self) -> None:
        """Wait until one more request may be in flight."""
        await self._slots.acquire()

    def free_slot(self) -> None:
        """Give a slot back."""
        self._slots.release()

    def sent(self, journal: ShardJournal, key: str, digest: str, *, isolated: bool = False) -> None:
        """A request goes to the engine; written to the journal where a worker's process has died with this shard."""
        if isolated or not any(request.journal is journal for request in self._requests.values()):
            self._last_finished = time.monotonic()
        if not self._requests:
            self._busy_since = time.monotonic()
        self._requests[key] = _Request(journal, digest)
        if journal.careful:
            journal.add(Flight(flight=key, alone=isolated and self.answered > 0, request=digest))
            journal.flush()

    def finished(self, *, answered: bool) -> None:
        """The engine finished a request, well or not: the time after which it counts as stalled starts anew."""
        self._last_finished = time.monotonic()
        self.answered += answered

    def returned(self, key: str) -> None:
        """A request is no longer in flight."""
        if self._requests.pop(key, None) is not None and not self._requests:
            self._busy_s += time.monotonic() - self._busy_since

    async def ask_suspects(
        self,
        journal: ShardJournal,
        suspects: Sequence[T],
        ask: Callable[[T], Awaitable[bool]],
        answered_before: Callable[[], Awaitable[View | None]],
    ) -> None:
        """Ask for suspects one by one, with nothing else in flight.

        Args:
            ask: asks for one and settles it; False where the run is to end and nothing was asked.
            answered_before: a view of the same shard that was answered before; None where there is none.

        Raises:
            EngineDead: this engine has ended.
        """
        if not suspects:
            return
        for _ in range(self._limit):
            await self.slot()
        if not self.answered:
            await self._try_engine(await answered_before())
        for suspect in sorted(suspects, key=lambda one: self._order(journal, one.key)):
            if not await ask(suspect):
                break
            self.returned(suspect.key)
        for _ in range(self._limit):
            self.free_slot()

    def _order(self, journal: ShardJournal, key: str) -> tuple[int, int]:
        """In an engine that has answered something, the suspect first that is nearest to being proved.

        Otherwise the one that was in flight least often: it is likely to be answered, and so to prove the others.
        """
        return (-len(journal.alone.get(key, ())) if self.answered else 0, journal.strikes[key])

    async def _try_engine(self, view: View | None) -> None:
        """See whether the engine works at all, with a request that was answered before."""
        if view is None:
            return
        try:
            await asyncio.wait_for(self._session.answer(view), self._stall_s)
        except TimeoutError:
            raise EngineDead("the engine does not answer what it answered before") from None
        except EngineDead:
            raise
        except EngineFault:
            return
        self.answered += 1

    def check_stalled(self, journal: ShardJournal) -> None:
        """To be called now and then for each shard.

        Raises:
            EngineDead: requests of this shard are in flight and the engine has finished nothing for ``stall_s``.
        """
        waiting = any(request.journal is journal for request in self._requests.values())
        if waiting and time.monotonic() - self._last_finished > self._stall_s:
            self.ended("stalled")
            raise EngineDead(f"the engine finished nothing for {self._stall_s:g} s")

    def ended(self, why: Why) -> None:
        """The engine is dead, or as good as dead: what is in flight gets a strike. Only the first call counts."""
        if self._ended:
            return
        self._ended = True
        alone = len(self._requests) == 1 and self.answered > 0
        for key, request in self._requests.items():
            request.journal.add(Strike(strike=key, why=why, alone=alone, request=request.digest))
        for request in self._requests.values():
            request.journal.flush()
