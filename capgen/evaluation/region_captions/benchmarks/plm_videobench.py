"""PLM-VideoBench's RCap and RDCap: a judge marks from 0 to 10 how much of a correct caption a predicted one says.

Source: Cho et al., NeurIPS 2025, arXiv:2504.13180; its evaluation is part of lmms-eval. RDCap has several captions with
a segment of time each: the marks go into SODA. There a mark counts times the overlap of the two segments, so that pairs
without overlap need no judge. Segments are in frames of the 32 that a model is shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from capgen.errors import UserError
from capgen.evaluation.reading.fields import shown
from capgen.evaluation.region_captions.benchmarks.base import (
    BenchmarkFiles,
    missing_note,
    predicted_texts,
    text_of,
    whole_of,
)
from capgen.evaluation.region_captions.benchmarks.soda import overlap, soda
from capgen.evaluation.region_captions.judging.forms import MarksForm
from capgen.evaluation.region_captions.judging.judge import JudgeQuestion
from capgen.evaluation.region_captions.judging.session import Answers
from capgen.text import tidy

FRAMES = 32
_MOST = 10
_FORM = MarksForm(("score",), 0, _MOST)
_SEGMENT = re.compile(r"\[(\d{1,9}),\s*(\d{1,9})\]([^[]*)")

Segment = tuple[int, int]


@dataclass(frozen=True, slots=True)
class TimedCaption:
    """A caption of a segment of a video, first and last frame."""

    segment: Segment
    caption: str


@dataclass(frozen=True, slots=True)
class RCap:
    """By ``uid`` what is right and what was predicted; None where nothing was."""

    pairs: Mapping[str, tuple[str, str | None]]
    notes: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, files: BenchmarkFiles) -> RCap:
        """Read the benchmark's file (JSON Lines or Parquet) and captions by ``uid``.

        Raises:
            UserError: a file is missing or of another form.
        """
        said = predicted_texts(files.predictions)
        pairs = {key: (text_of(row, "caption", where), said.get(key)) for key, where, row in _rows(files)}
        _check_found(files, said, pairs)
        return cls(pairs, missing_note(sum(not predicted for _, predicted in pairs.values())))

    @property
    def regions(self) -> int:
        """How many captions there are."""
        return len(self.pairs)

    def questions(self) -> list[JudgeQuestion]:
        """One for each predicted caption."""
        return [
            JudgeQuestion(key, {"caption": predicted, "reference": right}, _FORM)
            for key, (right, predicted) in self.pairs.items()
            if predicted
        ]

    def numbers(self, answers: Answers) -> dict[str, float]:
        """The mean mark, 0 to 1; a reply that cannot be read is a 0."""
        return {"score": sum(_share(marks) for marks in answers.values()) / len(self.pairs)}


@dataclass(frozen=True, slots=True)
class RDCap:
    """By ``uid`` the true and the predicted captions of segments."""

    pairs: Mapping[str, tuple[Sequence[TimedCaption], Sequence[TimedCaption]]]
    notes: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, files: BenchmarkFiles) -> RDCap:
        """Read the benchmark's file and, by ``uid``, texts of the form ``[first, last]: caption``.

        Raises:
            UserError: a file is missing or of another form.
        """
        said = predicted_texts(files.predictions)
        pairs = {
            key: (_truth(row, where), read_segments(said[key]) if key in said else ())
            for key, where, row in _rows(files)
        }
        _check_found(files, said, pairs)
        notes = missing_note(sum(key not in said for key in pairs))
        none = sum(key in said and not predicted for key, (_, predicted) in pairs.items())
        return cls(pairs, notes + ([f"{none:,} predictions hold no segment and get 0"] if none else []))

    @property
    def regions(self) -> int:
        """How many objects there are."""
        return len(self.pairs)

    def questions(self) -> list[JudgeQuestion]:
        """One for each pair of a true and a predicted caption whose segments overlap."""
        return [
            JudgeQuestion(_pair_key(key, i, j), {"caption": said.caption, "reference": right.caption}, _FORM)
            for key, (truth, predicted) in self.pairs.items()
            for i, right in enumerate(truth)
            for j, said in enumerate(predicted)
            if overlap(right.segment, said.segment) > 0
        ]

    def numbers(self, answers: Answers) -> dict[str, float]:
        """The mean SODA over objects, 0 to 1."""
        return {"soda": sum(self._soda(key, answers) for key in self.pairs) / len(self.pairs)}

    def _soda(self, key: str, answers: Answers) -> float:
        truth, predicted = self.pairs[key]
        if not predicted:
            return 0.0
        scores = [
            [
                overlap(right.segment, said.segment) * _share(answers.get(_pair_key(key, i, j)))
                for j, said in enumerate(predicted)
            ]
            for i, right in enumerate(truth)
        ]
        return soda(scores)


def read_segments(text: str) -> list[TimedCaption]:
    """The segments in a model's answer, in its order; what is of another form is left out."""
    found = []
    for first, last, caption in _SEGMENT.findall(text):
        said = tidy(caption.replace(":", " ").replace("\nFrame ", " ")).removesuffix(",")
        found.append(TimedCaption((int(first), int(last)), said))
    return found


def _truth(row: Mapping[str, Any], where: str) -> list[TimedCaption]:
    """The true segments in frames of the ``FRAMES`` that a model is shown."""
    dense, total = row.get("dense_captions"), whole_of(row, "total_frames", where)
    if not isinstance(dense, list) or not dense or not all(isinstance(one, dict) for one in dense) or total < 1:
        raise UserError(f"{where}: dense_captions is {shown(dense)}", "give the benchmark's file as released")
    scale = total / FRAMES
    return [
        TimedCaption(
            (int(whole_of(one, "start_frame", where) / scale), int(whole_of(one, "end_frame", where) / scale)),
            text_of(one, "caption", where),
        )
        for one in dense
    ]


def _rows(files: BenchmarkFiles) -> list[tuple[str, str, dict[str, Any]]]:
    """The benchmark's rows with their key and where they stand."""
    if files.truth is None:
        raise UserError("the benchmark's file is missing", "give --gt: its JSON Lines or Parquet file")
    rows = files.truth_rows()
    if not rows:
        raise UserError(f"{files.truth} has no row", "give the benchmark's file as released")
    return [(str(row.get("uid", place)), f"{files.truth}: entry {place}", row) for place, row in enumerate(rows)]


def _check_found(files: BenchmarkFiles, said: Mapping[str, str], pairs: Mapping[str, object]) -> None:
    if not said.keys() & pairs.keys():
        raise UserError(f"{files.predictions} has no caption of {files.truth}", "use its uids as keys")


def _pair_key(key: str, truth: int, predicted: int) -> str:
    return f"{key}/{truth}/{predicted}"


def _share(marks: Mapping[str, int] | None) -> float:
    return marks["score"] / _MOST if marks else 0.0
