"""What a run's metrics say: an immutable snapshot, replaced whole whenever the run has got on.

The run writes from one thread, and scrapes read from others: they take the snapshot that is there, and need no lock.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from capgen.pipeline.checks import CHECKS
from capgen.pipeline.reasons import REASONS

if TYPE_CHECKING:  # the command line knows these classes before it knows whether anything is to run
    from capgen.pipeline.running.run_progress import RunProgress

OTHER = "other"
"""The label of reasons that are not capgen's own, such as those of a plug-in: labels are a closed list."""
_KNOWN = frozenset((*REASONS, *CHECKS.own))
_ENGINES = dict.fromkeys(("starting", "up", "down"), 0)
_SHARDS = dict.fromkeys(("committed", "open", "waiting"), 0)
_TOKENS = ("prompt_tokens", "cached_tokens", "output_tokens")


@dataclass(frozen=True, slots=True)
class CommandCounts:
    """What a command has counted since it began, over all of its sessions; none of it ever falls.

    Args:
        objects: that it settled; one that is asked again counts again.
        captioned: objects with a caption in the shards that it worked on, earlier sessions' answers in them too.
        without_caption: objects of these shards without a caption, by reason.
        tokens: ``prompt_tokens``, ``cached_tokens`` and ``output_tokens`` of the shards that it committed.
        lost: engines that were lost.
    """

    objects: int = 0
    captioned: int = 0
    without_caption: Mapping[str, int] = field(default_factory=dict)
    tokens: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(_TOKENS, 0))
    lost: int = 0

    @classmethod
    def of(cls, progress: RunProgress) -> CommandCounts:
        """What one session has counted so far."""
        reasons: Counter[str] = Counter()
        for code, count in progress.reasons_so_far.items():
            reasons[code if code in _KNOWN else OTHER] += count
        return cls(
            objects=max(0, progress.settled - progress.resumed),
            captioned=progress.captioned,
            without_caption=reasons,
            tokens={name: int(progress.total(name)) for name in _TOKENS},
            lost=progress.lost,
        )

    def __add__(self, other: CommandCounts) -> CommandCounts:
        return CommandCounts(
            self.objects + other.objects,
            self.captioned + other.captioned,
            dict(Counter(self.without_caption) + Counter(other.without_caption)),
            {name: self.tokens[name] + other.tokens[name] for name in _TOKENS},
            self.lost + other.lost,
        )

    def __or__(self, other: CommandCounts) -> CommandCounts:
        """The larger of each count: a shard's manifest may say less than its worker said before."""
        return CommandCounts(
            max(self.objects, other.objects),
            max(self.captioned, other.captioned),
            dict(Counter(self.without_caption) | Counter(other.without_caption)),
            {name: max(self.tokens[name], other.tokens[name]) for name in _TOKENS},
            max(self.lost, other.lost),
        )


@dataclass(frozen=True, slots=True)
class MetricsSnapshot:
    """Where a run stood when it last said so.

    Args:
        started_s: when the command began, in seconds since 1970.
        counts: since then.
        planned: objects of the run; ``settled`` of them need no more asking, those of earlier sessions too.
        in_flight: requests that engines have in hand.
        per_s: objects settled a second since the first engine was up.
        left_s: seconds that the rest takes at that rate; None where nothing can be said.
        engines: by state, see ``RunProgress``.
        shards: ``committed``, ``open`` (in an engine's hands) and ``waiting``.
        finished: the release is written.
    """

    started_s: float
    counts: CommandCounts = field(default_factory=CommandCounts)
    planned: int = 0
    settled: int = 0
    in_flight: int = 0
    per_s: float = 0.0
    left_s: float | None = None
    engines: Mapping[str, int] = field(default_factory=lambda: _ENGINES)
    shards: Mapping[str, int] = field(default_factory=lambda: _SHARDS)
    finished: bool = False

    @property
    def cached_ratio(self) -> float:
        """Share of the prompt tokens that an engine had cached, from 0 to 1."""
        prompt = self.counts.tokens["prompt_tokens"]
        return self.counts.tokens["cached_tokens"] / prompt if prompt else 0.0


class RunMetrics:
    """Follows a command through the sessions that it makes; ``snapshot`` is what it knows."""

    def __init__(self) -> None:
        self.snapshot = MetricsSnapshot(time.time())
        self._earlier = CommandCounts()
        self._shards = 0

    def begin(self, shards: int) -> None:
        """A session begins on a run of so many shards; what the command counted before stays."""
        self._earlier, self._shards = self.snapshot.counts, shards
        self.snapshot = replace(self.snapshot, finished=False)

    def __call__(self, progress: RunProgress) -> None:
        """Take in where the session stands."""
        last, left = self.snapshot, len(progress.left)
        rate, unsettled = progress.rate, progress.planned - progress.settled
        in_hand = len({index for index, _ in progress.heard.shards} & progress.left.keys())
        self.snapshot = MetricsSnapshot(
            started_s=last.started_s,
            counts=last.counts | (self._earlier + CommandCounts.of(progress)),
            planned=progress.planned,
            settled=progress.settled,
            in_flight=progress.heard.in_flight,
            per_s=rate,
            left_s=unsettled / rate if rate > 0 else None if unsettled else 0.0,
            engines={**_ENGINES, **progress.engine_counts},
            shards={"committed": self._shards - left, "open": in_hand, "waiting": left - in_hand},
        )

    def asked(self) -> None:
        """Everything is asked: the engines have ended, and shards are packed and verified."""
        self.snapshot = replace(self.snapshot, engines=_ENGINES, in_flight=0, left_s=0.0)

    def finish(self) -> None:
        """The release is written."""
        self.snapshot = replace(self.snapshot, finished=True)
