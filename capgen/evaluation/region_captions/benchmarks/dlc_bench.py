"""DLC-Bench: a judge answers multiple-choice questions about each caption, and answers have points.

Source: Lian et al., ICCV 2025, arXiv:2504.16072. ``qa.json`` has the questions of each region, ``class_names.json``
what it is; where the judge does not recognise that in the caption, an answer brings no points, but may cost some.
Regions without negative questions count in ``positive`` alone, and an answer that is no choice is worth nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from capgen.errors import UserError
from capgen.evaluation.reading.fields import shown
from capgen.evaluation.region_captions.benchmarks.base import BenchmarkFiles, missing_note, predicted_texts
from capgen.evaluation.region_captions.crops import RegionCrops
from capgen.evaluation.region_captions.json_files import read_json_file
from capgen.evaluation.region_captions.judging.forms import LETTERS, ChoiceForm
from capgen.evaluation.region_captions.judging.judge import JudgeQuestion
from capgen.evaluation.region_captions.judging.session import Answers
from capgen.evaluation.region_captions.pictures import masked_picture

_RECOGNITION, _POSITIVE, _NEGATIVE = _KINDS = ("details_recognition", "details_positives", "details_negatives")
_TOTALS = ("avg", "avg_pos", "avg_neg")
_TYPES = {"positive": _POSITIVE, "negative": _NEGATIVE}
_CORRECT, _INCORRECT = "correct", "incorrect"


@dataclass(frozen=True, slots=True)
class DlcScores:
    """The numbers of one judgement.

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


@dataclass(frozen=True, slots=True)
class RegionPoints:
    """What the answers about one region are worth."""

    recognised: bool
    positive: Sequence[float]
    negative: Sequence[float]


def total(regions: Sequence[RegionPoints]) -> DlcScores:
    """The numbers over all regions, of which there must be one with positive and one with negative questions."""
    positive = [_mean(region.positive, region) for region in regions if region.positive]
    negative = [_mean(region.negative, region) for region in regions if region.negative]
    mean_positive = sum(positive) / len(positive) if positive else 0.0
    mean_negative = sum(negative) / len(negative) if negative else 0.0
    recognised = sum(region.recognised for region in regions)
    return DlcScores(len(regions), recognised, mean_positive, mean_negative, (mean_positive + mean_negative) / 2)


def _mean(points: Sequence[float], region: RegionPoints) -> float:
    counted = points if region.recognised else [min(value, 0.0) for value in points]
    return sum(counted) / len(counted)


@dataclass(frozen=True, slots=True)
class _Question:
    kind: str
    text: str
    choices: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class DlcBench:
    """The questions of each region, and its caption; None where it has none."""

    asked: Mapping[str, Sequence[_Question]]
    captions: Mapping[str, str | None]
    crops: RegionCrops | None
    notes: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, files: BenchmarkFiles, *, recognise: bool = True) -> DlcBench:
        """Read the questions and the captions.

        Args:
            recognise: ask first whether the caption names the object, as DLC-Bench does; needs ``class_names.json``.

        Raises:
            UserError: a file is missing or of another form.
        """
        if files.truth is None:
            raise UserError("the questions are missing", "give --gt: the folder of DLC-Bench, or its qa.json")
        folder = files.truth if files.truth.is_dir() else files.truth.parent
        asked = _asked(folder / "qa.json" if files.truth.is_dir() else files.truth)
        if recognise:
            names = read_json_file(folder / "class_names.json")
            asked = {key: [_recognition(folder, names, key), *questions] for key, questions in asked.items()}
        said = predicted_texts(files.predictions)
        captions = {key: said.get(key, "").strip() or None for key in asked}
        notes = missing_note(sum(caption is None for caption in captions.values()))
        crops = RegionCrops.open(folder / "annotations.json", files.images) if files.images else None
        return cls(asked, captions, crops, notes)

    @property
    def regions(self) -> int:
        """How many regions have questions."""
        return len(self.asked)

    def questions(self) -> list[JudgeQuestion]:
        """All of regions with a caption."""
        return [
            self._question(key, number, question)
            for key, questions in self.asked.items()
            if self.captions[key] is not None
            for number, question in enumerate(questions)
        ]

    def _question(self, key: str, number: int, question: _Question) -> JudgeQuestion:
        choices = tuple(text for text, _ in question.choices)
        return JudgeQuestion(
            f"{key}/{number}",
            {"caption": self.captions[key], "question": question.text, "choices": choices},
            ChoiceForm(choices),
            partial(masked_picture, self.crops, key) if self.crops else None,
        )

    def numbers(self, answers: Answers) -> dict[str, float]:
        """As the public program counts them."""
        scores = total([self._points(key, questions, answers) for key, questions in self.asked.items()])
        numbers = {"average": scores.average, "positive": scores.positive, "negative": scores.negative}
        known = any(question.kind == _RECOGNITION for one in self.asked.values() for question in one)
        return numbers | ({"recognised": scores.recognised / scores.regions} if known else {})

    def _points(self, key: str, questions: Sequence[_Question], answers: Answers) -> RegionPoints:
        points: dict[str, list[Any]] = {kind: [] for kind in _KINDS}
        for number, question in enumerate(questions):
            marks = answers[f"{key}/{number}"] if self.captions[key] is not None else None
            unread = _INCORRECT if question.kind == _RECOGNITION else 0.0
            points[question.kind].append(unread if marks is None else question.choices[marks["answer"]][1])
        recognised = self.captions[key] is not None and all(one == _CORRECT for one in points[_RECOGNITION])
        return RegionPoints(recognised, points[_POSITIVE], points[_NEGATIVE])


