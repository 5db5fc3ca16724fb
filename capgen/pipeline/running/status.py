"""Where a run stands, read from its folder alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from capgen.buckets.lease import holder
from capgen.buckets.places import url_of
from capgen.buckets.store import ObjectStore
from capgen.dataset.layout import RunLayout
from capgen.dataset.lock import lock_holder
from capgen.dataset.reader import read_plan
from capgen.dataset.release_record import Release, read_release
from capgen.dataset.sessions.session_record import SessionRecord, read_sessions
from capgen.dataset.shards import Manifest, committed_manifest, damage_of, examples_of, read_manifest, such_as
from capgen.display import plain
from capgen.errors import LedgerError
from capgen.pipeline.asking.journal import count_settled
from capgen.pipeline.asking.retry_state import earlier, summed
from capgen.pipeline.releasing.dedup import REASONS
from capgen.text import duration


@dataclass(frozen=True, slots=True)
class Pace:
    """How a session that goes on stood when it last wrote that down, at most some seconds ago.

    Args:
        objects_per_s: over its last minute.
        left_s: seconds that what is left takes at that rate; None where nothing moved.
        engines: up then, of ``wanted``; ``lost`` is how often one was lost since the session began.
        in_flight: requests that engines had in hand.
    """

    objects_per_s: float
    left_s: float | None
    engines: int
    wanted: int
    lost: int
    in_flight: int

    @classmethod
    def of(cls, session: SessionRecord) -> Pace:
        """The pace at a session's last sample."""
        last = session.samples[-1]
        rate = session.rate_of_late()
        left = (session.planned - session.settled) / rate if rate > 0 else None
        return cls(round(rate, 2), left, last.engines, session.engines, session.lost, last.in_flight)

    def text(self) -> str:
        """The pace as a person reads it."""
        if self.left_s is not None:
            left = f"{duration(self.left_s)} left"
        else:
            left = "nothing was answered of late" if self.engines else "no engine is up yet, or any more"
        lost = f", {self.lost:,} lost and started anew" if self.lost else ""
        engines = f"{self.engines:,} of {self.wanted:,} engines up{lost}, {self.in_flight:,} requests in flight"
        return f"{self.objects_per_s:,.1f} objects/s, {left}; {engines}"


@dataclass(frozen=True, slots=True)
class RunStatus:
    """Counts of a run: objects by state, shards done, dropped and failed by the first reason.

    ``settled`` objects are answered but in a shard that is not committed yet; ``open_reasons``: objects dropped and
    failed so far in such shards, as the session last wrote it down, at most some seconds ago. ``retried``: what
    ``capgen retry`` did for each reason, in all. ``examples``: what one object says of each reason. ``warning``: why
    the release is marked. ``running``: which process works on the run now, and ``pace`` how fast. ``left_out``:
    annotations of the source that are no objects. ``damaged``: the first file that is not what its record says.
    """

    out: str
    fingerprint: str
    planned: int
    kept: int
    dropped: dict[str, int]
    failed: dict[str, int]
    settled: int
    shards: int
    shards_done: int
    released: bool
    retried: dict[str, dict[str, int]] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    warning: str | None = None
    running: str | None = None
    left_out: dict[str, int] = field(default_factory=dict)
    pace: Pace | None = None
    damaged: str | None = None
    open_reasons: dict[str, int] = field(default_factory=dict)

    @property
    def left(self) -> int:
        """Objects still to be asked for."""
        return self.planned - self.kept - sum(self.dropped.values()) - sum(self.failed.values()) - self.settled

    def as_json(self) -> dict[str, Any]:
        """The counts as JSON-able values."""
        return asdict(self) | {"left": self.left}

    def text(self) -> str:
        """The counts as a person reads them."""
        lines = [
            f"{self.out}: {self.shards_done} of {self.shards} shards done, fingerprint {self.fingerprint[:12]}",
            f"  planned {self.planned:,} = kept {self.kept:,} + dropped {sum(self.dropped.values()):,} + failed "
            f"{sum(self.failed.values()):,} + answered in open shards {self.settled:,} + left {self.left:,}",
        ]
        lines += [f"  left out when planning: {count:,} annotations ({code})" for code, count in self.left_out.items()]
        for name, counts in (("dropped", self.dropped), ("failed", self.failed)):
            for code, count in counts.items():
                lines.append(f"  {name}: {code} {count:,}{self._retried(code)}{such_as(self.examples.get(code))}")
        for code, count in self.open_reasons.items():
            lines.append(f"  out so far in open shards: {code} {count:,}{such_as(self.examples.get(code))}")
        gone = [code for code in self.retried if code not in self.dropped and code not in self.failed]
        lines += [f"  no longer: {code}{self._retried(code)}" for code in gone]
        if self.damaged:
            lines.append(f"  damaged: {self.damaged}; `capgen verify` says what else is")
        if self.running:
            lines.append(f"  running: {self.running}")
            if self.pace is not None:
                lines.append(f"  {self.pace.text()}")
        elif self.left or self.settled or self.shards_done < self.shards:
            lines.append("  the same `capgen run` command again goes on from here")
        else:
            lines.append(self._ended())
        return "\n".join(map(plain, lines))  # a reason with a line break makes no line of its own

    def _ended(self) -> str:
        if self.released:
            return f"  released, with a warning: {self.warning}" if self.warning else "  released"
        if self.planned and not self.kept:
            return "  nothing was kept, so nothing is released: mend the reasons above, then `capgen retry`"
        return "  answered, not packed yet: run the same command again"

    def _retried(self, code: str) -> str:
        did = self.retried.get(code)
        if did is None:
            return ""
        times = "once" if did["rounds"] == 1 else f"{did['rounds']} times"
        return f" (retried {times}: {did['asked']:,} asked again, {did['kept']:,} of them kept)"


