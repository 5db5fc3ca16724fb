"""Numbers that a judge's answers give, with who judged, by which prompt and how far repeated judgements differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean, stdev
from typing import Any

from capgen.evaluation.region_captions.judging.judge import JudgeIdentity
from capgen.evaluation.region_captions.judging.prompts import JudgePrompt


@dataclass(frozen=True, slots=True)
class JudgedScores:
    """The numbers of one set of captions under one judge.

    Args:
        captions: the file that was judged.
        repetitions: the numbers of each judgement, by name; one for a file that somebody else's program judged.
        judge: None where it is not known.
        prompt: its name and the sha256 of its text; None where it is not known.
        pictures, structured: whether the judge saw pictures, and was held to a schema; None where it is not known.
    """

    benchmark: str
    captions: str
    regions: int
    repetitions: list[dict[str, float]]
    judge: JudgeIdentity | None = None
    prompt: dict[str, str] | None = None
    pictures: bool | None = None
    structured: bool | None = None
    requests: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def means(self) -> dict[str, float]:
        """The mean of each number over the judgements."""
        return {name: fmean(one[name] for one in self.repetitions) for name in self.repetitions[0]}

    @property
    def spread(self) -> dict[str, tuple[float, float, float]]:
        """Standard deviation, least and greatest of each number; empty for a single judgement."""
        if len(self.repetitions) < 2:
            return {}
        columns = {name: [one[name] for one in self.repetitions] for name in self.repetitions[0]}
        return {name: (stdev(values), min(values), max(values)) for name, values in columns.items()}

    def as_json(self) -> dict[str, Any]:
        """Everything, as ``scores_from_json`` reads it again."""
        spread = {name: dict(zip(("std", "min", "max"), values, strict=True)) for name, values in self.spread.items()}
        return {"kind": KIND, **asdict(self), "numbers": self.means, "spread": spread}

    def lines(self) -> list[str]:
        """The numbers and what they belong to, a line each."""
        spread = self.spread
        lines = [f"{self.benchmark}, {self.regions:,} regions of {self.captions}"]
        for name, mean in self.means.items():
            line = f"{name} {mean:.3f}"
            if name in spread:
                deviation, low, high = spread[name]
                line += f" +- {deviation:.3f} ({low:.3f} to {high:.3f} in {len(self.repetitions)} judgements)"
            lines.append(line)
        return [*lines, f"- judge: {self._judge()}", f"- prompt: {self._prompt()}", *(f"- {one}" for one in self.notes)]

    def _judge(self) -> str:
        if self.judge is None:
            return "the file does not say"
        settings = ", ".join(
            f"{name} {value}" for name, value in self.judge.settings.items() if value not in (None, {})
        )
        return f"{self.judge.model} by {self.judge.engine}" + (f" ({settings})" if settings else "")

    def _prompt(self) -> str:
        if self.prompt is None:
            return "the file does not say"
        seen = {True: ", with pictures", False: ", without pictures", None: ""}[self.pictures]
        held = {True: ", answers held to a schema", False: ", answers in free text", None: ""}[self.structured]
        return f"{self.prompt['name']} (sha256 {self.prompt['sha256'][:12]}){seen}{held}"


KIND = "capgen judged captions"


def scores_from_json(whole: Mapping[str, Any]) -> JudgedScores:
    """A report of ``as_json``.

    Raises:
        ValueError: it is none.
    """
    from pydantic import TypeAdapter

    known = {name: whole[name] for name in JudgedScores.__dataclass_fields__ if name in whole}
    scores = TypeAdapter(JudgedScores).validate_python(known)
    names = {frozenset(one) for one in scores.repetitions}
    if len(names) != 1 or not all(names):
        raise ValueError("its judgements do not have the same numbers")
    if scores.prompt is not None and not {"name", "sha256"} <= scores.prompt.keys():
        raise ValueError("its prompt has no name and sha256")
    return scores


def prompt_facts(prompt: JudgePrompt) -> dict[str, str]:
    """What a report says of a prompt."""
    return {"name": prompt.name, "sha256": prompt.sha256}


def comparison_warnings(scores: Sequence[JudgedScores]) -> list[str]:
    """Why the numbers must not be compared, a sentence each; empty where nothing speaks against it."""
    differing: dict[str, set[Any]] = {
        "of different benchmarks": {one.benchmark for one in scores},
        "of two judges": {(one.judge.model, str(one.judge.settings.get("revision"))) for one in scores if one.judge},
        "by two prompts": {one.prompt["sha256"] for one in scores if one.prompt},
        "with and without pictures": {one.pictures for one in scores if one.pictures is not None},
        "with and without a schema for answers": {one.structured for one in scores if one.structured is not None},
        "at two temperatures": {str(one.judge.settings.get("temperature")) for one in scores if one.judge},
    }
    warnings = [f"these numbers are {what}: do not compare them" for what, kinds in differing.items() if len(kinds) > 1]
    unknown = [one.captions for one in scores if one.judge is None]
    if len(scores) > 1 and unknown:
        warnings.append(f"{', '.join(unknown)} does not say who judged: compare only numbers of one judge and prompt")
    return warnings
