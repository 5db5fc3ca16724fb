"""VideoRefer-Bench-D: a judge marks four aspects of the description of an object in a video from 0 to 5.

Source: Yuan et al., CVPR 2025, arXiv:2501.00599. Rows have ``caption``, what is right, and in the files of its own
programs ``pred``. A reply that cannot be read counts in no mean there, and so here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from capgen.errors import UserError
from capgen.evaluation.region_captions.benchmarks.base import BenchmarkFiles, missing_note, predicted_texts, text_of
from capgen.evaluation.region_captions.json_files import read_rows
from capgen.evaluation.region_captions.judging.forms import MarksForm
from capgen.evaluation.region_captions.judging.judge import JudgeQuestion
from capgen.evaluation.region_captions.judging.session import Answers

ASPECTS = {
    "subject": "Subject Correspondence",
    "appearance": "Appearance Description",
    "temporal": "Temporal Description",
    "hallucination": "Hallucination Detection",
}
_FORM = MarksForm(tuple(ASPECTS), 0, 5)
_SCORED = re.compile(r"\d+\.\s+(.*?):\s+([\d.]+)")


@dataclass(frozen=True, slots=True)
class VideoReferBench:
    """By key what is right and what was predicted; None where nothing was."""

    pairs: Mapping[str, tuple[str, str | None]]
    notes: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, files: BenchmarkFiles) -> VideoReferBench:
        """Read the benchmark's file and captions by ``id``, or the rows with ``pred`` that its own program writes.

        Raises:
            UserError: a file is missing or of another form.
        """
        rows = files.truth_rows()
        said = predicted_texts(files.predictions) if files.truth else {}
        pairs = {}
        for place, row in enumerate(rows):
            where = f"{files.truth or files.predictions}: entry {place}"
            key = str(row.get("id", row.get("video"))) if files.truth else str(place)
            predicted = row.get("pred") if not files.truth else said.get(key)
            pairs[key] = text_of(row, "caption", where), (predicted or None) if isinstance(predicted, str) else None
        if not any(predicted for _, predicted in pairs.values()):
            raise UserError(f"{files.predictions} has no caption of the benchmark", "use its ids as keys")
        return cls(pairs, missing_note(sum(predicted is None for _, predicted in pairs.values())))

    @property
    def regions(self) -> int:
        """How many objects there are."""
        return len(self.pairs)

    def questions(self) -> list[JudgeQuestion]:
        """One for each described object."""
        return [
            JudgeQuestion(key, {"caption": predicted, "reference": right}, _FORM)
            for key, (right, predicted) in self.pairs.items()
            if predicted is not None
        ]

    def numbers(self, answers: Answers) -> dict[str, float]:
        """The mean mark of each aspect, and the mean of the four."""
        rows = [answers[key] if predicted else dict.fromkeys(ASPECTS, 0) for key, (_, predicted) in self.pairs.items()]
        return mean_marks([row for row in rows if row is not None])


def mean_marks(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Each aspect's mean over the rows that have it, and the mean of the four."""
    columns = {aspect: [row[aspect] for row in rows if aspect in row] for aspect in ASPECTS}
    means = {aspect: sum(values) / len(values) if values else 0.0 for aspect, values in columns.items()}
    return {"average": sum(means.values()) / len(means), **means}


def score_videorefer(judged: Path) -> tuple[int, dict[str, float]]:
    """The marks of a stored file, in fields of each row or in the judge's reply under ``gpt``: rows, and numbers.

    Raises:
        UserError: the file cannot be read, or no row has marks.
    """
    rows = read_rows(judged)
    marked = [_marks(row) for row in rows]
    if not any(marked):
        raise UserError(f"{judged} has no marks", "give rows with the judge's reply under gpt")
    return len(rows), mean_marks(marked)


def _marks(row: Mapping[str, Any]) -> dict[str, float]:
    found = dict(_SCORED.findall(row["gpt"])) if isinstance(row.get("gpt"), str) else {}
    given = {**found, **{title: row[title] for title in ASPECTS.values() if title in row}}
    marks = {}
    for aspect, title in ASPECTS.items():
        try:
            marks[aspect] = float(given[title])
        except (KeyError, TypeError, ValueError):
            continue
    return marks
