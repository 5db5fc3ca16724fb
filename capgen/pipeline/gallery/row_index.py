"""The rows of a run in a DuckDB table that is made when the gallery starts: what filters, sorts and counts need.

Masks, boxes and provenance stay in the Parquet files. The table is a file in a temporary folder, so that a million
rows take disk and not memory. Shards that are committed, asked again or released later are taken up as they come.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from capgen.dataset.files import content_stamp
from capgen.dataset.layout import RunLayout, refuse_links
from capgen.dataset.plan import PlanRecord, ShardEntry
from capgen.dataset.reader import parquet_batches, read_columns, read_plan
from capgen.dataset.schema import DEDUP
from capgen.dataset.shards import finished_shards, is_committed
from capgen.errors import CapgenError
from capgen.pipeline.gallery.judge_index import JOINED, JudgeIndex, JudgeScore
from capgen.pipeline.gallery.selection import STATUSES, Selection
from capgen.pipeline.releasing.reviews import Review, read_reviews

_LOG = logging.getLogger(__name__)
_MEMORY = "400MB"
_POLL_SECONDS = 2.0
_COLUMNS = (
    "key", "dataset", "split", "media_id", "object_id", "kind", "width", "height", "category", "caption", "status",
    "reasons", "message", "model", "frame_index", "area", "logprob_min", "tries",
)  # fmt: skip
_TABLES = """
CREATE TABLE objects (
    shard INTEGER, pos INTEGER, key VARCHAR, medium VARCHAR, number INTEGER, split VARCHAR, object_id VARCHAR,
    kind VARCHAR, width INTEGER, height INTEGER, category VARCHAR, caption VARCHAR, status VARCHAR, reasons VARCHAR[],
    message VARCHAR, model VARCHAR, frame INTEGER, words INTEGER, confidence FLOAT, tries INTEGER, dup_of VARCHAR,
    searched VARCHAR, judge VARCHAR, judged VARCHAR, score FLOAT,
    verdict VARCHAR, edited VARCHAR, other_caption VARCHAR, other_status VARCHAR
);
"""
# The frame that shows most of an object stands for it where one frame has to.
_INSERT = f"""
INSERT INTO objects
SELECT $shard, pos, key, medium, row_number() OVER (PARTITION BY medium ORDER BY pos), split, object_id, kind, width,
    height, category, caption,
    CASE WHEN left_out THEN 'dropped' ELSE status END,
    CASE WHEN left_out THEN why ELSE reasons END,
    CASE WHEN left_out THEN said ELSE message END,
    model, coalesce(frame_index[list_position(area, list_max(area))], frame_index[1], 0),
    len(regexp_split_to_array(trim(caption), '\\s+')), logprob_min, tries, dup_of,
    lower(concat_ws(' ', caption, category, key)), judge, judged, score, NULL, NULL, NULL, NULL
