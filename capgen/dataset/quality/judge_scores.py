"""``OUT/judge.parquet``: how well captions fit their objects, as ``capgen judge`` writes it, or anybody in its form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import xxhash

from capgen.dataset.layout import RunLayout
from capgen.dataset.parquet.opened import opened_parquet
from capgen.errors import LedgerError, first_line

SCORES = pa.schema(
    [
        ("key", pa.string()),
        ("caption", pa.string()),
        ("method", pa.string()),
        ("score", pa.float32()),
        ("verdict", pa.string()),
        ("least", pa.float32()),
        ("contrast", pa.float32()),
        ("answers", pa.map_(pa.string(), pa.float32())),
        ("message", pa.string()),
    ]
)
"""A row is one score of one caption; see ``capgen.pipeline.judging.scores.JudgedCaption``."""
_NEEDED = ("key", "score")
_RULES_KEY = b"capgen_judge"
_ROWS = 10_000
_METHODS = 12
"""So many are told apart; the table may be anybody's."""


class JudgedBy(msgspec.Struct, frozen=True, kw_only=True):
    """How a table was made, in its metadata.

    Args:
        model: what judged; None where nothing was asked.
        threshold: the score from which a caption counts as right.
        category_told: whether the model was told each object's category; None where nothing was asked, or not known.
    """

    model: str | None = None
    threshold: float | None = None
    category_told: bool | None = None


@dataclass(frozen=True, slots=True)
class JudgeCounts:
    """What one method says of a run's captions as they are now.

    Args:
        captions: of the run that can be judged; ``judged`` of them have a score or the verdict ``unknown``.
        verdicts: of those, ``right``, ``wrong`` and ``unknown``.
        example: key and caption of the first that is found wrong.
        curve: thresholds with the share of the judged captions whose score reaches them, descending.
        category_told: see ``JudgedBy``.
    """

    method: str
    model: str | None
    threshold: float | None
    captions: int
    judged: int
    verdicts: dict[str, int]
    example: tuple[str, str] | None
    curve: tuple[tuple[float, float], ...]
    category_told: bool | None = None


def scores_schema(rules: JudgedBy) -> pa.Schema:
    """``SCORES`` with how the table is made."""
    return SCORES.with_metadata({_RULES_KEY: msgspec.json.encode(rules)})


def judged_by(path: Path) -> JudgedBy:
    """How a table was made; nothing is known of one that somebody else has written.

    Raises:
        LedgerError: the table cannot be read.
    """
    try:
        with opened_parquet(path) as table:
            told = (table.schema_arrow.metadata or {}).get(_RULES_KEY, b"{}")
        return msgspec.json.decode(told, type=JudgedBy)
    except (OSError, pa.ArrowException, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(path, error) from error


def judge_counts(out: Path, captions: Iterable[tuple[str, str]]) -> tuple[JudgeCounts, ...]:
    """The counts of each method in ``OUT/judge.parquet``, by name; none where there is no table.

    Args:
        captions: keys and captions of the run as they are now; scores of others are not counted.

    Raises:
        LedgerError: the table cannot be read.
    """
    path = RunLayout(out).judge
    if not path.is_file():
        return ()
    rules = judged_by(path)
    current = np.sort(np.fromiter((caption_digest(*one) for one in captions), np.uint64))
    methods: dict[str, _Read] = {}
    for batch in judge_batches(path, ("key", "caption", "method", "score", "verdict"), _ROWS):
        rows = batch.to_pylist()
        found = np.array([caption_digest(row["key"], row["caption"]) for row in rows], np.uint64)
        for row, fresh in zip(rows, np.isin(found, current).tolist(), strict=True):
            name = str(row["method"] or "judge")
            if fresh and (name in methods or len(methods) < _METHODS):
                methods.setdefault(name, _Read()).add(row)
    return tuple(one.counts(name, rules, len(current)) for name, one in sorted(methods.items()))


def caption_digest(key: str, caption: str | None) -> int:
    """8 bytes by which a score is known to be of a caption as it is now."""
    return xxhash.xxh3_64_intdigest(f"{key}\0{caption}".encode())


class _Read:
    """The current rows of one method."""

    def __init__(self) -> None:
        self._verdicts: Counter[str] = Counter()
        self._scores: list[float] = []
        self._example: tuple[str, str] | None = None

    def add(self, row: dict[str, Any]) -> None:
        verdict = row["verdict"] if row["verdict"] in ("right", "wrong") else "unknown"
        self._verdicts[verdict] += 1
        if verdict == "wrong" and self._example is None:
            self._example = row["key"], row["caption"] or ""
        if row["score"] is not None and np.isfinite(row["score"]):
            self._scores.append(row["score"])

    def counts(self, name: str, rules: JudgedBy, captions: int) -> JudgeCounts:
        scores, judged = np.array(self._scores), self._verdicts.total()
        curve = tuple((edge, float((scores >= edge).sum()) / judged) for edge in CURVE)
        verdicts = {verdict: self._verdicts[verdict] for verdict in ("right", "wrong", "unknown")}
        return JudgeCounts(
            name,
            rules.model,
            rules.threshold,
            captions,
            judged,
            verdicts,
            self._example,
            curve,
            rules.category_told,
        )


CURVE = (-0.1, -0.5, -1.0, -2.0, -4.0, -8.0)
"""Thresholds at which the card tells what is left."""


def judge_batches(path: Path, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
    """The rows of the table, with columns of ``SCORES``; one that the table lacks is null.

    Args:
        rows: of a batch, at most.

    Raises:
        LedgerError: the table cannot be read, lacks ``key`` or ``score``, or a column is of another type.
    """
    wanted = pa.schema([SCORES.field(name) for name in columns])
    try:
        with opened_parquet(path, columns) as table:
            there = [name for name in columns if name in table.schema_arrow.names]
            lacking = [name for name in _NEEDED if name not in table.schema_arrow.names]
            if lacking:
                raise pa.ArrowInvalid(f"it has no column {lacking[0]!r}")
            for batch in table.iter_batches(rows, columns=there):
                batch.validate(full=True)  # text that is no UTF-8
                yield _as(batch, wanted)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> LedgerError:
    return LedgerError(f"{path} is no table of `capgen judge` ({first_line(error)}); delete it, or judge again")


def _as(batch: pa.RecordBatch, wanted: pa.Schema) -> pa.RecordBatch:
    there = set(batch.schema.names)
    arrays = [
        batch.column(field.name).cast(field.type) if field.name in there else pa.nulls(batch.num_rows, field.type)
        for field in wanted
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=wanted)
