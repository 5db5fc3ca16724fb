"""The scores of ``OUT/judge.parquet`` in the gallery's database, taken up a batch at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from capgen.dataset.files import content_stamp
from capgen.dataset.quality.judge_scores import SCORES, judge_batches
from capgen.errors import LedgerError

_ROWS = 20_000
_TABLE = """
CREATE OR REPLACE TABLE judged (
    place BIGINT, key VARCHAR, caption VARCHAR, method VARCHAR, score FLOAT, verdict VARCHAR, least FLOAT,
    contrast FLOAT, answers MAP(VARCHAR, FLOAT), message VARCHAR
)
"""
JOINED = """
LEFT JOIN (
    SELECT j.key, coalesce(method, 'judge') AS judge,
        CASE WHEN j.caption IS DISTINCT FROM r.caption THEN 'stale' ELSE coalesce(left(verdict, 40), 'unknown') END
            AS judged,
        CASE WHEN isfinite(score) AND judged != 'stale' THEN score END AS score
    FROM judged j JOIN rows r ON j.key = r.key
    QUALIFY row_number() OVER (PARTITION BY j.key ORDER BY judged = 'stale', place DESC) = 1
) USING (key)
"""
"""Gives ``rows``, which have ``key`` and ``caption``, the columns ``judge`` (the method), ``judged`` and ``score``.

A score of a caption that has changed since is ``stale`` and has no number. Of several scores of one caption the last
one counts.
"""


@dataclass(frozen=True, slots=True)
class JudgeScore:
    """A score of the table; see ``capgen.pipeline.judging.scores.JudgedCaption``."""

    caption: str | None
    method: str | None
    score: float | None
    verdict: str | None
    least: float | None
    contrast: float | None
    answers: dict[str, float] | None
    message: str | None


class JudgeIndex:
    """The scores of one run. ``version`` names the table that is here whole; None where there is none yet."""

    def __init__(self, database: duckdb.DuckDBPyConnection, path: Path) -> None:
        self._database, self._path = database, path
        self._database.execute(_TABLE)
        self._batches: Iterator[pa.RecordBatch] | None = None
        self._begun: object = None
        self._rows = 0
        self.version: object = None

    def refresh(self, until: float = float("inf")) -> bool:
        """Take up a table that is new; whether all of it is here.

        Args:
            until: the time on the monotonic clock after which the rest is left for the next call.

        Raises:
            LedgerError: it is no such table. The next call goes on without it.
        """
        stamp = content_stamp(self._path)
        if stamp != self._begun:
            self._begun, self._rows = stamp, 0
            self._database.cursor().execute(_TABLE)
            self._batches = judge_batches(self._path, SCORES.names, _ROWS) if stamp else None
        try:
            while self._batches is not None:
                if time.monotonic() > until:
                    return False
                self._take(next(self._batches, None))
        except LedgerError:
            self._batches, self.version = None, stamp
            raise
        self.version = stamp
        return True

    def of(self, key: str) -> list[JudgeScore]:
        """All scores of an object, the last one first."""
        names = ", ".join(JudgeScore.__dataclass_fields__)
        sql = f"SELECT {names} FROM judged WHERE key = $key ORDER BY place DESC"
        return [JudgeScore(*row) for row in self._database.cursor().execute(sql, {"key": key}).fetchall()]

    def _take(self, batch: pa.RecordBatch | None) -> None:
        if batch is None:
            self._batches = None
            return
        places = pa.array(range(self._rows, self._rows + batch.num_rows), pa.int64())
        cursor: Any = self._database.cursor()
        cursor.register("scores", pa.Table.from_batches([batch]).append_column("place", places))
        cursor.execute(f"INSERT INTO judged SELECT place, {', '.join(SCORES.names)} FROM scores")
        cursor.unregister("scores")
        self._rows += batch.num_rows
