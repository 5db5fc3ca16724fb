"""Where a run stands: what its workers and its committed shards say, put together so that it never goes backwards."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from capgen.dataset.plan import ShardEntry
from capgen.dataset.shards import Manifest
from capgen.errors import CapgenError
from capgen.pipeline.asking.first_requests import FirstFailures
from capgen.pipeline.asking.handed.open_shards import OpenShards, ShardCounts, sum_of_pieces
from capgen.pipeline.asking.handed.pieces import PieceKey

log = logging.getLogger(__name__)


class FirstRequestsFailed(CapgenError):
    """Everything that a run asked first has failed for one reason, so it was stopped."""

    def __init__(self, count: int, reason: str, message: str) -> None:
        self.count, self.reason, self.message = count, reason, message
        super().__init__(count, reason, message)

    def __str__(self) -> str:
        return (
            f"the first {self.count:,} objects all failed alike ({self.reason}), so the run was stopped and nothing is "
            f"released: {' '.join(self.message.split())}; mend that and run the same command again "
            "(--set run.max_failed=1 goes on whatever fails)"
        )


@dataclass(slots=True)
class RunProgress:
    """Objects settled of those planned, engines, and what was dropped and failed; ``show`` is called at every change.

    A shard's last count stays until its manifest takes its place: between the two nobody has the shard in hand.

    Args:
        planned: objects of the run.
        done: objects of committed shards.
        left: what is known of every unfinished shard, by its index.
        resumed: objects that were settled before this start of the run; rates leave them out.
        seconds: since this start of the run; ``ready_s`` of them before the first engine was up.
        trusted: an engine has answered something in this run, or the user said that it goes on whatever fails.
        stopping: everything is asked, and engines are being stopped.
        heard: what the workers said last.
        lost: how often an engine died, stalled or did not start, and another one was started in its place.
        waits: what the run waits for at the moment, as a statement; None where nobody has said.
        engine_counts: engines by state: ``starting``, ``up``, and ``down``, which is lost, given up, or not begun yet.
    """

    planned: int
    show: Callable[[RunProgress], None]
    done: int = 0
    resumed: int = 0
    left: dict[int, ShardCounts] = field(default_factory=dict)
    sizes: dict[int, int] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    engines: list[dict[str, Any]] = field(default_factory=list)
    manifests: list[Manifest] = field(default_factory=list)
    seconds: float = 0.0
    ready_s: float | None = None
    trusted: bool = False
    stopping: bool = False
    heard: OpenShards = field(default_factory=OpenShards)
    lost: int = 0
    waits: str | None = None
    engine_counts: Mapping[str, int] = field(default_factory=dict)
    _away: set[int] = field(default_factory=set)
    _pieces: dict[int, dict[PieceKey, ShardCounts]] = field(default_factory=dict)
    _begun: float = field(default_factory=time.monotonic)

    def begin(self, unfinished: Iterable[ShardEntry], settled: Mapping[int, int]) -> None:
        """Take in what earlier sessions left: ``settled`` objects of each unfinished shard, by its index."""
        for entry in unfinished:
            self.sizes[entry.index] = entry.objects
            self.left[entry.index] = ShardCounts(settled.get(entry.index, 0))
        self.done = self.planned - sum(self.sizes.values())
        self.resumed = self.settled
        self.show(self)

    def wait(self, what: str) -> None:
        """The run waits for something, said as a statement, before an engine is up."""
        self.waits = what
        self._passed()
        self.show(self)

    def engines_are(self, *, starting: int, up: int, wanted: int) -> None:
        """So many of the engines that are wanted are being started, and up."""
        self.engine_counts = {"starting": starting, "up": up, "down": wanted - starting - up}

    def engine_started(self, facts: dict[str, Any], number: int = 0) -> None:
        """An engine is up; ``start_s`` of its facts are the seconds that took."""
        self.engines.append(facts)
        self._away.discard(number)
        self._passed()
        log.info(
            "engine %d is up: %s", len(self.engines), ", ".join(f"{name} {value}" for name, value in facts.items())
        )
        if self.ready_s is None:
            self.ready_s = self.seconds
        self.show(self)

    def engine_lost(self, number: int = 0) -> None:
        """An engine died or did not start, and another one is started in its place; who is up is heard anew.

        It counts as lost once until it is up again, however often it does not start meanwhile.
        """
        self.lost += number not in self._away
        self._away.add(number)
        self.heard = OpenShards()

    def engine_leaves(self, number: int) -> None:
        """The machine of an engine is about to go, and it has handed back what it had: it is not lost."""
        self._away.add(number)

    def hear(self, workers: OpenShards) -> bool:
        """Take in what the workers say of their shards.

        Returns:
            True where workers that wait, because their first requests all failed, may go on.

        Raises:
            FirstRequestsFailed: no worker has anything else to tell.
        """
        self._count_pieces(workers.shards)
        self.heard = workers
        self._passed()
        self.show(self)
        self.trusted = self.trusted or workers.answered > 0
        if self.trusted:
            return True
        if not workers.failures or workers.undecided:
            return False
        if len({failures.reason for failures in workers.failures}) > 1:
            return True
        raise _stopped(workers.failures)

    def _count_pieces(self, pieces: Mapping[PieceKey, ShardCounts]) -> None:
        """Take in where pieces stand; one that its engine is through with counts on until its shard is committed."""
        heard = set()
        for key, counts in pieces.items():
            index = key[0]
            if index in self.left:
                known = self._pieces.setdefault(index, {})
                known[key] = known[key].later(counts) if key in known else counts
                heard.add(index)
        for index in heard:
            self.left[index] = self.left[index].later(sum_of_pieces(self._pieces[index].values()))

    def committed(self, manifest: Manifest) -> None:
        """A shard is done."""
        self.manifests.append(manifest)
        self.left.pop(manifest.index, None)
        self._pieces.pop(manifest.index, None)
        self.done += manifest.rows
        self.reasons.update(manifest.dropped)
        self.reasons.update(manifest.failed)
        self.trusted = self.trusted or manifest.kept > 0 or bool(manifest.dropped)
        self._passed()
        log.info("%s", _told(manifest))
        self.show(self)

    def ending(self) -> None:
        """Engines are being stopped, which takes seconds that no rate counts; to be called again meanwhile."""
        self.stopping = True
        self.show(self)

    def _passed(self) -> None:
        self.seconds = time.monotonic() - self._begun

    @property
    def settled(self) -> int:
        """Objects that need no more asking."""
        return self.done + sum(min(counts.settled, self.sizes[index]) for index, counts in self.left.items())

    @property
    def reasons_so_far(self) -> Counter[str]:
        """Objects dropped and failed since the run was started, by their first reason."""
        return sum((counts.reasons for counts in self.left.values()), self.reasons.copy())

    @property
    def captioned(self) -> int:
        """Objects with a caption so far in the shards that were unfinished when the run was started."""
        committed = sum(manifest.kept for manifest in self.manifests)
        return committed + sum(counts.captioned for counts in self.left.values())

    @property
    def open_examples(self) -> dict[str, str]:
        """What one object of the unfinished shards says of each reason."""
        found: dict[str, str] = {}
        for counts in self.left.values():
            found = {**counts.examples, **found}
        return found

    def total(self, name: str) -> Any:
        """The sum of a count or of seconds over the shards committed since this start; see ``Manifest.extra``."""
        return sum(manifest.extra.get(name, 0) for manifest in self.manifests)

    @property
    def asking_s(self) -> float:
        """Seconds since the first engine was up."""
        return self.seconds - (self.seconds if self.ready_s is None else self.ready_s)

    @property
    def rate(self) -> float:
        """Objects settled a second since the first engine was up, without those of earlier starts."""
        return max(0, self.settled - self.resumed) / self.asking_s if self.asking_s > 0 else 0.0


def _told(manifest: Manifest) -> str:
    """A committed shard in a line."""
    lost = [f"{name} {count:,}" for counts in (manifest.dropped, manifest.failed) for name, count in counts.items()]
    took = "" if manifest.seconds is None else f" in {manifest.seconds:.1f} s"
    return f"shard {manifest.index:05d}: {manifest.kept:,} of {manifest.rows:,} kept{took}" + (
        f" (out: {', '.join(lost)})" if lost else ""
    )


def _stopped(failures: tuple[FirstFailures, ...]) -> FirstRequestsFailed:
    first = failures[0]
    return FirstRequestsFailed(sum(each.count for each in failures), first.reason, first.message)
