"""What workers say of their unfinished shards while they work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from capgen.pipeline.asking.first_requests import FirstFailures
from capgen.pipeline.asking.handed.pieces import PieceKey


@dataclass(frozen=True, slots=True)
class ShardCounts:
    """Objects of an unfinished shard that are settled.

    Args:
        settled: of the whole shard, as far as the engine knows that has a piece of it.
        reasons: of these, and of those whose picture or mask is at fault, dropped or failed ones by their first reason.
        captioned: of these, those whose caption passes; what was not taken up yet since the start is not known.
        examples: what one object says of each reason.
        before: of ``settled``, those that the journal had when the piece was handed out.
        media: the piece's first medium, and the first one that was not taken up yet; ``reasons`` and ``captioned`` are
            of the media between them.
    """

    settled: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    captioned: int = 0
    examples: Mapping[str, str] = field(default_factory=dict)
    before: int = 0
    media: tuple[int, int] = (0, 0)

    @property
    def judged(self) -> int:
        """Objects whose outcome is known."""
        return self.captioned + self.reasons.total()

    def later(self, other: ShardCounts) -> ShardCounts:
        """The counts after ``other``: a shard that was handed out anew begins with less, until it has caught up."""
        fuller = other if other.judged >= self.judged else self
        further = other if other.settled >= self.settled else self
        examples = {**self.examples, **other.examples}
        return ShardCounts(
            further.settled, fuller.reasons, fuller.captioned, examples, before=further.before, media=fuller.media
        )


def sum_of_pieces(pieces: Iterable[ShardCounts]) -> ShardCounts:
    """What is known of a shard that several engines have, or had, pieces of; too little rather than too much.

    An engine knows what was settled when it was handed its piece, and what it has settled since. Added up are the
    answers of pieces that were handed out later than one, and what that one knows. Outcomes are added up over pieces
    whose media are different ones.
    """
    known = sorted(pieces, key=lambda one: (-one.judged, -one.settled))
    settled, since = 0, 0
    for one in sorted(known, key=lambda one: -one.before):
        since += one.settled - one.before
        settled = max(settled, one.before + since)
    apart: list[ShardCounts] = []
    for one in known:
        if all(one.media[1] <= other.media[0] or other.media[1] <= one.media[0] for other in apart):
            apart.append(one)
    return ShardCounts(
        settled,
        sum((one.reasons for one in apart), Counter()),
        sum(one.captioned for one in apart),
        {code: text for one in reversed(known) for code, text in one.examples.items()},
    )


@dataclass(frozen=True, slots=True)
class OpenShards:
    """What workers say of themselves and of their unfinished shards.

    Args:
        shards: by piece; see ``sum_of_pieces``.
        answered: requests that were answered.
        failures: of each worker whose first requests all failed alike, and which waits.
        undecided: workers of which that is not known yet.
        workers: that were heard, with ``in_flight`` requests of all of them together.
        up_s: seconds since the engines were ready, summed over engines; ``busy_s`` of these with requests in flight.
        left: by piece, how many of its media were not taken up yet.
        leaving: workers that are going to end, and ask for nothing more.
    """

    shards: Mapping[PieceKey, ShardCounts] = field(default_factory=dict)
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
        both = {key: self.shards[key].later(other.shards[key]) for key in self.shards.keys() & other.shards.keys()}
        return OpenShards(
            {**self.shards, **other.shards, **both},
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
