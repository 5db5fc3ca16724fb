"""The caption checks alone, on captions from anywhere."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from capgen.display import json_text
from capgen.errors import UserError
from capgen.pipeline.checks.base import CheckedCaption, NamedChecks, build_checks, judge
from capgen.pipeline.checks.lint.rows import CaptionValues, UnreadableRow, read_rows
from capgen.pipeline.settings import CheckSettings

_LOG = logging.getLogger(__name__)
_QUICK_ENCODER = msgspec.json.Encoder()
_TEXT = frozenset({str})
_TEXT_OR_NULL = frozenset({str, type(None)})
_SHOWN = 5  # rows that could not be read, each with a line of its own


@dataclass(slots=True)
class LintCounts:
    """How many captions passed, how many were dropped, by each of their reasons, and how many rows were no captions."""

    kept: int = 0
    dropped: int = 0
    unreadable: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, reasons: Collection[str]) -> None:
        """Count one caption."""
        if not reasons:
            self.kept += 1
            return
        self.dropped += 1
        self.reasons.update(set(reasons))

    def as_json(self) -> dict[str, Any]:
        """The counts as JSON-able values, the commonest reason first."""
        return {
            "captions": self.kept + self.dropped,
            "kept": self.kept,
            "dropped": self.dropped,
            "reasons": dict(self.reasons.most_common()),
        }

    def text(self) -> str:
        """The counts in one line."""
        codes = ", ".join(f"{code} {count:,}" for code, count in self.reasons.most_common())
        return (
            f"{self.kept + self.dropped:,} captions: kept {self.kept:,}, dropped {self.dropped:,} ({codes or 'none'})"
        )

    def unreadable_text(self, first: UnreadableRow) -> str:
        """How many rows could not be read, in one line that quotes the first of them."""
        total = self.kept + self.dropped + self.unreadable
        if self.unreadable == 1:
            return f"{first} (1 of {total:,} rows could not be read; the others were checked)"
        return f"{first} ({self.unreadable:,} of {total:,} rows could not be read; the others were checked)"


def lint(
    rows: Iterable[tuple[str, CaptionValues | UnreadableRow]], checks: NamedChecks
) -> Iterator[CaptionValues | UnreadableRow]:
    """Each row with the ``reasons`` for which the checks drop its caption, none where they keep it.

    A row holds ``caption``, of which null counts as empty, and may hold ``category``, ``synonyms``, ``logprob_min`` and
    ``finish_reason`` (``stop`` where it is absent or null). A row that cannot be judged comes out as what is wrong with
    it.

    Args:
        rows: where each row stands, and the row.
    """
    for where, row in rows:
        if isinstance(row, UnreadableRow):
            yield row
            continue
        said = _checked(row)
        if isinstance(said, str):
            yield UnreadableRow(where, said)
        else:
            row["reasons"] = [code for code, _ in judge(checks, said)]
            yield row


def lint_file(file: Path, *, as_json: bool = False, checks: NamedChecks | None = None) -> Iterator[str]:
    """The rows of a file or folder as JSON lines with their ``reasons``.

    Rows that cannot be read are left out and logged; after the last row they are an error.

    Args:
        file: JSON Lines, CSV (``.csv``, ``.tsv``), Parquet (``.parquet``), or a run's folder.
        as_json: only the lines; without it, what was dropped is also logged, counted by reason, at the end.
        checks: which; by default those of a pipeline file that names none, and the advisory ones.

    Raises:
        UserError: rows could not be read; or the file could not, see ``read_rows``.
    """
    if checks is None:
        checks = build_checks(CheckSettings().all_names, {})
    counts, unreadable = LintCounts(), []
    for row in lint(read_rows(file), checks):
        if isinstance(row, UnreadableRow):
            counts.unreadable += 1
            if counts.unreadable <= _SHOWN:
                unreadable.append(row)
                _LOG.warning("%s", row)
        else:
            counts.add(row["reasons"])
            yield _dumped(row)
    if counts.dropped and not as_json:
        _LOG.warning("%s", counts.text())
    if unreadable:
        raise UserError(counts.unreadable_text(unreadable[0]), "write one JSON object with `caption` a line")


def _checked(row: CaptionValues) -> CheckedCaption | str:
    """What the checks are given of a row; or what is wrong with it."""
    if "caption" not in row:
        return "no `caption`"
    caption, finish_reason, category = row["caption"], row.get("finish_reason"), row.get("category")
    if not _TEXT_OR_NULL.issuperset((type(caption), type(finish_reason), type(category))):
        key = next(key for key in ("caption", "finish_reason", "category") if type(row.get(key)) not in _TEXT_OR_NULL)
        return f"`{key}` is {_short(row[key])}: it must be text or null"
    synonyms = row.get("synonyms")
    if synonyms is None:
        synonyms = []
    if not (isinstance(synonyms, list) and _TEXT.issuperset(map(type, synonyms))):
        return f"`synonyms` is {_short(synonyms)}: it must be a list of texts or null"
    sure = row.get("logprob_min")
    return CheckedCaption(
        caption or "",
        "stop" if finish_reason is None else finish_reason,
        category,
        tuple(synonyms),
        sure if isinstance(sure, float) else None,
    )


def _short(value: Any) -> str:
    return json.dumps(value, default=str)[:60]


def _dumped(row: CaptionValues) -> str:
    try:
        data = _QUICK_ENCODER.encode(row)
        if data.isascii() and b"\x7f" not in data:
            return data.decode()
        return json_text(data.decode())
    except (UnicodeEncodeError, TypeError, OverflowError):
        return json.dumps(row)  # half a surrogate pair is JSON, but no UTF-8
