"""DLC-Bench: a judge answers questions about each caption, and answers have points.

Source: Lian et al., ICCV 2025, arXiv:2504.16072. Here the answers are read from a judged file; no judge is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capgen.errors import UserError
from capgen.evaluation.reading.fields import shown
from capgen.evaluation.region_captions.json_files import read_json_file

_RECOGNITION, _POSITIVE, _NEGATIVE = _KINDS = ("details_recognition", "details_positives", "details_negatives")
_TOTALS = ("avg", "avg_pos", "avg_neg")


@dataclass(frozen=True, slots=True)
class DlcScores:
    """The numbers of one judged file.

    Args:
        positive: mean over regions of the mean points of questions about what is there.
        negative: of questions about what is not there.
        average: the mean of the two, which papers print.
        recognised: how many of the captions name an object like the true one.
    """

    regions: int
    recognised: int
    positive: float
    negative: float
    average: float


def score_dlc_bench(judged: Path) -> DlcScores:
    """Count the answers of a judge, as DLC-Bench stores them: an object by region of questions with ``pred_index``.

    Where the judge does not recognise the object in the caption, an answer brings no points, but may cost some.

    Raises:
        UserError: the file is missing, or an answer is none of the choices.
    """
    whole = read_json_file(judged)
    if not isinstance(whole, dict):
        raise UserError(f"{judged}: {shown(whole)} is no object", "give a file of judged captions by region")
    positive: list[float] = []
    negative: list[float] = []
    recognised = 0
    for key, region in whole.items():
        if key in _TOTALS:
            continue
        points = {kind: _points(judged, key, region, kind) for kind in _KINDS}
        known = all(answer == "correct" for answer in points[_RECOGNITION])
        recognised += known
        for kind, found in ((_POSITIVE, positive), (_NEGATIVE, negative)):
            values = [_number(judged, key, value) for value in points[kind]]
            counted = values if known else [min(value, 0.0) for value in values]
            found.append(sum(counted) / len(counted))
    if not positive:
        raise UserError(f"{judged} has no region", "give a file of judged captions by region")
    mean_positive, mean_negative = sum(positive) / len(positive), sum(negative) / len(negative)
    average = (mean_positive + mean_negative) / 2
    return DlcScores(len(positive), recognised, mean_positive, mean_negative, average)


def _points(judged: Path, key: str, region: Any, kind: str) -> Sequence[Any]:
    """What the chosen answers of one kind of questions are worth."""
    questions = region.get(kind) if isinstance(region, dict) else None
    if not isinstance(questions, list) or not questions:
        raise UserError(f"{judged}: {key} has no list {kind}", "give a file of judged captions by region")
    return [_chosen(judged, f"{key}: {kind}[{n}]", question) for n, question in enumerate(questions)]


def _chosen(judged: Path, where: str, question: Any) -> Any:
    choices = question.get("choices") if isinstance(question, dict) else None
    index = question.get("pred_index") if isinstance(question, dict) else None
    if not isinstance(choices, list) or type(index) is not int or not 0 <= index < len(choices):
        raise UserError(f"{judged}: {where}: pred_index {shown(index)} is none of the choices", "judge it again")
    choice = choices[index]
    if not isinstance(choice, list) or len(choice) != 2:
        raise UserError(f"{judged}: {where}: {shown(choice)} is no choice", "write [text, points]")
    return choice[1]


def _number(judged: Path, key: str, value: Any) -> float:
    if type(value) not in (int, float) or not -1 <= value <= 1:
        raise UserError(f"{judged}: {key}: points {shown(value)} are not in -1 to 1", "write a number")
    return float(value)
