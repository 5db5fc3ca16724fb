"""The whole evaluation: two files in, the scores of each protocol out, a video at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from capgen.errors import UnknownName, UserError
from capgen.evaluation import THRESHOLD
from capgen.evaluation.metrics.caption_switches import OfficialSwitches
from capgen.evaluation.metrics.chota import METRICS, Scores, Scoring, Values
from capgen.evaluation.metrics.clean.chota import CleanChota
from capgen.evaluation.metrics.dense_captioning import DenseCap
from capgen.evaluation.metrics.mask_ap import MaskAp
from capgen.evaluation.metrics.official_chota import PUBLIC_SIZES, LineBreaks, OfficialChota, PublicSizes
from capgen.evaluation.metrics.per_class.rules import RULES
from capgen.evaluation.metrics.per_class.scoring import PerClassScores, PerClassScoring
from capgen.evaluation.metrics.protocols import Protocol
from capgen.evaluation.metrics.text.java_metrics import Scorer, ScorerFailed, scorers
from capgen.evaluation.reading.burst import opened
from capgen.evaluation.reading.federated import read_video_labels
from capgen.evaluation.reading.files import PredictionFile, TruthFile, choose_iou, videos
from capgen.evaluation.reading.tracks import Id, Iou, Notes, TruthCategory, VideoTracks

_PLURAL: dict[Iou, str] = {"box": "boxes", "mask": "masks"}


@dataclass(frozen=True, slots=True)
class Options:
    """How to compare.

    Args:
        iou: boxes or masks; None takes what the first prediction has, as the public evaluators do.
        protocols: ``official``, ``clean``, or both.
        threshold: predictions must score above it (official) or reach it (clean).
        metrics: the caption metrics, of ``cider``, ``meteor``, ``spice``; none for tracks alone.
        dense: count AP_M where boxes are compared and METEOR is among the metrics.
        public_sizes: count the official numbers of each size anew, as CaptionFormer's script does.
        line_breaks: what becomes of a predicted caption after a line break, under ``official``.
        per_class: count HOTA and Track mAP of each class too, by TrackEval's rules for a benchmark of ``RULES``.
    """

    iou: Iou | None = None
    protocols: tuple[Protocol, ...] = ("clean",)
    threshold: float = THRESHOLD
    metrics: tuple[str, ...] = ("cider", "meteor")
    dense: bool = True
    public_sizes: bool = False
    line_breaks: LineBreaks = "cut"
    per_class: str | None = None

    def __post_init__(self) -> None:
        if math.isnan(self.threshold):
            raise UserError("--threshold nan is no number", "give one, such as 0.5")
        for metric in self.metrics:
            if metric not in METRICS:
                raise UnknownName("caption metric", metric, METRICS)
        if self.per_class is None:
            return
        if self.per_class not in RULES:
            raise UnknownName("--per-class", self.per_class, RULES)
        needed = RULES[self.per_class].iou
        if self.iou is not None and self.iou != needed:
            raise UserError(
                f"--per-class {self.per_class} compares {_PLURAL[needed]}, not {_PLURAL[self.iou]}",
                f"give --iou {needed}",
            )


@dataclass(slots=True)
class Evaluation:
    """The result of comparing two files.

    Args:
        scores: one a protocol, in the order asked for.
        public_sizes: the official values by CaptionFormer's sizes, where they were asked for.
        refused: why a protocol has no scores, where the other has.
    """

    truth: Path
    predictions: Path
    iou: Iou
    options: Options
    videos: int
    categories: dict[Id, TruthCategory]
    scores: list[Scores]
    public_sizes: dict[str, Values] = field(default_factory=dict)
    refused: dict[Protocol, str] = field(default_factory=dict)
    per_class: PerClassScores | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _ProtocolRun:
    """What counts the scores of one protocol."""

    protocol: Protocol
    scoring: Scoring
    mask_ap: MaskAp | None
    dense: DenseCap | None
    sizes: PublicSizes | None
    switches: OfficialSwitches | None
    refused: str = ""


def evaluate(
    truth: Path,
    predictions: Path,
    options: Options,
    *,
    programs: Mapping[str, Scorer] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Compare predictions with ground truth.

    Args:
        programs: running scorers to use and to leave running; else those that the metrics need are started and ended.
        progress: called with the videos done and their number.

    Raises:
        UserError: a file is missing or bad; the line names the file, the annotation and the remedy.
    """
    if programs is None:
        started, missing = scorers(options.metrics)
        try:
            result = evaluate(truth, predictions, options, programs=started, progress=progress)
        finally:
            for program in started.values():
                program.close()
        result.notes += missing
        return result
    with opened(truth, predictions) as (own, found):
        result = _compare(own, found, options, programs, progress)
    result.truth, result.predictions = truth, predictions
    return result


