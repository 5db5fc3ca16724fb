"""``OUT/judge.parquet``: how well captions fit their objects, as ``capgen judge`` writes it, or anybody in its form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from capgen.errors import LedgerError

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


def judge_batches(path: Path, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
    """The rows of the table, with columns of ``SCORES``; one that the table lacks is null.

    Args:
        rows: of a batch, at most.

    Raises:
        LedgerError: the table cannot be read, lacks ``key`` or ``score``, or a column is of another type.
    """
    wanted = pa.schema([SCORES.field(name) for name in columns])
    try:
        with pq.ParquetFile(path) as table:
            there = [name for name in columns if name in table.schema_arrow.names]
            lacking = [name for name in _NEEDED if name not in table.schema_arrow.names]
            if lacking:
                raise pa.ArrowInvalid(f"it has no column {lacking[0]!r}")
            for batch in table.iter_batches(rows, columns=there):
                batch.validate(full=True)  # text that is no UTF-8
                yield _as(batch, wanted)
    except (OSError, pa.ArrowException) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise LedgerError(f"{path} is no table of `capgen judge` ({first}); delete it, or judge again") from error


def _as(batch: pa.RecordBatch, wanted: pa.Schema) -> pa.RecordBatch:
    there = set(batch.schema.names)
    arrays = [
        batch.column(field.name).cast(field.type) if field.name in there else pa.nulls(batch.num_rows, field.type)
        for field in wanted
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=wanted)