def _asked(file: Path) -> dict[str, list[_Question]]:
    whole = read_json_file(file)
    if not isinstance(whole, dict) or not whole or not all(isinstance(one, list) for one in whole.values()):
        raise UserError(
            f"{file}: {shown(whole)} is no object of lists", "give questions by region, as qa.json has them"
        )
    found = {
        key: [_read_question(file, f"{key}[{n}]", raw) for n, raw in enumerate(raws)] for key, raws in whole.items()
    }
    for kind in (_POSITIVE, _NEGATIVE):
        if not any(question.kind == kind for questions in found.values() for question in questions):
            raise UserError(f"{file} has no question of the type {kind.removeprefix('details_')}", "add one")
    return found


def _read_question(file: Path, where: str, raw: Any) -> _Question:
    kind = _TYPES.get(str(raw.get("type"))) if isinstance(raw, dict) else None
    choices = raw.get("choices") if isinstance(raw, dict) else None
    if kind is None or not isinstance(raw.get("question"), str) or not isinstance(choices, list):
        raise UserError(
            f"{file}: {where} is {shown(raw)}", "a question has question, choices, and positive or negative as type"
        )
    if not 1 <= len(choices) <= len(LETTERS):
        raise UserError(f"{file}: {where} has {len(choices)} choices", f"give 1 to {len(LETTERS)}")
    pairs = []
    for choice in choices:
        if not isinstance(choice, list) or len(choice) != 2 or not isinstance(choice[0], str):
            raise UserError(f"{file}: {where}: {shown(choice)} is no choice", "write [text, points]")
        pairs.append((choice[0], _number(file, where, choice[1])))
    return _Question(kind, raw["question"], tuple(pairs))


def _recognition(folder: Path, names: Any, key: str) -> _Question:
    """The question whether the caption is about the true object."""
    name = names.get(key) if isinstance(names, dict) else None
    if not isinstance(name, str):
        raise UserError(f"{folder / 'class_names.json'} does not name the region {key}", "give DLC-Bench's own file")
    import inflect

    grammar = inflect.engine()
    plural = name != "bus" and grammar.singular_noun(name) is not False  # inflect takes bus for a plural
    what = f"are these {name}, or things" if plural else f"is this {grammar.a(name)}, or a thing"
    text = f"By the description, {what} of a similar kind? It need not be exactly that."
    return _Question(_RECOGNITION, text, (("Yes", _CORRECT), ("No", _INCORRECT)))


def score_dlc_bench(judged: Path) -> DlcScores:
    """Count the answers of a judge, as DLC-Bench stores them: an object by region of questions with ``pred_index``.

    Raises:
        UserError: the file is missing, or an answer is none of the choices.
    """
    whole = read_json_file(judged)
    if not isinstance(whole, dict):
        raise UserError(f"{judged}: {shown(whole)} is no object", "give a file of judged captions by region")
    regions = [_stored(judged, key, region) for key, region in whole.items() if key not in _TOTALS]
    if not regions:
        raise UserError(f"{judged} has no region", "give a file of judged captions by region")
    return total(regions)


def _stored(judged: Path, key: str, region: Any) -> RegionPoints:
    points = {kind: _points(judged, key, region, kind) for kind in _KINDS}
    values = {
        kind: [_number(judged, key, 0 if value is None else value) for value in points[kind]]
        for kind in (_POSITIVE, _NEGATIVE)
    }
    return RegionPoints(all(one == _CORRECT for one in points[_RECOGNITION]), values[_POSITIVE], values[_NEGATIVE])


def _points(judged: Path, key: str, region: Any, kind: str) -> Sequence[Any]:
    """What the chosen answers of one kind of questions are worth; None where the judge chose nothing."""
    questions = region.get(kind) if isinstance(region, dict) else None
    if not isinstance(questions, list) or (not questions and kind != _NEGATIVE):
        raise UserError(f"{judged}: {key} has no list {kind}", "give a file of judged captions by region")
    return [_chosen(judged, f"{key}: {kind}[{n}]", question) for n, question in enumerate(questions)]


def _chosen(judged: Path, where: str, question: Any) -> Any:
    choices = question.get("choices") if isinstance(question, dict) else None
    index = question.get("pred_index") if isinstance(question, dict) else None
    if index is None and isinstance(choices, list) and choices and "pred_index" in question:
        return None
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


def stored_prompt(judged: Path) -> Iterable[str]:
    """What the judge's prompts in a stored file say before the caption: it tells one prompt from another."""
    whole = read_json_file(judged)
    for region in whole.values() if isinstance(whole, dict) else ():
        prompts = region.get("prompt") if isinstance(region, dict) else None
        caption = region.get("pred") if isinstance(region, dict) else None
        if (
            isinstance(prompts, list)
            and prompts
            and isinstance(prompts[0], str)
            and isinstance(caption, str)
            and caption
        ):
            yield prompts[0].partition(caption)[0]
