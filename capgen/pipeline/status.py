"""Where a run stands, read from its folder alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from capgen.dataset.shards import is_committed, read_manifest
from capgen.errors import UserError
from capgen.pipeline.journal import count_settled
from capgen.pipeline.prepare import read_plan_json, shard_table
from capgen.pipeline.release import read_release


@dataclass(frozen=True, slots=True)
class Standing:
    """Counts of a run: objects by state, shards done, dropped and failed by the first reason.

    ``settled`` objects are answered but in a shard that is not committed yet.
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
        for name, counts in (("dropped", self.dropped), ("failed", self.failed)):
            lines += [f"  {name}: {code} {count:,}" for code, count in counts.items()]
        if self.left or self.settled or self.shards_done < self.shards:
            lines.append("  the same `capgen run` command again goes on from here")
        else:
            lines.append("  released" if self.released else "  answered, not packed yet: run the same command again")
        return "\n".join(lines)


def standing(out: Path) -> Standing:
    """Read the plan, the manifests and the journals of OUT.

    Raises:
        UserError: OUT holds no run.
    """
    plan = read_plan_json(out)
    if plan is None:
        raise UserError(f"{out} holds no run", "give the folder that `capgen run --out` wrote")
    table, fingerprint = shard_table(plan), plan["fingerprint"]
    kept, done, settled = 0, 0, 0
    dropped: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for entry in table.shards:
        manifest = read_manifest(out, entry.index) if is_committed(out, entry.index, fingerprint) else None
        if manifest is None:
            settled += count_settled(out / "journal" / f"{entry.index:05d}")
            continue
        done += 1
        kept += manifest.kept
        dropped.update(manifest.dropped)
        failed.update(manifest.failed)
    release = read_release(out)
    released = release is not None and release.fingerprint == fingerprint and release.shards == len(table.shards)
    if release is not None and released:  # only packing knows what dedup leaves out
        kept, dropped, failed = release.counts.kept, Counter(release.counts.dropped), Counter(release.counts.failed)
    return Standing(
        out=str(out),
        fingerprint=fingerprint,
        planned=sum(entry.objects for entry in table.shards),
        kept=kept,
        dropped=dict(dropped.most_common()),
        failed=dict(failed.most_common()),
        settled=settled,
        shards=len(table.shards),
        shards_done=done,
        released=released,
    )
