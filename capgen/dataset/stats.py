"""Counts of a release, taken while it is packed: what its data card says is what is in its files."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import nlargest
from itertools import islice
from typing import NamedTuple

import numpy as np
import xxhash

from capgen.dataset.row import Status
from capgen.text import words

_BUCKETS = ((0, 5), (6, 10), (11, 15), (16, 20), (21, 30), (31, 60), (61, None))
_EXAMPLES = 5

NOT_DISTINCT = "not_distinct"
"""The reason of a caption that does not tell its object from another of its category in the same image or video."""


@dataclass(frozen=True, slots=True)
class RowOutcome:
    """What becomes of a row in the release.

    Args:
        status: as committed, but ``dropped`` where dedup leaves a kept caption out.
        reason: the first reason, the one that is counted; None where the caption is released.
        dup_of: the key of an earlier caption of its category that says the same or nearly the same.
        similarity: how much of it, from 0 to 1.
    """

    key: str
    category: str | None
    caption: str | None
    status: Status
    reason: str | None
    dup_of: str | None = None
    similarity: float | None = None

    def media_caption(self, *, keep_alike: bool) -> str | None:
        """The caption that the released media have: that of a kept row, and with ``keep_alike`` one not distinct."""
        shown = self.status == "kept" or (keep_alike and self.reason == NOT_DISTINCT)
        return self.caption if shown else None


class Origin(NamedTuple):
    """What wrote a caption."""

    model: str | None
    model_revision: str | None
    engine: str | None
    prompt: str | None
    prompt_sha256: str | None
    highlight: str | None


@dataclass(slots=True)
class FrequentTexts:
    """Texts that come often, in bounded memory: what comes rarely is forgotten now and then, so counts are at least.

    Args:
        limit: texts that are kept when others are forgotten.
    """

    limit: int = 5_000
    found: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, form: str, text: str) -> None:
        """Count a text under its normal form; the first of each form is kept as it is."""
        count, first = self.found.get(form, (0, text))
        self.found[form] = (count + 1, first)
        self._forget()

    def merge(self, later: FrequentTexts) -> None:
        """Add what was counted behind."""
        for form, (more, first) in later.found.items():
            count, known = self.found.get(form, (0, first))
            self.found[form] = (count + more, known)
        self._forget()

    def _forget(self) -> None:
        if len(self.found) > 2 * self.limit:
            self.found = dict(nlargest(self.limit, self.found.items(), key=lambda item: item[1][0]))


@dataclass(slots=True)
class SplitCounts:
    """Counts of one split."""

    media: int = 0
    media_without_objects: int = 0
    objects: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Stats:
    """Everything a data card counts, in memory that grows with categories and words, and by 8 bytes a caption.

    ``vocabulary`` counts the words of released captions, ``sentences`` has a digest of each of these captions' words.
    ``first_of``: the key and the caption of the first object of each category; ``first``: of the first few objects.
    """

    splits: dict[str, SplitCounts] = field(default_factory=dict)
    lengths: Counter[int] = field(default_factory=Counter)
    categories: Counter[str] = field(default_factory=Counter)
    vocabulary: Counter[str] = field(default_factory=Counter)
    sentences: array[int] = field(default_factory=lambda: array("Q"))
    frequent: FrequentTexts = field(default_factory=FrequentTexts)
    origins: Counter[Origin] = field(default_factory=Counter)
    repeated: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    first_of: dict[str, tuple[str, str]] = field(default_factory=dict)
    first: list[tuple[str, str]] = field(default_factory=list)
    pictures: int = 0
    missing_pictures: int = 0

    def open_split(self, split: str) -> SplitCounts:
        """The counts of a split, also where nothing of it is ever added."""
        return self.splits.setdefault(split, SplitCounts())

    def add_media(self, split: str, objects: Sequence[int]) -> None:
        """Count media by how many objects each has."""
        counts = self.open_split(split)
        counts.media += len(objects)
        counts.media_without_objects += sum(number == 0 for number in objects)

    def add_objects(self, split: str, outcomes: Iterable[RowOutcome]) -> None:
        """Count objects, each once: as kept, or under its first reason."""
        counts = self.open_split(split)
        for one in outcomes:
            counts.objects += 1
            if one.status == "kept":
                counts.kept += 1
                self.repeated += one.dup_of is not None
                self._add_caption(one)
            elif one.reason is not None:
                (counts.dropped if one.status == "dropped" else counts.failed)[one.reason] += 1

    def _add_caption(self, one: RowOutcome) -> None:
        caption, category = one.caption or "", one.category or "(none)"
        said = words(caption)
        self.lengths[len(said)] += 1
        self.vocabulary.update(said)
        form = " ".join(said)
        self.sentences.append(_digest(form))
        self.frequent.add(form, caption)
        self.first_of.setdefault(category, (one.key, caption))
        if len(self.first) < _EXAMPLES:
            self.first.append((one.key, caption))
        self.categories[category] += 1

    def merge(self, later: Stats) -> None:
        """Add the counts of what comes behind: the same as if one had counted both."""
        for name, counts in later.splits.items():
            mine = self.open_split(name)
            for count in ("media", "media_without_objects", "objects", "kept"):
                setattr(mine, count, getattr(mine, count) + getattr(counts, count))
            mine.dropped.update(counts.dropped)
            mine.failed.update(counts.failed)
        self.lengths.update(later.lengths)
        self.categories.update(later.categories)
        self.vocabulary.update(later.vocabulary)
        self.sentences.extend(later.sentences)
        self.frequent.merge(later.frequent)
        self.origins.update(later.origins)
        for category, first in later.first_of.items():
            self.first_of.setdefault(category, first)
        self.first = [*self.first, *later.first][:_EXAMPLES]
        for count in ("repeated", "prompt_tokens", "cached_tokens", "pictures", "missing_pictures"):
            setattr(self, count, getattr(self, count) + getattr(later, count))

    @property
    def examples(self) -> dict[str, str]:
        """Captions by key: those of the first objects of a few categories."""
        return dict(islice(self.first_of.values(), _EXAMPLES))

    @property
    def kept(self) -> int:
        """Released captions."""
        return sum(split.kept for split in self.splits.values())

    @property
    def objects(self) -> int:
        """Objects asked for or failed before."""
        return sum(split.objects for split in self.splits.values())

    @property
    def media(self) -> int:
        """Images or videos."""
        return sum(split.media for split in self.splits.values())

    @property
    def dry_run(self) -> bool:
        """Whether there are captions and no model wrote any: their rows name the engine in the model's place."""
        asked = [origin for origin in self.origins if origin.engine is not None]
        return bool(asked) and all(origin.model == origin.engine for origin in asked)

    @property
    def dropped(self) -> Counter[str]:
        """Rows that a check or dedup dropped, by first reason."""
        return sum((split.dropped for split in self.splits.values()), Counter())

    @property
    def failed(self) -> Counter[str]:
        """Rows that never got an answer, by first reason."""
        return sum((split.failed for split in self.splits.values()), Counter())

    def mean_words(self) -> float:
        """Words of a caption on average; 0 where there is none."""
        return sum(n * count for n, count in self.lengths.items()) / max(1, self.lengths.total())

    def median_words(self) -> float:
        """Words of the middle caption; of an even number of captions, the mean of the middle two."""
        total = self.lengths.total()
        return (self._nth((total - 1) // 2) + self._nth(total // 2)) / 2 if total else 0.0

    def _nth(self, rank: int) -> int:
        seen = 0
        for length in sorted(self.lengths):
            seen += self.lengths[length]
            if seen > rank:
                return length
        return 0

    def distinct_sentences(self) -> int:
        """How many different sentences the released captions are, by their words."""
        return len(np.unique(np.frombuffer(self.sentences, np.uint64)))

    def most_repeated(self, number: int) -> list[tuple[str, int]]:
        """The sentences that are released most often, more than once each, and how often."""
        found, counts = np.unique(np.frombuffer(self.sentences, np.uint64), return_counts=True)
        likely = nlargest(8 * number, self.frequent.found.items(), key=lambda item: item[1][0])
        digests = np.array([_digest(form) for form, _ in likely], np.uint64)
        exact = counts[np.searchsorted(found, digests)].tolist() if len(likely) else []
        pairs = [(text, count) for (_, (_, text)), count in zip(likely, exact, strict=True) if count > 1]
        return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:number]

    def length_table(self) -> list[tuple[str, int]]:
        """(words, captions) by ranges of words."""
        return [(_label(low, high), self._between(low, high)) for low, high in _BUCKETS]

    def _between(self, low: int, high: int | None) -> int:
        return sum(count for n, count in self.lengths.items() if n >= low and (high is None or n <= high))

    def top_categories(self, number: int) -> list[tuple[str, int]]:
        """The categories with most captions, by count and then by name."""
        return sorted(self.categories.items(), key=lambda item: (-item[1], item[0]))[:number]


def _digest(form: str) -> int:
    return xxhash.xxh3_64_intdigest(form.encode("utf-8", "surrogatepass"))


def _label(low: int, high: int | None) -> str:
    return f"{low} or more" if high is None else f"{low} to {high}"
