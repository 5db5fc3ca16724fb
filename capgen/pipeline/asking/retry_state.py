"""What a reopened shard keeps of its earlier commit: every row that is not asked for again, exactly as it stands.

``OUT/journal/00012/carried.parquet`` is the earlier candidates file, moved there by one rename, which is what reopens
the shard; ``carried.json``, written before, says which of its rows are asked for again. Rows are carried, not answers:
candidates hold the tidied caption, and a verdict on that could differ from the one on what the engine said.
"""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from capgen.dataset.files import sha256_of, sync, write_whole
from capgen.dataset.layout import RunLayout
from capgen.dataset.reader import read_rows
from capgen.dataset.row import Row
from capgen.dataset.shards import candidates_path, manifest_path
from capgen.errors import LedgerError

REFUSED = "judged_wrong"
"""The reason of rows that are asked again because somebody finds their caption wrong."""

log = logging.getLogger(__name__)


class RetryCounts(msgspec.Struct, kw_only=True):
    """How often the rows of one reason were asked again: rounds, rows in all, and what became of them.

    ``changed`` rows said something else than before, ``kept`` of these passed every check.
    """

    rounds: int = 0
    asked: int = 0
    changed: int = 0
    kept: int = 0

    def __iadd__(self, other: RetryCounts) -> RetryCounts:
        self.rounds += other.rounds
        self.asked += other.asked
        self.changed += other.changed
        self.kept += other.kept
        return self


class Reopened(msgspec.Struct, frozen=True, kw_only=True):
    """``carried.json``: the file that is carried, the rows asked again with their reasons, and the earlier rounds."""

    sha256: str
    rows: int
    again: dict[str, str]
    before: dict[str, RetryCounts] = {}


@dataclass(frozen=True, slots=True)
class RetryState:
    """The rows of the earlier commit by key: those that stay, and those that are asked again as they were."""

    stay: Mapping[str, Row]
    again: Mapping[str, Row]
    reopened: Reopened

    def refused(self, key: str) -> str | None:
        """The caption of an object that is asked again because somebody finds it wrong; None for others."""
        return self.again[key].caption if self.reopened.again.get(key) == REFUSED and key in self.again else None

    def compared(self, rows: Iterable[Row]) -> dict[str, Any]:
        """For the new manifest: ``retry``, what this round changed by reason, and ``retries``, all rounds together."""
        now = {code: RetryCounts(rounds=1) for code in self.reopened.again.values()}
        for row in rows:
            before = self.again.get(row.key)
            if before is None:
                continue
            tally = now[self.reopened.again[row.key]]
            tally.asked += 1
            tally.changed += _outcome(row) != _outcome(before)
            tally.kept += row.status == "kept"
        total = {code: msgspec.structs.replace(tally) for code, tally in self.reopened.before.items()}
        for code, tally in now.items():
            total.setdefault(code, RetryCounts()).__iadd__(tally)
        return {"retry": msgspec.to_builtins(now), "retries": msgspec.to_builtins(total)}


def reopen(out: Path, index: int, folder: Path, again: Mapping[str, str], before: Mapping[str, RetryCounts]) -> None:
    """Undo the commit of a shard and ask for the keys of ``again`` anew; call it only while no worker writes to OUT.

    A kill before the rename leaves the shard committed, one after it leaves a shard that the next run finishes.

    Args:
        folder: the shard's journal; what an earlier commit left in it is deleted.
    """
    path = candidates_path(out, index)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows = sum(1 for _ in read_rows(path))
    reopened = Reopened(sha256=sha256_of(path), rows=rows, again=dict(again), before=dict(before))
    write_whole(_about(folder), msgspec.json.encode(reopened) + b"\n")
    sync(folder.parent)
    path.rename(_file(folder))
    sync(folder)
    sync(path.parent)
    manifest_path(out, index).unlink(missing_ok=True)


def load(folder: Path) -> RetryState | None:
    """What the shard with this journal carries; None where it was not reopened, or its file is no longer whole."""
    reopened = _reopened(folder)
    if reopened is None:
        return None
    file = _file(folder)
    try:
        if sha256_of(file) != reopened.sha256:
            raise LedgerError(f"{file} differs from its record")
        rows = {row.key: row for row in read_rows(file)}
    except LedgerError as error:
        log.warning("%s; the whole shard is asked again", error)
        return None
    stay = {key: row for key, row in rows.items() if key not in reopened.again}
    return RetryState(stay, {key: row for key, row in rows.items() if key in reopened.again}, reopened)


def is_reopened(folder: Path) -> bool:
    """Whether the shard with this journal was committed once and then reopened."""
    return _reopened(folder) is not None


def count(folder: Path) -> int:
    """How many rows the shard with this journal carries."""
    reopened = _reopened(folder)
    return reopened.rows - len(reopened.again) if reopened else 0


def earlier(extra: Mapping[str, Any]) -> dict[str, RetryCounts]:
    """The rounds that a manifest's ``extra`` tells of."""
    return msgspec.convert(extra.get("retries", {}), dict[str, RetryCounts])


def summed(tallies: Iterable[Mapping[str, RetryCounts]]) -> dict[str, RetryCounts]:
    """Over shards, by reason: rows add up, and a round that touched several shards is one round."""
    total: dict[str, RetryCounts] = {}
    rounds: Counter[str] = Counter()
    for one in tallies:
        for code, tally in one.items():
            total.setdefault(code, RetryCounts()).__iadd__(tally)
            rounds[code] = max(rounds[code], tally.rounds)
    for code, tally in total.items():
        tally.rounds = rounds[code]
    return total


def _reopened(folder: Path) -> Reopened | None:
    if not _file(folder).is_file():
        return None
    try:
        return msgspec.json.decode(_about(folder).read_bytes(), type=Reopened)
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _file(folder: Path) -> Path:
    return RunLayout.carried(folder)


def _about(folder: Path) -> Path:
    return RunLayout.carried_json(folder)


def _outcome(row: Row) -> tuple[Any, ...]:
    return row.status, row.reasons, row.caption, row.message
