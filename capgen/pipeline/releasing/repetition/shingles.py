"""Captions as sets of hashed word shingles in flat arrays, which is what a million of them can be compared as.

Hashes are the same on every machine: they are made of xxHash of each word and the finaliser of SplitMix64.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from capgen.text import tidy, words

Hashes = NDArray[np.uint64]
Indices = NDArray[np.int64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mixed(values: Hashes) -> Hashes:
    """SplitMix64's finaliser: a one-to-one scramble of 64-bit numbers."""
    x = values + _GOLDEN
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)), dtype=np.uint64)


def text_hash(text: str) -> int:
    """A 64-bit hash of a text."""
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"))


class _WordHashes(dict[str, int]):
    """The hash of each word; grows with the vocabulary."""

    def __missing__(self, word: str) -> int:
        self[word] = value = text_hash(word)
        return value


@dataclass(frozen=True, slots=True)
class ShingleSets:
    """Captions one after the other.

    Args:
        tokens: the distinct shingle hashes of each caption, ascending within a caption.
        starts: where each caption's tokens begin, and behind the last one their number [captions + 1].
        digests: a hash of each whole sentence in its normal form [captions].
    """

    tokens: Hashes
    starts: Indices
    digests: Hashes

    def __len__(self) -> int:
        return len(self.digests)

    @property
    def sizes(self) -> Indices:
        """How many shingles each caption has."""
        return np.diff(self.starts)

    def within(self, groups: Hashes) -> ShingleSets:
        """The same sets, so that captions of different groups [captions] have nothing in common."""
        tokens = mixed(self.tokens ^ np.repeat(groups, self.sizes))
        rows = np.repeat(np.arange(len(self)), self.sizes)
        order = np.lexsort((tokens, rows))
        return ShingleSets(tokens[order], self.starts, mixed(self.digests ^ groups))

    def take(self, chosen: Any) -> ShingleSets:
        """The captions with these ascending indices, or those where a mask is true."""
        keep = np.zeros(len(self), np.bool_)
        keep[chosen] = True
        sizes = self.sizes
        tokens = self.tokens[np.repeat(keep, sizes)]
        return ShingleSets(tokens, _starts(sizes[keep]), self.digests[keep])

    def between(self, start: int, end: int) -> ShingleSets:
        """The captions from ``start`` to before ``end``."""
        starts = self.starts[start : end + 1]
        tokens = self.tokens[starts[0] : starts[-1]]
        return ShingleSets(tokens, starts - starts[0], self.digests[start:end])

    def reordered(self, order: Indices) -> ShingleSets:
        """The captions in another order, which names each of them once."""
        sizes = self.sizes[order]
        starts = _starts(sizes)
        places = np.arange(starts[-1]) + np.repeat(self.starts[order] - starts[:-1], sizes)
        return ShingleSets(self.tokens[places], starts, self.digests[order])


def joined(parts: Iterable[ShingleSets]) -> ShingleSets:
    """Several runs of captions as one."""
    every = [*parts, ShingleSets(np.zeros(0, np.uint64), np.zeros(1, np.int64), np.zeros(0, np.uint64))]
    return ShingleSets(
        np.concatenate([part.tokens for part in every]),
        _starts(np.concatenate([part.sizes for part in every])),
        np.concatenate([part.digests for part in every]),
    )


def _starts(sizes: Indices) -> Indices:
    return np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))


class Shingler:
    """Cuts captions into shingles of ``width`` words; a shorter caption is one shingle."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._words = _WordHashes()

    def sets(self, captions: Iterable[str]) -> ShingleSets:
        """The captions as sets; words are those of ``capgen.text.words``, and a text without any is one word."""
        flat, lengths, known = array("Q"), array("q"), self._words
        for caption in captions:
            said = words(caption) or [tidy(caption)]
            flat.extend([known[word] for word in said])
            lengths.append(len(said))
        hashes, counts = np.array(flat, dtype=np.uint64), np.array(lengths, dtype=np.int64)
        if not len(counts):
            return joined(())
        starts = _starts(counts)
        place = np.arange(len(hashes)) - np.repeat(starts[:-1], counts)
        left = np.repeat(counts, counts) - place  # words from here to the caption's end
        digests = np.add.reduceat(mixed(hashes + (place + 1).astype(np.uint64) * _GOLDEN), starts[:-1])
        shingles = np.zeros(len(hashes), np.uint64)
        for ahead in range(self._width):
            word = np.where(left > ahead, np.roll(hashes, -ahead), np.uint64(0))
            shingles = mixed(shingles ^ word)
        whole = (left >= self._width) | (place == 0)
        return _distinct(shingles[whole], np.repeat(np.arange(len(counts)), counts)[whole], digests)


def _distinct(shingles: Hashes, rows: Indices, digests: Hashes) -> ShingleSets:
    """The sets without a shingle twice in one."""
    order = np.lexsort((shingles, rows))
    shingles, rows = shingles[order], rows[order]
    first = np.ones(len(rows), np.bool_)
    first[1:] = (shingles[1:] != shingles[:-1]) | (rows[1:] != rows[:-1])
    return ShingleSets(shingles[first], _starts(np.bincount(rows[first], minlength=len(digests))), digests)
