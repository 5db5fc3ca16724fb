"""Captions against references: CIDEr, ROUGE-L and METEOR over a set of regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from capgen.errors import UnknownName, UserError
from capgen.evaluation.metrics.text.captions import caption_text
from capgen.evaluation.metrics.text.java_metrics import Scorer, ScorerFailed
from capgen.evaluation.region_captions.json_files import read_captions

REGION_METRICS = ("cider", "meteor", "rouge")


@dataclass(frozen=True, slots=True)
class RegionScores:
    """The mean of each metric over the regions that have a reference; None where it cannot be had."""

    regions: int
    values: dict[str, float | None]
    notes: list[str]


def score_regions(
    truth: Path, predictions: Path, metrics: Sequence[str], programs: Mapping[str, Scorer]
) -> RegionScores:
    """Compare one caption of each region with its references, both normalised as the ``clean`` protocol does.

    CIDEr is CIDEr-D in 0 to 10, its documents the references of the file; ROUGE-L and METEOR are in 0 to 1 and take the
    best reference. A region without a caption scores 0.

    Raises:
        UserError: a file cannot be read, a region has two captions, or none has both a caption and a reference.
    """
    for metric in metrics:
        if metric not in REGION_METRICS:
            raise UnknownName("caption metric", metric, REGION_METRICS)
    references = {key: _texts(texts) for key, texts in read_captions(truth).items()}
    references = {key: texts for key, texts in references.items() if texts}
    said = read_captions(predictions)
    twice = next((key for key in references if len(said.get(key, ())) > 1), None)
    if twice is not None:
        raise UserError(f"{predictions}: {twice} has {len(said[twice])} captions", "give every region one caption")
    if not references.keys() & said.keys():
        raise UserError(f"{predictions}: no region has a reference in {truth}", "use the same keys in both files")
    candidates = {key: caption_text(said.get(key, ("",))[0]) for key in references}
    notes = _notes(references, said)
    values: dict[str, float | None] = {}
    for metric in metrics:
        try:
            values[metric] = _mean(metric, references, candidates, programs)
        except ScorerFailed as error:
            values[metric] = None
            notes.append(f"{metric.upper()} is left out: {error}")
    return RegionScores(len(references), values, notes)


def _texts(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(found for text in texts if (found := caption_text(text)))


def _notes(references: Mapping[str, object], said: Mapping[str, object]) -> list[str]:
    missing, stray = len(references.keys() - said.keys()), len(said.keys() - references.keys())
    notes = [f"{missing:,} regions have no caption and score 0"] if missing else []
    return notes + ([f"{stray:,} captions have no reference and are left out"] if stray else [])


def _mean(
    metric: str,
    references: Mapping[str, tuple[str, ...]],
    candidates: Mapping[str, str],
    programs: Mapping[str, Scorer],
) -> float | None:
    """The mean over regions of one metric."""
    if metric == "meteor":
        if "meteor" not in programs:
            return None
        scores = programs["meteor"].score([(references[key], candidates[key]) for key in references])
        return sum(scores) / len(scores)
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    scorer = Cider() if metric == "cider" else Rouge()
    both = {key: list(texts) for key, texts in references.items()}, {key: [text] for key, text in candidates.items()}
    return float(scorer.compute_score(*both)[0])