FROM (
    SELECT *, dataset || '/' || split || '/' || media_id AS medium FROM rows
    LEFT JOIN (SELECT key, dup_of, len(reasons) > 0 AS left_out, reasons AS why, message AS said FROM dedup) USING (key)
    {JOINED}
)
"""

_REVIEWED = """
verdict = CASE WHEN r.said IS DISTINCT FROM objects.caption THEN 'outdated' ELSE r.verdict END,
edited = CASE WHEN r.said IS NOT DISTINCT FROM objects.caption THEN r.edited END
"""


@dataclass(frozen=True, slots=True)
class IndexedRow:
    """An object as lists show it; see ``capgen.dataset.row.Row``.

    Args:
        medium: ``dataset/split/media_id``.
        number: the object's place among those of its medium, from 1.
        frame: the frame that shows most of it.
        confidence: log-probability of the caption's least certain word; None where the engine gave none.
        tries: answers that were asked for.
        dup_of: key of an earlier caption that says the same or nearly so.
        judge, judged, score: of ``capgen judge``: method, verdict, and score (natural logarithm); None where it was not
            judged. A verdict on a caption that has changed since is ``stale``.
        verdict, edited: what people said (``outdated`` where the caption is another since), and the caption that takes
            the place of the model's.
        other_caption, other_status: of the same object in the run beside which this one is shown.
    """

    shard: int
    pos: int
    key: str
    medium: str
    number: int
    split: str
    object_id: str
    kind: str
    width: int
    height: int
    category: str | None
    caption: str | None
    status: str
    reasons: tuple[str, ...]
    message: str | None
    model: str | None
    frame: int
    words: int | None
    confidence: float | None
    tries: int | None
    dup_of: str | None
    judge: str | None
    judged: str | None
    score: float | None
    verdict: str | None
    edited: str | None
    other_caption: str | None
    other_status: str | None


_SHOWN = tuple(IndexedRow.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class ResultPage:
    """A page of the objects that a selection finds.

    Args:
        total: objects found.
        by_status: how many there are of each status, whatever the selection's own statuses.
    """

    rows: list[IndexedRow]
    total: int
    by_status: Mapping[str, int]


class RowIndex:
    """The rows of one run, and of another one beside it; usable from several threads.

    Args:
        out: the run.
        beside: a run of the same objects, such as one with another prompt.

    Raises:
        UserError: one of them is no run, or holds links.
        LedgerError: its plan is damaged.
    """

    def __init__(self, out: Path, beside: Path | None = None) -> None:
        for folder in (out, beside):
            if folder is not None:
                refuse_links(folder)
        self.out, self.beside = out, beside
        self.plan: PlanRecord = read_plan(out)
        self._folder = tempfile.TemporaryDirectory(prefix="capgen-gallery-")
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": _MEMORY,
            "threads": os.cpu_count() or 1,
            "enable_external_access": False,
        }
        self._database = duckdb.connect(str(Path(self._folder.name, "rows.duckdb")), config=settings)
        self._database.execute(_TABLES)
        self._lock = threading.Lock()
        self._judge = JudgeIndex(self._database, RunLayout(out).judge)
        self._taken: dict[int, object] = {}
        self._second_pass: object = None
        self._reviews: Mapping[str, Review] = {}
        self._facets: dict[str, list[tuple[str, int]]] | None = None
        self._other = _Other(beside) if beside is not None else None
        self._closed = threading.Event()

    def close(self) -> None:
        """Forget everything."""
        self._closed.set()
        with self._lock:
            self._database.close()
            self._folder.cleanup()

    @property
    def shards(self) -> tuple[int, int]:
        """How many shards are here, and how many there will be."""
        return len(self._taken), len(self.plan.shards)

    @property
    def note(self) -> str:
        """How much of the run is here, in a sentence."""
        table = self.plan.table
        return f"{len(self._taken):,} of {len(table.shards):,} shards, {table.objects:,} objects planned"

    def follow(self) -> threading.Thread:
        """Take up what the run commits from now on, in a thread of its own, until the index is closed."""

        def poll() -> None:
            while not self._closed.is_set():
                try:
                    self.refresh()
                except (CapgenError, OSError, duckdb.Error) as error:
                    if not self._closed.is_set():
                        _LOG.warning("the gallery cannot read on: %s", error)
                self._closed.wait(_POLL_SECONDS)

        thread = threading.Thread(target=poll, name="gallery-index", daemon=True)
        thread.start()
        return thread

    def refresh(self, seconds: float = float("inf"), progress: Callable[[int, int], None] | None = None) -> bool:
        """Take up what has changed in the run; whether nothing is left to take up.

        Args:
            seconds: go on next time after so many: rows come first then, and scores of the judge when there is time.
            progress: is told how many shards are done, and how many there are.
        """
        until = time.monotonic() + seconds
        with self._lock:
            self.plan = read_plan(self.out)
            self._reviews = read_reviews(self.out)
            self._take_second_pass()
            if seconds == float("inf"):
                self._judge.refresh()
            while self._take_shards(until, progress):
                version = self._judge.version
                if self._judge.refresh(until) and version == self._judge.version:
                    return True
                if time.monotonic() > until:
                    break
        return False

    def _take_shards(self, until: float, progress: Callable[[int, int], None] | None) -> bool:
        """Take up shards that are new, or were taken with other scores; whether none is left."""
        for entry in self.plan.shards:
            committed = content_stamp(RunLayout(self.out).manifest(entry.index))
            stamp = (committed, self._judge.version)
            if committed is None or self._taken.get(entry.index) == stamp:
                continue
            if not is_committed(self.out, entry.index, self.plan.fingerprint):
                continue
            if self._closed.is_set() or (self._taken and time.monotonic() > until):
                return False
            self._take(entry)
            self._taken[entry.index] = stamp
            if progress:
                progress(len(self._taken), len(self.plan.shards))
        return True

    def add_review(self, review: Review) -> None:
        """Show a judgement at once."""
        with self._lock:
            self._database.cursor().execute(
                "UPDATE objects SET verdict = $verdict, edited = $edited WHERE key = $key",
                {"verdict": _verdict(review), "edited": review.caption, "key": review.key},
            )

    def page(self, selection: Selection) -> ResultPage:
        """The objects of a page."""
        where, values = selection.conditions()
        order, seed = selection.order
        first = (selection.page - 1) * selection.size
        shown = f"LIMIT {selection.size} OFFSET {first}"
        sql = f"SELECT {', '.join(_SHOWN)} FROM objects WHERE {where} ORDER BY {order} {shown}"
        rows = self._ask(sql, {**values, **seed})
        where, values = selection.conditions(leave_out="status")
        counted = dict(self._ask(f"SELECT status, count(*) FROM objects WHERE {where} GROUP BY status", values))
        by_status = {status: counted.get(status, 0) for status in STATUSES}
        total = sum(count for status, count in by_status.items() if not selection.status or status in selection.status)
        return ResultPage([_row(row) for row in rows], total, by_status)

    def media(self, selection: Selection, limit: int) -> list[tuple[int, str]]:
        """(shard, medium) of media that hold an object of the selection, ``limit`` at most.

        In the order of the dataset they are spread evenly over all; in any other order they are the first ones.
        """
        where, values = selection.conditions()
        order, seed = selection.order
        spread = "n <= $limit OR place * $limit // n != (place - 1) * $limit // n OR place = 0"
        chosen = spread if selection.sort == "plan" else "place < $limit"
        sql = f"""
            WITH ordered AS (
                SELECT shard, medium, row_number() OVER (ORDER BY {order}) AS nth FROM objects WHERE {where}
            ), found AS (
                SELECT shard, medium, row_number() OVER (ORDER BY min(nth)) - 1 AS place, count(*) OVER () AS n
                FROM ordered GROUP BY shard, medium
            )
            SELECT shard, medium FROM found WHERE {chosen} ORDER BY place
        """
        return [(shard, medium) for shard, medium in self._ask(sql, {**values, **seed, "limit": limit})]

    def of_medium(self, medium: str, selection: Selection | None = None) -> list[IndexedRow]:
        """The objects of a medium in order; all, or those of a selection."""
        where, values = (selection or Selection()).conditions()
        sql = f"SELECT {', '.join(_SHOWN)} FROM objects WHERE medium = $medium AND {where} ORDER BY pos"
        return [_row(row) for row in self._ask(sql, {**values, "medium": medium})]

    def find(self, key: str) -> IndexedRow | None:
        """An object by its key."""
        rows = self._ask(f"SELECT {', '.join(_SHOWN)} FROM objects WHERE key = $key", {"key": key})
        return _row(rows[0]) if rows else None

    def facets(self) -> Mapping[str, list[tuple[str, int]]]:
        """By filter, the values that the run has and how many objects have each."""
        found = self._facets
        if found is None:
            sql = "SELECT {0}, count(*) FROM {1} WHERE {0} IS NOT NULL GROUP BY 1 ORDER BY 1"
            columns = {"split": "split", "category": "category", "model": "model", "judge": "judged"}
            found = {name: self._ask(sql.format(column, "objects"), {}) for name, column in columns.items()}
            found["reason"] = self._ask(sql.format("reason", "(SELECT unnest(reasons) AS reason FROM objects)"), {})
            self._facets = found
        return found

    def scores(self, key: str) -> list[JudgeScore]:
        """The judge's scores of an object, the last one first."""
        return self._judge.of(key)

    def _ask(self, sql: str, values: Mapping[str, Any]) -> list[Any]:
        return self._database.cursor().execute(sql, dict(values)).fetchall()

    def _take_second_pass(self) -> None:
        """Begin anew when a release was made since: what it leaves out is another."""
        layout = RunLayout(self.out)
        stamp = [content_stamp(path) for path in (layout.release_json, layout.dedup)]
        if stamp == self._second_pass:
            return
        cursor = self._database.cursor()
        batches = list(parquet_batches(layout.dedup, DEDUP, rows=50_000)) if all(stamp) else []
        cursor.register("repeated", pa.Table.from_batches(batches, DEDUP))
        cursor.execute("CREATE OR REPLACE TABLE dedup AS SELECT * FROM repeated")
        cursor.unregister("repeated")
        cursor.execute("DELETE FROM objects")
        self._taken.clear()
        self._second_pass = stamp

    def _take(self, entry: ShardEntry) -> None:
        """Put a shard's rows into the table."""
        table = read_columns(self.out, entry.index, _COLUMNS)
        cursor = self._database.cursor()
        cursor.begin()
        cursor.execute("DELETE FROM objects WHERE shard = $shard", {"shard": entry.index})
        cursor.register("rows", table.append_column("pos", pa.array(range(table.num_rows), pa.int32())))
        cursor.execute(_INSERT, {"shard": entry.index})
        cursor.unregister("rows")
        keys = set(table.column("key").to_pylist())
        self._join(cursor, "reviews", _reviewed(self._reviews, keys), _REVIEWED)
        if self._other is not None:
            self._join(cursor, "others", self._other.rows(keys), "other_caption = r.caption, other_status = r.status")
        cursor.commit()
        self._facets = None

    @staticmethod
    def _join(cursor: Any, name: str, table: pa.Table | None, assignments: str) -> None:
        if table is not None and table.num_rows:
            cursor.register(name, table)
            cursor.execute(f"UPDATE objects SET {assignments} FROM {name} r WHERE objects.key = r.key")
            cursor.unregister(name)


