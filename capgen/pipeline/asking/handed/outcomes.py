"""What became of a shard's objects so far, counted once each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from capgen.dataset.row import Row
from capgen.dataset.shards import example_text
from capgen.pipeline.asking.tries import JudgedAnswer


@dataclass(slots=True)
class OutcomesSoFar:
    """Counts objects by what became of them; neighbours may still take a caption back when the shard is committed.

    Args:
        reasons: objects dropped and failed, by their first reason.
        captioned: objects whose caption passes.
        examples: what one object says of each reason.
    """

    reasons: Counter[str] = field(default_factory=Counter)
    captioned: int = 0
    examples: dict[str, str] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)

    def lost(self, key: str, reason: str, message: str | None, caption: str | None = None) -> None:
        """An object has no caption."""
        if self._is_new(key):
            self.reasons[reason] += 1
            if reason not in self.examples:
                self.examples[reason] = example_text(message or reason, caption)

    def of_answer(self, key: str, answer: JudgedAnswer) -> None:
        """An object has its answer."""
        if answer.findings:
            reason, _ = answer.findings[0]
            self.lost(key, reason, "; ".join(said for _, said in answer.findings), answer.caption)
        elif self._is_new(key):
            self.captioned += 1

    def of_row(self, row: Row) -> None:
        """An object keeps the row that it has."""
        if row.reasons:
            self.lost(row.key, row.reasons[0], row.message, row.caption)
        elif self._is_new(row.key):
            self.captioned += 1

    def _is_new(self, key: str) -> bool:
        """Whether an object was not counted yet; from now on it is."""
        new = key not in self._known
        self._known.add(key)
        return new
