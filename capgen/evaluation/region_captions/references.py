"""Captions against references: word metrics, and models that compare meanings, over a set of regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from capgen.errors import UnknownName, UserError
from capgen.evaluation.metrics.text.captions import caption_text
from capgen.evaluation.metrics.text.java_metrics import Scorer, ScorerFailed
from capgen.evaluation.region_captions.texts import TextPair, read_pairs

REGION_METRICS = ("cider", "meteor", "rouge")


@dataclass(frozen=True, slots=True)
class ScoringModels:
    """Models by Hub name or folder; a score whose model is None is left out.

    Args:
        bert_layer: whose states BERTScore compares; None is the one that papers use, else the last.
        regions: COCO file with a mask of each region, for CLIPScore.
        images: the folder of its pictures.
        device: torch's name of it; None is a GPU where there is one.
    """

    sentence: str | None = None
    bert: str | None = None
    bert_layer: int | None = None
    clip: str | None = None
    regions: Path | None = None
    images: Path | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        if (self.clip is None) != (self.regions is None) or (self.regions is None) != (self.images is None):
            raise UserError("CLIPScore needs a model, masks and pictures", "give --clip-model, --regions, --images")

    @property
    def names(self) -> dict[str, str]:
        """The models by what they compute."""
        given = {"sentence": self.sentence, "bertscore": self.bert, "clipscore": self.clip}
        return {name: model for name, model in given.items() if model is not None}


@dataclass(frozen=True, slots=True)
class RegionScores:
    """The mean of each metric over the regions that have a reference; None where it cannot be had."""

    regions: int
    values: dict[str, float | None]
    notes: list[str]
    models: dict[str, str]


def score_regions(
    truth: Path | None,
    predictions: Path,
    metrics: Sequence[str],
    programs: Mapping[str, Scorer],
    models: ScoringModels | None = None,
) -> RegionScores:
    """Compare one caption of each region with its references.

    CIDEr is CIDEr-D in 0 to 10, its documents the references of the file; ROUGE-L and METEOR are in 0 to 1 and take the
    best reference; these three compare text that is normalised as the ``clean`` protocol does, models read it as it is.
    A region without a caption scores 0. Without references there is CLIPScore alone.

    Raises:
        UserError: a file cannot be read, a region has two captions, none has both a caption and a reference, or a
            model cannot be loaded.
    """
    for metric in metrics:
        if metric not in REGION_METRICS:
            raise UnknownName("caption metric", metric, REGION_METRICS)
    models = models or ScoringModels()
    if truth is None and (models.clip is None or models.sentence or models.bert):
        raise UserError("there are no references to compare with", "give --gt; only --clip-model does without")
    pairs, notes = read_pairs(truth, predictions)
    values: dict[str, float | None] = {}
    if truth is not None:
        values = _words(pairs, metrics, programs, notes)
    if models.names:
        values |= _meanings(pairs, models, notes)
    return RegionScores(len(pairs), values, notes, models.names)


def _words(
    pairs: Sequence[TextPair], metrics: Sequence[str], programs: Mapping[str, Scorer], notes: list[str]
) -> dict[str, float | None]:
    """The metrics that compare words, over normalised text."""
    candidates = {pair.key: caption_text(pair.candidate) for pair in pairs}
    references = {pair.key: tuple(map(caption_text, pair.references)) for pair in pairs}
    values: dict[str, float | None] = {}
    for metric in metrics:
        try:
            values[metric] = _mean(metric, references, candidates, programs)
        except ScorerFailed as error:
            values[metric] = None
            notes.append(f"{metric.upper()} is left out: {error}")
    return values


def _meanings(pairs: Sequence[TextPair], models: ScoringModels, notes: list[str]) -> dict[str, float | None]:
    """The metrics of models."""
    from capgen.evaluation.region_captions.model_scores.loading import usual_device

    device = usual_device(models.device)
    values: dict[str, float | None] = {}
    if models.sentence:
        from capgen.evaluation.region_captions.model_scores.sentence_similarity import sentence_similarity

        values["sentence_similarity"] = _average(sentence_similarity(models.sentence, pairs, device))
    if models.bert:
        from capgen.evaluation.region_captions.model_scores.bert_score import bert_scores

        matches = bert_scores(models.bert, models.bert_layer, pairs, device)
        for name in ("precision", "recall", "f1"):
            values[f"bertscore_{name}"] = _average([getattr(match, name) for match in matches])
    if models.clip and models.regions and models.images:
        from capgen.evaluation.region_captions.crops import RegionCrops
        from capgen.evaluation.region_captions.model_scores.clip_score import clip_scores

        crops = RegionCrops.open(models.regions, models.images)
        found = clip_scores(models.clip, pairs, crops.crop, device)
        values["clipscore"] = _average(found.clip)
        values["refclipscore"] = None if found.with_references is None else _average(found.with_references)
        if found.cut:
            notes.append(f"CLIPScore: {found.cut:,} texts are longer than {models.clip} reads; their ends do not count")
    return values


def _average(scores: Sequence[float]) -> float:
    return sum(scores) / len(scores)


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
