"""GAR-Bench's captions: a judge says whether a statement about marked regions is right.

Source: Wang et al., ICLR 2026, arXiv:2510.18876. Rows of the simple captions have ``answer``, those of the detailed
ones ``subject_name``, ``object_name`` and ``predicate_name``; both have ``image`` and ``mask_rles``. The accuracy is
the share of rows that pass; a reply that cannot be read does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from capgen.errors import UserError
from capgen.evaluation.reading.fields import FieldError, shown
from capgen.evaluation.region_captions.benchmarks.base import BenchmarkFiles, missing_note, predicted_texts, text_of
from capgen.evaluation.region_captions.crops import decode_mask
from capgen.evaluation.region_captions.json_files import read_rows
from capgen.evaluation.region_captions.judging.forms import ChoiceForm
from capgen.evaluation.region_captions.judging.judge import JudgeQuestion
from capgen.evaluation.region_captions.judging.session import Answers
from capgen.evaluation.region_captions.pictures import regions_of_picture
from capgen.images import Pixels, path_under, read_picture

_FORM = ChoiceForm(("True", "False"))
_SIMPLE = {"reference": "answer"}
_DETAILED = {"subject": "subject_name", "object": "object_name", "relation": "predicate_name"}


@dataclass(frozen=True, slots=True)
class GarBench:
    """The rows with what was said of each; None where nothing was.

    Args:
        fields: names in the prompt, and the row's own names.
    """

    file: Path
    rows: Sequence[Mapping[str, Any]]
    said: Sequence[str | None]
    fields: Mapping[str, str]
    images: Path | None
    notes: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, files: BenchmarkFiles, *, detailed: bool) -> GarBench:
        """Read the benchmark's file and captions by ``image``, or the rows with ``model_output`` of its own program.

        Raises:
            UserError: a file is missing or of another form.
        """
        rows = files.truth_rows()
        texts = predicted_texts(files.predictions) if files.truth else {}
        said = [texts.get(str(row.get("image"))) if files.truth else row.get("model_output") for row in rows]
        if not any(isinstance(one, str) for one in said):
            raise UserError(f"{files.predictions} has no caption of the benchmark", "use its image names as keys")
        known = [one if isinstance(one, str) and one.strip() else None for one in said]
        fields = _DETAILED if detailed else _SIMPLE
        return cls(files.truth or files.predictions, rows, known, fields, files.images, missing_note(known.count(None)))

    @property
    def regions(self) -> int:
        """How many rows there are."""
        return len(self.rows)

    def questions(self) -> list[JudgeQuestion]:
        """One for each row with a caption."""
        return [
            JudgeQuestion(
                str(place),
                {
                    "caption": said,
                    **{name: text_of(row, own, f"{self.file}: entry {place}") for name, own in self.fields.items()},
                },
                _FORM,
                partial(self._pictures, place, row) if self.images else None,
            )
            for place, (row, said) in enumerate(zip(self.rows, self.said, strict=True))
            if said is not None
        ]

    def numbers(self, answers: Answers) -> dict[str, float]:
        """The share of rows that pass."""
        passed = sum((marks or {}).get("answer") == 0 for marks in answers.values())
        return {"accuracy": passed / len(self.rows)}

    def _pictures(self, place: int, row: Mapping[str, Any]) -> tuple[str | Pixels, ...]:
        name = text_of(row, "image", f"{self.file}: entry {place}")
        pixels = read_picture(path_under(self.images or Path(), name), name=name)
        masks = row.get("mask_rles")
        if not isinstance(masks, list):
            raise UserError(f"{self.file}: entry {place}: mask_rles is {shown(masks)}", "give the benchmark's own file")
        try:
            height, width = pixels.shape[:2]
            return regions_of_picture(pixels, [decode_mask(mask, (height, width)) for mask in masks])
        except FieldError as error:
            raise UserError(f"{self.file}: entry {place} {error.what}", error.remedy) from error
        except ValueError as error:
            raise UserError(f"{self.file}: entry {place}: {error}", "give the benchmark's own file") from error


def score_gar_bench(judged: Path) -> tuple[int, dict[str, float]]:
    """The verdicts of a stored file, ``eval_result`` of each row: rows, and numbers.

    Raises:
        UserError: the file cannot be read, or a row has none.
    """
    rows = read_rows(judged)
    for place, row in enumerate(rows):
        text_of(row, "eval_result", f"{judged}: entry {place}")
    if not rows:
        raise UserError(f"{judged} has no row", "give a file of judged captions")
    return len(rows), {"accuracy": sum(row["eval_result"] == "True" for row in rows) / len(rows)}
