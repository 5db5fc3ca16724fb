"""Whether the first requests of a worker all fail alike: then something is wrong with the run, not with its objects."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from capgen.dataset.types import Fault

LEAST = 8
"""So many objects at least must fail alike before a run is stopped for it."""


@dataclass(frozen=True, slots=True)
class FirstFailures:
    """The first objects of a worker, all of which failed for one reason; ``message`` is that of the first."""

    count: int
    reason: str
    message: str


class FirstRequests:
    """Follows the first ``number`` objects of a worker until one is answered, or two fail for different reasons.

    Where all of them have failed alike the worker waits, and the run decides: other workers may fare better.
    """

    def __init__(self, number: int) -> None:
        self._number = max(LEAST, number)
        self._faults: dict[str, Fault | None] = {}
        self._going_on = asyncio.Event()

    @property
    def failures(self) -> FirstFailures | None:
        """What the first objects all failed of; None as long as that is not known, or where it is not so."""
        faults = list(self._faults.values())
        if self.decided or len(faults) < self._number or None in faults or faults[0] is None:
            return None
        return FirstFailures(len(faults), faults[0].reason, faults[0].message)

    @property
    def decided(self) -> bool:
        """Whether the worker goes on, come what may."""
        return self._going_on.is_set()

    def begin(self, key: str) -> None:
        """An object is taken up, in the order of the plan."""
        if not self.decided and len(self._faults) < self._number:
            self._faults.setdefault(key, None)

    def failed(self, key: str, fault: Fault) -> None:
        """An object has failed."""
        if key not in self._faults:
            return
        self._faults[key] = fault
        if len({known.reason for known in self._faults.values() if known is not None}) > 1:
            self.go_on()

    def go_on(self) -> None:
        """Something was answered, here or elsewhere: what fails is the fault of single objects."""
        self._going_on.set()

    async def wait(self) -> None:
        """Return at once, but where the first objects have all failed alike: then after ``go_on``."""
        if self.failures is not None:
            await self._going_on.wait()