class _Other:
    """The captions of another run, found by key."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._plan = read_plan(out)
        self._read: pa.Table | None = None

    def rows(self, keys: set[str]) -> pa.Table:
        """Key, caption and status of those objects that the other run has too."""
        if self._read is None:
            done = finished_shards(self._out, self._plan)
            tables = [read_columns(self._out, entry.index, ("key", "caption", "status")) for entry in done]
            self._read = pa.concat_tables(tables) if tables else None
        if self._read is None:
            return None
        return self._read.filter(pc.is_in(self._read.column("key"), pa.array(sorted(keys), pa.string())))


def _reviewed(reviews: Mapping[str, Review], keys: set[str]) -> pa.Table | None:
    found = [one for key, one in reviews.items() if key in keys]
    if not found:
        return None
    names = ("key", "verdict", "edited", "said")
    rows = [dict(zip(names, (one.key, one.verdict, one.caption, one.said), strict=True)) for one in found]
    return pa.Table.from_pylist(rows, pa.schema([(name, pa.string()) for name in names]))


def _verdict(review: Review) -> str | None:
    return None if review.verdict == "none" else review.verdict


def _row(values: tuple[Any, ...]) -> IndexedRow:
    named = dict(zip(_SHOWN, values, strict=True))
    named["reasons"] = tuple(named["reasons"] or ())
    return IndexedRow(**named)
