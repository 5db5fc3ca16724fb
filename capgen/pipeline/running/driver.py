"""The driver: unfinished shards go to workers, what dies is handed out again, what is done is packed."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from capgen.dataset.plan import ShardEntry, ShardTable
from capgen.dataset.shards import is_committed, read_manifest, withdraw
from capgen.errors import CapgenError
from capgen.pipeline.asking.journal import count_settled, forget, has_answers, note_lost
from capgen.pipeline.planning.job import Job
from capgen.pipeline.running.run_progress import FirstRequestsFailed, RunProgress
from capgen.pipeline.tasks import TaskRunner

log = logging.getLogger(__name__)

_FRUITLESS = 4
"""So many engines in a row may die on a shard without settling one more object before the run gives up."""


class RunFailed(CapgenError):
    """The run cannot go on; everything settled so far is kept and ``capgen run`` again resumes."""

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)

    def __str__(self) -> str:
        return f"{' '.join(self.message.split())}; what is done is kept: run the same command again to resume"


class Executor(Protocol):
    """Where shards are done. Both kinds run the same ``Worker``."""

    def map(self, job: Job, shards: Sequence[ShardEntry], progress: RunProgress) -> None:
        """Do the shards, and tell ``progress`` of every engine, every commit, and where the workers stand meanwhile.

        Raises:
            RunFailed: a shard cannot be done.
            FirstRequestsFailed: the first requests all failed alike.
            Interrupted: the user asked it to end.
            Postponed: every shard was gone through, and answers are still to come from elsewhere.
        """
        ...

    def tasks(self, objects: int) -> TaskRunner:
        """Where work on so many objects that no engine does is done in parts: planning, packing, verifying."""
        ...

    def close(self) -> None:
        """End what was started for ``map`` and ``tasks``."""
        ...


def unfinished(job: Job, table: ShardTable) -> list[ShardEntry]:
    """The shards that have no committed file of this fingerprint."""
    return [entry for entry in table.shards if not is_committed(job.out, entry.index, job.fingerprint)]


def run_shards(job: Job, table: ShardTable, executor: Executor, show: Callable[[RunProgress], None]) -> RunProgress:
    """Do every unfinished shard; returns the final state.

    Raises:
        RunFailed: a shard cannot be done; the run can be resumed.
        FirstRequestsFailed: the first requests all failed alike; nothing of them is remembered.
        Interrupted: the user asked it to end; the run can be resumed.
    """
    todo = unfinished(job, table)
    progress = RunProgress(planned=table.objects, show=show)
    progress.trusted = job.settings.run.max_failed >= 1 or _answered_before(job, table, todo)
    progress.begin(todo, {entry.index: count_settled(job.journal_dir(entry.index)) for entry in todo})
    try:
        executor.map(job, todo, progress)
    except FirstRequestsFailed:
        for entry in todo:
            _forget_failures(job, entry)
        raise
    return progress


def _answered_before(job: Job, table: ShardTable, todo: Sequence[ShardEntry]) -> bool:
    """Whether an engine has answered anything in an earlier session."""
    if any(has_answers(job.journal_dir(entry.index)) for entry in todo):
        return True
    left = {entry.index for entry in todo}
    done = (read_manifest(job.out, entry.index) for entry in table.shards if entry.index not in left)
    return any(manifest.kept or manifest.dropped for manifest in done if manifest is not None)


def _forget_failures(job: Job, entry: ShardEntry) -> None:
    """Have a shard asked anew, in a run in which nothing was answered: once its cause is mended, nothing has failed."""
    forget(job.journal_dir(entry.index))
    manifest = read_manifest(job.out, entry.index)
    if manifest is not None and not manifest.kept and not manifest.dropped:
        withdraw(job.out, entry.index)


@dataclass(slots=True)
class Losses:
    """Counts the engines that died on each shard, and gives up where none of them gets any further."""

    job: Job
    settled: dict[int, int] = field(default_factory=dict)
    fruitless: Counter[int] = field(default_factory=Counter)

    def process_died(self, entry: ShardEntry) -> None:
        """Have the next worker know that the process of the one that had ``entry`` is gone.

        Raises:
            DiskTrouble: that cannot be written down.
        """
        mirror = self.job.mirror
        if mirror is not None:
            mirror.hear_journal(entry.index)
        note_lost(self.job.journal_dir(entry.index))
        if mirror is not None:
            mirror.push_journals([entry.index])

    def note(self, entry: ShardEntry, why: str) -> None:
        """An engine died while it had ``entry``.

        Raises:
            RunFailed: that was the last try.
        """
        if self.job.mirror is not None:
            self.job.mirror.hear_journal(entry.index)
        settled = count_settled(self.job.journal_dir(entry.index))
        if settled > self.settled.get(entry.index, -1):
            self.fruitless[entry.index] = 0
        self.settled[entry.index] = settled
        self.fruitless[entry.index] += 1
        log.warning("shard %05d: the engine was lost (%s); its shard is handed out again", entry.index, why)
        if self.fruitless[entry.index] > 2 * self.job.settings.run.attempts + _FRUITLESS:
            raise RunFailed(f"shard {entry.index:05d}: {self.fruitless[entry.index]} engines died in a row: {why}")
