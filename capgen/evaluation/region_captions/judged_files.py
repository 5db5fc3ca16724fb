"""Files that were judged before, by capgen or by the benchmarks' own programs: counted without any judge."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from capgen.errors import UserError, first_line
from capgen.evaluation.region_captions.benchmarks.dlc_bench import score_dlc_bench, stored_prompt
from capgen.evaluation.region_captions.benchmarks.gar_bench import score_gar_bench
from capgen.evaluation.region_captions.benchmarks.videorefer import score_videorefer
from capgen.evaluation.region_captions.json_files import read_json_file, read_rows
from capgen.evaluation.region_captions.judging.scores import KIND, JudgedScores, scores_from_json


def score_judged(file: Path) -> JudgedScores:
    """The numbers of a judged file: a report of capgen's, or what DLC-Bench, GAR-Bench or VideoRefer-Bench-D store.

    Raises:
        UserError: it cannot be read, or is none of these.
    """
    whole = read_json_file(file) if file.suffix != ".jsonl" else read_rows(file)
    if isinstance(whole, dict) and whole.get("kind") == KIND:
        return _report(file, whole)
    first: Any = whole[0] if isinstance(whole, list) and whole else {}
    if isinstance(first, dict) and "eval_result" in first:
        rows, numbers = score_gar_bench(file)
        kind = "gar-detailed" if "subject_name" in first else "gar-simple"
        return JudgedScores(kind, file.name, rows, [numbers])
    if isinstance(whole, list):
        rows, numbers = score_videorefer(file)
        return JudgedScores("videorefer-d", file.name, rows, [numbers])
    scores = score_dlc_bench(file)
    numbers = {"average": scores.average, "positive": scores.positive, "negative": scores.negative}
    numbers["recognised"] = scores.recognised / scores.regions
    prompt = next(iter(stored_prompt(file)), None)
    known = None
    if prompt is not None:
        known = {"name": "as stored in the file", "sha256": hashlib.sha256(prompt.encode()).hexdigest()}
    return JudgedScores("dlc-bench", file.name, scores.regions, [numbers], prompt=known)


def _report(file: Path, whole: Mapping[str, Any]) -> JudgedScores:
    try:
        return scores_from_json(whole)
    except ValueError as error:
        raise UserError(f"{file} is a damaged report ({first_line(error)})", "judge the captions again") from error
