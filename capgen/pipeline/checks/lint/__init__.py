"""The caption checks alone, on JSON lines from anywhere."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from capgen.errors import MissingFile, UserError
from capgen.pipeline.checks.base import CheckedCaption, NamedChecks, build_checks, judge
from capgen.pipeline.settings import CheckSettings

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class LintCounts:
    """How many captions passed, and how many were dropped, by each of their reasons."""

    kept: int = 0
    dropped: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, reasons: Iterable[str]) -> None:
        """Count one caption."""
        codes = set(reasons)
        self.kept += not codes
        self.dropped += bool(codes)
        self.reasons.update(codes)

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


def lint(lines: Iterable[str], checks: NamedChecks, name: str = "<lines>") -> Iterator[dict[str, Any]]:
    """Each line's object with the ``reasons`` for which the checks drop its caption, none where they keep it.

    A line holds ``caption``, of which null counts as empty, and may hold ``category``, ``synonyms`` and
    ``finish_reason`` (``stop`` where it is absent or null). Lines of white space are skipped.

    Args:
        name: what errors call the lines, a file's name.

    Raises:
        UserError: a line is no JSON object, has no caption, or has a value of another type; the line is named.
    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            row = _parsed(line, f"{name}:{number}")
            yield row | {"reasons": [code for code, _ in judge(checks, _said(row, f"{name}:{number}"))]}


def lint_file(file: Path, *, as_json: bool = False, checks: NamedChecks | None = None) -> Iterator[str]:
    """The lines of a JSONL file as JSON with their ``reasons``; the default checks unless others are given.

    Args:
        as_json: only the lines; without it, what was dropped is also logged, counted by reason, at the end.

    Raises:
        UserError: see ``lint``; or the file is missing, not readable, or not UTF-8.
    """
    if checks is None:
        checks = build_checks(CheckSettings().names, {})
    tally = LintCounts()
    for row in lint(_lines(file), checks, str(file)):
        tally.add(row["reasons"])
        yield _dumped(row)
    if tally.dropped and not as_json:
        _LOG.warning("%s", tally.text())


def _lines(file: Path) -> Iterator[str]:
    number = 0
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
    except FileNotFoundError:
        raise MissingFile(file, "give a file with one JSON object a line") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{file}:{number}: not UTF-8 at byte {error.start} of the line", "save it as UTF-8") from None
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}", "give a file with one JSON object a line") from None


def _parsed(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        detail = str(error).splitlines()[0]
        raise UserError(f"{where}: not JSON ({detail})", "write one JSON object with `caption` a line") from None
    if not isinstance(row, dict):
        raise UserError(f"{where}: not a JSON object", "write one JSON object with `caption` a line")
    if "caption" not in row:
        raise UserError(f"{where}: no `caption`", "write one JSON object with `caption` a line")
    return row


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON value")


def _said(row: dict[str, Any], where: str) -> CheckedCaption:
    values = {}
    for key in ("caption", "finish_reason", "category"):
        value = values[key] = row.get(key)
        if not (value is None or isinstance(value, str)):
            raise UserError(f"{where}: `{key}` is {json.dumps(value)[:60]}", "it must be text or null")
    synonyms = row.get("synonyms")
    if synonyms is None:
        synonyms = []
    if not (isinstance(synonyms, list) and all(isinstance(name, str) for name in synonyms)):
        raise UserError(f"{where}: `synonyms` is {json.dumps(synonyms)[:60]}", "it must be a list of texts or null")
    finish_reason = values["finish_reason"]
    return CheckedCaption(
        caption=values["caption"] or "",
        finish_reason="stop" if finish_reason is None else finish_reason,
        category=values["category"],
        synonyms=tuple(synonyms),
    )


def _dumped(row: dict[str, Any]) -> str:
    text = json.dumps(row, ensure_ascii=False)
    # Half a surrogate pair is JSON, but no UTF-8.
    return text if text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text) else json.dumps(row)
