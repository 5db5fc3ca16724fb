"""What is known of the truth of a run's captions, and the scores that are held against it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from capgen.dataset.layout import RunLayout
from capgen.dataset.quality.calibration import Calibration
from capgen.dataset.stats import RowOutcome
from capgen.errors import UserError
from capgen.evaluation.calibration.curve import Labelled, calibrate, wilson
from capgen.evaluation.calibration.read import read_labels
from capgen.evaluation.sample_facts import WorldFacts, read_facts, right_captions, score
from capgen.report.figures import TruthFigures

_WANTED = 0.975  # the precision that `capgen calibrate` looks for unless told otherwise


@dataclass(slots=True)
class KnownTruth:
    """Facts or labels by key, and the released captions that they tell something of.

    Args:
        source: the file that tells; None where none does.
        right: by key of the released captions seen so far.
        confidence: ``logprob_min`` of the same, where it is known.
    """

    source: Path | None = None
    facts: WorldFacts | None = None
    labels: Mapping[str, bool] = field(default_factory=dict)
    right: dict[str, bool] = field(default_factory=dict)
    captions: dict[str, str] = field(default_factory=dict)
    confidence: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, out: Path, facts: Path | None, labels: Path | None) -> KnownTruth:
        """What the user names, else the facts of a sample world that the run itself has drawn.

        Raises:
            UserError: both are given, or a file is not what it should be.
        """
        if facts is not None and labels is not None:
            raise UserError("--facts and --labels are both given", "give one of them")
        if labels is not None:
            return cls(labels, labels=read_labels(labels))
        own = RunLayout(out).world / "facts.json"
        found = facts or (own if own.is_file() else None)
        return cls() if found is None else cls(found, facts=read_facts(found))

    def add(self, rows: Iterable[Mapping[str, Any]], outcomes: Sequence[RowOutcome]) -> None:
        """Take in a shard: what is known of its released captions; rows have ``key`` and ``logprob_min``."""
        if self.source is None:
            return
        kept = {one.key: one.caption or "" for one in outcomes if one.status == "kept"}
        if self.facts is not None:
            told = right_captions(kept.items(), self.facts)
            self.captions |= {key: kept[key] for key in told}
        else:
            told = {key: self.labels[key] for key in kept if key in self.labels}
        self.right |= told
        known = ((row["key"], row["logprob_min"]) for row in rows if row["key"] in told)
        self.confidence |= {key: value for key, value in known if value is not None}

    def figures(self) -> TruthFigures | None:
        """How many are right; None where nothing is known of any."""
        if self.source is None or not self.right:
            return None
        right = sum(self.right.values())
        low, high = wilson(right, len(self.right))
        found = score(self.captions.items(), self.facts) if self.facts is not None else None
        return TruthFigures(
            source=self.source.name,
            labelled=len(self.right),
            right=right,
            low=low,
            high=high,
            attributes={name: tally.as_json() for name, tally in found.attributes.items()} if found else {},
            missing=found.missing if found else 0,
        )

    def curve(self, scores: Iterable[tuple[str, float]], name: str) -> Calibration | None:
        """Precision against kept share under some scores by key; None where none of them has a label."""
        labelled = [*self._labelled(scores)]
        if not labelled or self.source is None:
            return None
        return calibrate(labelled, _WANTED, score=name, truth=self.source.name, model=None)

    def _labelled(self, scores: Iterable[tuple[str, float]]) -> Iterator[Labelled]:
        return (Labelled(key, value, self.right[key]) for key, value in scores if key in self.right)
