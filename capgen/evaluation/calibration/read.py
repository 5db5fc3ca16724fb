"""What a calibration is made of: the scores of a run's captions, and what is known of their truth."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from capgen.dataset.parquet.opened import opened_parquet
from capgen.dataset.reader import read_columns, read_plan
from capgen.encoding import read_bytes
from capgen.errors import MissingFile, UserError, first_line
from capgen.evaluation.sample_facts import read_facts, right_captions

SCORES = ("logprob_min", "logprob_mean")
_UNSURE = ("unsure",)
_RIGHT = frozenset({"right", "true", "good", "keep", "kept"})
_WRONG = frozenset({"wrong", "false", "bad", "refuse", "refused", "drop", "dropped"})
_JUDGED = "give the table that `capgen judge` wrote"
_FORM = 'a line is {"key": "lvis/val/1/2", "right": true}'


@dataclass(frozen=True, slots=True)
class ScoredCaptions:
    """The captions of a run that its checks let pass: ``captions`` and ``scores`` by key, and who wrote them."""

    captions: dict[str, str]
    scores: dict[str, float | None]
    model: str | None


def run_scores(out: Path, score: str) -> ScoredCaptions:
    """The captions that the checks of a run let pass, the check ``unsure`` aside.

    Raises:
        MissingFile: OUT holds no run, or a shard of it is not done.
        LedgerError: a shard cannot be read.
    """
    captions: dict[str, str] = {}
    scores: dict[str, float | None] = {}
    model: str | None = None
    for entry in read_plan(out).shards:
        rows = read_columns(out, entry.index, ("key", "caption", "status", "reasons", "model", score)).to_pylist()
        for row in rows:
            if row["caption"] is not None and (row["status"] == "kept" or tuple(row["reasons"] or ()) == _UNSURE):
                captions[row["key"]], scores[row["key"]] = row["caption"], row[score]
                model = row["model"]
    return ScoredCaptions(captions, scores, model)


def table_scores(file: Path) -> dict[str, float | None]:
    """The scores of a Parquet table with the columns ``key`` and ``score``, as ``capgen judge`` writes it.

    Raises:
        MissingFile: it is not there.
        UserError: it is no Parquet file, or lacks a column.
    """
    keys, scores = _judge_columns(file, "score")
    if not all(score is None or isinstance(score, int | float) for score in scores):
        raise UserError(f"{file}: its scores are no numbers", _JUDGED)
    pairs = ((key, None if score is None else float(score)) for key, score in zip(keys, scores, strict=True))
    return {key: score if score is None or math.isfinite(score) else None for key, score in pairs}


def _judge_columns(file: Path, column: str) -> tuple[list[str], list[Any]]:
    """The keys and another column of a table of ``capgen judge``, or of one that somebody else made.

    Raises:
        MissingFile: it is not there.
        UserError: it is no Parquet file, lacks a column, or has keys that are no text.
    """
    try:
        with opened_parquet(file, ("key", column)) as parquet:
            table = parquet.read(columns=["key", column])
        keys, values = table["key"].to_pylist(), table[column].to_pylist()
    except FileNotFoundError:
        raise MissingFile(file, _JUDGED) from None
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:  # ValueError: text that is no UTF-8
        raise UserError(f"{file}: {first_line(error)}", _JUDGED) from None
    if not all(isinstance(key, str) for key in keys):
        raise UserError(f"{file}: some of its keys are no text", _JUDGED)
    return keys, values


def fact_labels(captions: Iterable[tuple[str, str]], facts: Path) -> dict[str, bool]:
    """Whether each caption of a sample world says the truth in all that it says.

    Raises:
        MissingFile, UserError: ``facts`` is no ``facts.json``.
    """
    return right_captions(captions, read_facts(facts))


def read_labels(file: Path) -> dict[str, bool]:
    """Labels of a file: of a Parquet table its columns ``key`` and ``verdict``, else see ``file_labels``.

    Raises:
        MissingFile: there is no such file.
        UserError: it holds no labels.
    """
    if file.suffix.lower() != ".parquet":
        return file_labels(file)
    told = {key: _read_word(verdict) for key, verdict in zip(*_judge_columns(file, "verdict"), strict=True)}
    return {key: right for key, right in told.items() if isinstance(right, bool)}


def file_labels(file: Path) -> dict[str, bool]:
    """Labels by anybody: JSON Lines with ``key`` and ``right`` (true or false), or ``label`` (``right``, ``wrong``).

    Raises:
        MissingFile: there is no such file.
        UserError: a line is none, or two lines say different things of a key.
    """
    labels: dict[str, bool] = {}
    for number, line in enumerate(read_bytes(file, _FORM).splitlines(), 1):
        if not line.strip():
            continue
        key, right = _label(line, f"{file}:{number}")
        if labels.setdefault(key, right) != right:
            raise UserError(f"{file}:{number}: {key} is both right and wrong", "give each key one label")
    return labels


def _read_word(told: Any) -> Any:
    """A label as a truth value, where it is one of the words for it."""
    word = told.strip().lower() if isinstance(told, str) else None
    return True if word in _RIGHT else False if word in _WRONG else told


def _label(line: bytes, where: str) -> tuple[str, bool]:
    try:
        row: Any = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{where}: not JSON ({error})", _FORM) from None
    key = row.get("key") if isinstance(row, dict) else None
    right = row.get("right", row.get("label")) if isinstance(row, dict) else None
    right = _read_word(right)
    if not isinstance(key, str) or not isinstance(right, bool):
        raise UserError(f"{where}: no `key` with `right`", _FORM)
    return key, right