def run_status(out: Path) -> RunStatus:
    """Read the plan, the manifests and the journals of OUT.

    Raises:
        BucketTrouble: OUT is in a bucket that does not answer.
        MissingFile: OUT holds no run.
    """
    plan = read_plan(out)
    table, fingerprint = plan.table, plan.fingerprint
    kept = 0
    opened: dict[int, int] = {}
    damaged: str | None = None
    dropped: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    manifests: list[Manifest] = []
    for entry in table.shards:
        found = _manifest_or_settled(out, entry.index, fingerprint)
        if isinstance(found, int):
            damaged = damaged or damage_of(out, entry.index, fingerprint)
            opened[entry.index] = found
            continue
        manifests.append(found)
        kept += found.kept
        dropped.update(found.dropped)
        failed.update(found.failed)
    done = len(manifests)
    release = read_release(out)
    released = (
        release is not None and release.fingerprint == fingerprint and done == release.shards == len(table.shards)
    )
    if release is not None and released:
        released = _is_of(release, kept, dropped, failed)  # it may be older than a retry
    if release is not None and released:  # only packing knows what dedup leaves out
        kept, dropped, failed = release.counts.kept, Counter(release.counts.dropped), Counter(release.counts.failed)
    running = _holder(out)
    sessions = read_sessions(out) if running or any(opened.values()) else []
    going = sessions[-1] if running and sessions and sessions[-1].ended is None and sessions[-1].samples else None
    open_reasons: Counter[str] = Counter()
    for index, reasons in sessions[-1].open_reasons.items() if sessions else ():
        if opened.get(index) or (going is not None and index in opened):
            open_reasons.update(reasons)
    retries = summed(earlier(manifest.extra) for manifest in manifests)
    return RunStatus(
        out=str(out),
        fingerprint=fingerprint,
        planned=table.objects,
        kept=kept,
        dropped=dict(dropped.most_common()),
        failed=dict(failed.most_common()),
        settled=sum(opened.values()),
        shards=len(table.shards),
        shards_done=done,
        released=released,
        retried={code: msgspec.to_builtins(tally) for code, tally in sorted(retries.items())},
        examples=(sessions[-1].examples if open_reasons else {}) | examples_of(manifests),
        open_reasons=dict(open_reasons.most_common()),
        running=running,
        pace=None if going is None else Pace.of(going),
        left_out=plan.left_out,
        damaged=damaged,
        warning=release.warning if release is not None and released else None,
    )


def _holder(out: Path) -> str | None:
    """Who works on a run now: on one in a bucket perhaps another machine, whose lease lives on for a minute."""
    url = url_of(out)
    return lock_holder(out) if url is None else holder(ObjectStore(url))


def _manifest_or_settled(out: Path, index: int, fingerprint: str) -> Manifest | int:
    """The manifest of a shard that is committed; of another one how many of its objects need no more asking."""
    manifest = _committed(out, index, fingerprint)
    if manifest is not None:
        return manifest
    try:
        settled = count_settled(RunLayout(out).journal_dir(index))
    except FileNotFoundError:  # a worker removes the journal once it has committed the shard
        settled = 0
    return _committed(out, index, fingerprint) or settled


def _committed(out: Path, index: int, fingerprint: str) -> Manifest | None:
    """The manifest of a shard that is done; of a run in a bucket the rows are not looked at, which may not be here."""
    if url_of(out) is None:
        return committed_manifest(out, index, fingerprint)
    try:
        manifest = read_manifest(out, index)
    except LedgerError:
        return None
    return manifest if manifest is not None and manifest.fingerprint == fingerprint else None


def _is_of(release: Release, kept: int, dropped: Counter[str], failed: Counter[str]) -> bool:
    """Whether a release can be made of candidates with these counts, which have dedup and people's judgements ahead."""
    counts, said = release.counts, release.reviews
    others = Counter(counts.dropped)
    repeated = sum(others.pop(reason, 0) for reason in REASONS)
    if said is None or not said.bad + said.restored + said.edited:
        return (counts.kept + repeated, others, Counter(counts.failed)) == (kept, dropped, failed)
    moved = abs(counts.kept + repeated - kept)
    return counts.planned == kept + dropped.total() + failed.total() and moved <= said.bad + said.restored + said.edited