def _compare(
    own: TruthFile,
    found: PredictionFile,
    options: Options,
    programs: Mapping[str, Scorer],
    progress: Callable[[int, int], None] | None,
) -> Evaluation:
    """The scores of two files that are open."""
    iou = options.iou or (RULES[options.per_class].iou if options.per_class else choose_iou(own, found))
    notes = Notes()
    runs = [_start(protocol, iou, options, programs) for protocol in options.protocols]
    by_class = PerClassScoring(options.per_class, *read_video_labels(own.path)) if options.per_class else None
    for done, video in enumerate(videos(own, found, iou, notes), 1):
        for run in runs:
            _add(run, video, alone=len(runs) == 1)
        if by_class:
            by_class.add(video)
        if progress:
            progress(done, len(own.videos))
    scores = [_finish(run, own, programs) for run in runs if not run.refused]
    refused = {run.protocol: run.refused for run in runs if run.refused}
    sizes = next((run.sizes.finish() for run in runs if run.sizes and not run.refused), {})
    kinds = own.categories
    per_class = by_class.finish(kinds) if by_class else None
    count = len(own.videos)
    return Evaluation(own.path, found.path, iou, options, count, kinds, scores, sizes, refused, per_class, notes.all())


def _add(run: _ProtocolRun, video: VideoTracks, *, alone: bool) -> None:
    """Take in a video; beside another protocol, one that refuses the file does not stop the other."""
    if run.refused:
        return
    try:
        run.scoring.add(video)
    except UserError as error:
        if alone:
            raise
        run.refused = str(error)
        return
    for extra in (run.mask_ap, run.dense, run.sizes, run.switches):
        if extra:
            extra.add(video)


def _start(protocol: Protocol, iou: Iou, options: Options, programs: Mapping[str, Scorer]) -> _ProtocolRun:
    common: dict[str, Any] = {"iou": iou, "threshold": options.threshold, "metrics": options.metrics}
    common["scorers"] = programs

    def official() -> OfficialChota:
        return OfficialChota(**common, line_breaks=options.line_breaks)

    scoring: Scoring = official() if protocol == "official" else CleanChota(**common)
    mask_ap = MaskAp(protocol) if iou == "mask" else None
    dense = DenseCap(protocol) if options.dense and iou == "box" and "meteor" in programs else None
    sizes = None
    if options.public_sizes and protocol == "official":
        sizes = PublicSizes({name: official() for name in PUBLIC_SIZES})
    public_switches = protocol == "official" and iou == "box" and options.metrics
    switches = OfficialSwitches(options.threshold) if public_switches else None
    return _ProtocolRun(protocol, scoring, mask_ap, dense, sizes, switches)


def _finish(run: _ProtocolRun, truth: TruthFile, programs: Mapping[str, Scorer]) -> Scores:
    scores = run.scoring.finish()
    if run.mask_ap:
        scores.values |= run.mask_ap.finish(truth.categories)
        scores.ap_sample = run.mask_ap.sample(truth.categories)
        scores.notes += run.mask_ap.notes.all()
    if run.switches:
        scores.values["caption_switches"] = run.switches.finish()
    if run.dense:
        try:
            scores.values |= run.dense.finish(programs.get("meteor"))
        except ScorerFailed as error:
            scores.notes.append(f"AP_M is left out: {error}")
    return scores


def metrics_of(words: Sequence[str]) -> tuple[str, ...]:
    """Caption metrics from what a user wrote: separate, or joined by commas; ``none`` for none."""
    names = [name for word in words for name in word.lower().replace(",", " ").split()]
    return tuple(dict.fromkeys(name for name in names if name != "none"))
