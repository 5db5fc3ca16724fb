"""What workers say of their unfinished shards while they work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from capgen.pipeline.asking.first_requests import FirstFailures
from capgen.pipeline.asking.handed.pieces import PieceKey


@dataclass(frozen=True, slots=True)
class ShardCounts:
    """Objects of an unfinished shard that are settled.

    Args:
        reasons: of these, and of those whose picture or mask is at fault, dropped or failed ones by their first reason.
        captioned: of these, those whose caption passes; what was not taken up yet since the start is not known.
        examples: what one object says of each reason.
    """

    settled: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    captioned: int = 0
    examples: Mapping[str, str] = field(default_factory=dict)

    @property
    def judged(self) -> int:
        """Objects whose outcome is known."""
        return self.captioned + self.reasons.total()

    def later(self, other: ShardCounts) -> ShardCounts:
        """The counts after ``other``: a shard that was handed out anew begins with less, until it has caught up."""
        fuller = other if other.judged >= self.judged else self
        examples = {**self.examples, **other.examples}
        return ShardCounts(max(self.settled, other.settled), fuller.reasons, fuller.captioned, examples)


@dataclass(frozen=True, slots=True)
class OpenShards:
    """What workers say of themselves and of their unfinished shards.

    Args:
        shards: by index.
        answered: requests that were answered.
        failures: of each worker whose first requests all failed alike, and which waits.
        undecided: workers of which that is not known yet.
        workers: that were heard, with ``in_flight`` requests of all of them together.
        up_s: seconds since the engines were ready, summed over engines; ``busy_s`` of these with requests in flight.
        left: by piece, how many of its media were not taken up yet.
        leaving: workers that are going to end, and ask for nothing more.
    """

    shards: Mapping[int, ShardCounts] = field(default_factory=dict)
    answered: int = 0
    failures: tuple[FirstFailures, ...] = ()
    undecided: int = 0
    workers: int = 0
    in_flight: int = 0
    up_s: float = 0.0
    busy_s: float = 0.0
    left: Mapping[PieceKey, int] = field(default_factory=dict)
    leaving: int = 0

    def __add__(self, other: OpenShards) -> OpenShards:
        return OpenShards(
            {**self.shards, **other.shards},
            self.answered + other.answered,
            self.failures + other.failures,
            self.undecided + other.undecided,
            self.workers + other.workers,
            self.in_flight + other.in_flight,
            self.up_s + other.up_s,
            self.busy_s + other.busy_s,
            {**self.left, **other.left},
            self.leaving + other.leaving,
        )
