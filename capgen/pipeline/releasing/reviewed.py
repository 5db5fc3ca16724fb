"""Candidates as a release takes them: with what people said of captions in ``OUT/reviews.jsonl``.

A judgement counts as long as the caption that was judged is still the object's. ``bad`` leaves a caption out, ``edit``
puts a person's in its place, whatever became of the model's, and ``good`` releases a caption that a check had dropped.
"""

from __future__ import annotations

import copy
import hashlib
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from capgen.dataset.layout import RunLayout
from capgen.dataset.release_record import ReviewCounts
from capgen.errors import LedgerError
from capgen.pipeline.releasing.reviews import Review, judgements, read_reviews

FLAGGED = "flagged"
"""The reason of a caption that a person found wrong."""

Effect = Literal["good", "restored", "bad", "edited", "outdated"]
_MODELS_OWN = (
    "model", "model_revision", "engine", "prompt", "prompt_sha256", "highlight", "seed", "finish_reason",
    "logprob_min", "logprob_mean",
)  # fmt: skip


class Reviewed:
    """The judgements that a release follows, and what they did to the rows so far.

    Args:
        data: the bytes of ``OUT/reviews.jsonl``, or of its first part.

    Raises:
        LedgerError: a line of them is no judgement.
    """

    def __init__(self, out: Path, data: bytes) -> None:
        self._data = data
        self._by_key = judgements(data, RunLayout(out).reviews)
        self._effects: Counter[Effect] = Counter()

    @classmethod
    def of_run(cls, out: Path) -> Reviewed:
        """All that people have said of a run by now."""
        return cls(out, _read(out))

    @classmethod
    def of_release(cls, out: Path, used: ReviewCounts | None) -> Reviewed:
        """What they had said when a release was made.

        Raises:
            LedgerError: the file does not begin with that any more.
        """
        if used is None:
            return cls(out, b"")
        data = _read(out)[: used.bytes]
        if hashlib.sha256(data).hexdigest() != used.sha256:
            raise LedgerError(
                f"{RunLayout(out).reviews} is not the file that the release was made with; restore it, or delete "
                "release.json and run the same command again"
            )
        return cls(out, data)

    @property
    def used(self) -> ReviewCounts | None:
        """What ``of_release`` and ``judged_in`` find these judgements by; None where there are none."""
        return None if self.sha256 is None else ReviewCounts(bytes=len(self._data), sha256=self.sha256)

    @property
    def effects(self) -> Counter[Effect]:
        """What the judgements did to the rows that ``apply`` has counted."""
        return self._effects

    def count(self, effects: Counter[Effect]) -> None:
        """Count what they did to rows elsewhere."""
        self._effects.update(effects)

    def uncounted(self) -> Reviewed:
        """The same judgements, which have done nothing yet."""
        other = copy.copy(self)
        other._effects = Counter()
        return other

    @property
    def sha256(self) -> str | None:
        """The digest of the judgements; None where there are none."""
        return hashlib.sha256(self._data).hexdigest() if self._data else None

    def counts(self) -> ReviewCounts | None:
        """What they did to the rows that ``apply`` was given; None where there are none."""
        if self.sha256 is None:
            return None
        effects: dict[str, int] = {str(name): count for name, count in self._effects.items()}
        effects["good"] = effects.get("good", 0) + effects.get("restored", 0)
        return ReviewCounts(bytes=len(self._data), sha256=self.sha256, **effects)

    def apply(self, rows: pa.Table, *, count: bool = False) -> pa.Table:
        """Rows of candidates, of any columns but with ``key``, ``caption`` and ``status``, after people's judgements.

        A column ``source`` is added. Each row is to be counted once.
        """
        source = pa.nulls(rows.num_rows, pa.string())
        if not self._by_key:
            return rows.append_column("source", source)
        keys = rows.column("key").to_pylist()
        concerned = {place: self._by_key[key] for place, key in enumerate(keys) if key in self._by_key}
        if not concerned:
            return rows.append_column("source", source)
        changes: dict[int, Mapping[str, Any]] = {}
        for place, review in concerned.items():
            row = {name: rows.column(name)[place].as_py() for name in ("caption", "status")}
            effect, change = _judged(review, **row)
            self._effects[effect] += count
            if change:
                changes[place] = change
        rows = rows.append_column("source", source)
        for name in {name for change in changes.values() for name in change} & set(rows.column_names):
            values = rows.column(name).to_pylist()
            for place, change in changes.items():
                values[place] = change.get(name, values[place])
            field = rows.schema.field(name)
            rows = rows.set_column(rows.column_names.index(name), field, pa.array(values, field.type))
        return rows


def judged_in(out: Path, used: ReviewCounts | None) -> Reviewed:
    """The judgements that a task follows; the file is read once in each process.

    Raises:
        LedgerError: the file does not begin with them any more.
    """
    return _known(out, None if used is None else ReviewCounts(bytes=used.bytes, sha256=used.sha256)).uncounted()


@lru_cache(maxsize=1)
def _known(out: Path, used: ReviewCounts | None) -> Reviewed:
    return Reviewed.of_release(out, used)


def outdated(review: Review, caption: str | None) -> bool:
    """Whether a judgement is of a caption that the object no longer has."""
    return review.said != caption


def _judged(review: Review, caption: str | None, status: str) -> tuple[Effect, Mapping[str, Any]]:
    """What a judgement does, and the columns that it changes."""
    if outdated(review, caption):
        return "outdated", {}
    if review.verdict == "bad":
        why = f"a person found it wrong{f': {review.why}' if review.why else ''}"
        change = {"status": "dropped", "reasons": [FLAGGED], "message": why}
        return "bad", change if status == "kept" else {}
    released: dict[str, Any] = {"status": "kept", "reasons": [], "message": None, "advice": []}
    if review.verdict == "edit":
        return "edited", dict.fromkeys(_MODELS_OWN) | released | {"caption": review.caption, "source": "human"}
    return ("restored", released) if status == "dropped" else ("good", {})


def _read(out: Path) -> bytes:
    try:
        return RunLayout(out).reviews.read_bytes()
    except FileNotFoundError:
        return b""


def labels(out: Path, captions: Mapping[str, str]) -> dict[str, bool]:
    """Whether people found captions right, by key; judgements of captions that were replaced since are left out.

    Args:
        captions: the models' captions by key.
    """
    return {
        key: review.verdict == "good"
        for key, review in read_reviews(out).items()
        if key in captions and not outdated(review, captions[key])
    }


def flagged(out: Path) -> frozenset[str]:
    """Keys of captions that people found wrong and did not replace by another, whether or not they are outdated."""
    return frozenset(key for key, review in read_reviews(out).items() if review.verdict == "bad")
