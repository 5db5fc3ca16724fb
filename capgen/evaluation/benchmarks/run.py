"""One benchmark end to end: its ground truth, a model's predictions, the scores."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from capgen.dataset.files import whole_file
from capgen.errors import UnknownName, UserError
from capgen.evaluation import THRESHOLD
from capgen.evaluation.benchmarks import BENCHMARKS
from capgen.evaluation.benchmarks.base import Benchmark, Predictor
from capgen.evaluation.benchmarks.preprocessed import PreprocessedBenchmark, choose
from capgen.evaluation.evaluate import Evaluation, Options, evaluate
from capgen.evaluation.metrics.protocols import Protocol
from capgen.evaluation.metrics.text.java_metrics import ScorerFailed, scorers
from capgen.evaluation.metrics.track_captions import TrackCaptions
from capgen.evaluation.reading.files import PredictionFile, TruthFile, videos
from capgen.evaluation.reading.tracks import Iou, Notes

FILES = ("auto", "original", "preprocessed")
"""Which of a benchmark's files are read: ``--set files=…``."""

Opener = Callable[[Path], Predictor]
"""Opens a trained model's folder as a predictor."""


@dataclass(frozen=True, slots=True)
class BenchmarkChoice:
    """Which benchmark, where, and how its files are read.

    Args:
        split: None for the one that is reported on.
        options: the reader's own options, by name.
    """

    name: str
    root: Path
    split: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def track_captions(self) -> bool:
        """Whether the benchmark scores the captions of whole tracks too.

        Raises:
            UnknownName: there is no such benchmark.
        """
        return bool(getattr(BENCHMARKS.load(self.name), "track_captions", False))

    @property
    def published_threshold(self) -> float:
        """The score that predictions must pass in the benchmark's published evaluation.

        Raises:
            UnknownName: there is no such benchmark.
        """
        return float(getattr(self._original({"reading": "official"})[0], "threshold", THRESHOLD))

    def reader(self, protocol: Protocol, iou: Iou | None = None) -> Benchmark:
        """The reader for a protocol.

        Args:
            iou: what will be compared, for readers whose ground truth depends on it; None for the benchmark's own.

        Raises:
            UnknownName: there is no such benchmark.
            UserError: it has no such option.
        """
        compare = {"compare": iou} if iou and "compare" in BENCHMARKS.options(self.name) else {}
        reader, files = self._original({"reading": protocol, **compare})
        return choose(reader, self.root, str(getattr(reader, "split", "")), files)

    def _original(self, more: Mapping[str, Any]) -> tuple[Benchmark, str]:
        """The reader of the original files, and which files are asked for."""
        splits = {"split": self.split} if self.split else {}
        options = {**self.options, "root": self.root, **splits, **more}
        has_preprocessed = hasattr(BENCHMARKS.load(self.name), "preprocessed")
        files = str(options.pop("files", "auto")) if has_preprocessed else "original"
        if files not in FILES:
            raise UnknownName("--set files", files, FILES)
        reader: Benchmark = BENCHMARKS.build(self.name, options, "--set ")
        return reader, files


def run_benchmark(
    choice: BenchmarkChoice,
    options: Options,
    folder: Path,
    *,
    predictions: Path | None = None,
    model: Path | None = None,
    opener: Opener | None = None,
    score: Callable[[Path, Path, Options], Evaluation] = evaluate,
) -> Evaluation:
    """Convert, predict where ``predictions`` are not given, and score.

    Args:
        folder: where converted ground truth and predictions are written.
        opener: how to open ``model``; this wing knows no model itself.

    Raises:
        UserError: a part of the benchmark is missing, or there is neither predictions nor a model.
    """
    first = choice.reader(options.protocols[0], options.iou)
    options = replace(options, iou=options.iou or first.iou)
    if predictions is None:
        predictions = predict(first, _open(model, opener), folder / "predictions.json")
    predictions, note = _selected(first, predictions, folder)
    if not getattr(first, "readings_differ", False):
        whole = score(first.truth(folder), predictions, options)
        whole.notes += [line for line in (note, _source(first)) if line]
        return whole
    results = [
        score(choice.reader(protocol, options.iou).truth(folder), predictions, replace(options, protocols=(protocol,)))
        for protocol in options.protocols
    ]
    whole = results[0]
    whole.options = options
    whole.notes += [note] if note else []
    for other in results[1:]:
        whole.scores += other.scores
        whole.notes += [line for line in other.notes if line not in whole.notes]
    return whole


def _selected(reader: Benchmark, predictions: Path, folder: Path) -> tuple[Path, str]:
    """The predictions on the frames that are evaluated, where a model may have been run on more."""
    select: Callable[[Path, Path], tuple[Path, str]] | None = getattr(reader, "selected", None)
    return select(predictions, folder) if select else (predictions, "")


def _source(reader: Benchmark) -> str:
    return f"the ground truth is {reader.path.name}" if isinstance(reader, PreprocessedBenchmark) else ""


def _open(model: Path | None, opener: Opener | None) -> Predictor:
    if model is None:
        raise UserError("there is nothing to score", "pass --pred PRED.json, or --model DIR")
    if opener is None:
        raise UserError(
            "--model: nobody has said how a model is opened",
            "the capgen command does; elsewhere pass an opener, or predictions",
        )
    return opener(model)


def predict(benchmark: Benchmark, predictor: Predictor, path: Path) -> Path:
    """Write a model's predictions of every clip to ``path``, one clip in memory at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part, part.open("w", encoding="utf-8") as out:
        start = "[\n"
        for clip in benchmark.clips():
            for one in predictor(clip):
                out.write(start + json.dumps(one))
                start = ",\n"
        out.write("]\n" if start == ",\n" else "[]\n")
    return path


def track_captions(result: Evaluation, threshold: float | None = None) -> dict[str, dict[str, float | None]]:
    """BenSMOT's own caption scores of a result, by protocol; METEOR is None where it cannot be had.

    Args:
        threshold: as in ``TrackCaptions``; None, as published, for every predicted track.
    """
    truth = TruthFile(result.truth)
    predictions = PredictionFile(result.predictions, truth)
    counters = {protocol: TrackCaptions(protocol, threshold) for protocol in result.options.protocols}
    for video in videos(truth, predictions, result.iou, Notes()):
        for counter in counters.values():
            counter.add(video)
    programs, _ = scorers([m for m in result.options.metrics if m == "meteor"])
    meteor = programs.get("meteor")
    try:
        found: dict[str, dict[str, float | None]] = {p: counter.finish(meteor) for p, counter in counters.items()}
    except ScorerFailed as error:
        result.notes.append(f"METEOR of whole tracks is left out: {error}")
        found = {p: counter.finish() for p, counter in counters.items()}
    finally:
        if meteor:
            meteor.close()
    result.notes += [line for counter in counters.values() for line in counter.notes.all() if line not in result.notes]
    return found
