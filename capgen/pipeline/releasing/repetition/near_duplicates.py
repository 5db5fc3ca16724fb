"""Which captions say nearly the same as an earlier one: a join of shingle sets by Jaccard similarity that misses none.

MinHash guesses candidates and misses some. Here they are found exactly, after "Efficient Similarity Joins for Near
Duplicate Detection" (Xiao et al., WWW 2008): two sets with a Jaccard similarity of ``t`` or more share one of their
rarest shingles, so that only a few shingles of each set are looked up. A shingle that everybody has is never one of
them, which keeps sentences of one mould apart cheaply.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from capgen.pipeline.releasing.repetition.shingles import Indices, ShingleSets

_CHUNK = 4096
_PAIRS = 1 << 17  # compared at once: their shingles stay in the processor's cache
_BIN_BITS = 24
_WAITING = 1 << 20  # candidates that wait to be compared, at most
_EPSILON = 1e-6  # shares are rounded

Similarities = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Earlier:
    """For each caption, the index of the earlier one that it repeats, or -1, and how similar they are.

    An index in ``of`` is never itself the repetition of another: it is the first caption of its kind.
    """

    of: Indices
    similarity: Similarities


def earlier_ones(sets: ShingleSets, threshold: float) -> Earlier:
    """The earliest caption that each one repeats: equal in words, or of a Jaccard similarity of at least ``threshold``.

    Captions are taken in their order, and each is compared with those before it that repeat nothing.
    """
    of = np.full(len(sets), -1, np.int64)
    _, firsts, group = np.unique(sets.digests, return_index=True, return_inverse=True)
    first = firsts[group]
    single = np.flatnonzero(first == np.arange(len(sets)))
    if threshold < 1:
        found = _Join(sets.take(single), threshold).run()
        of[single] = np.where(found >= 0, single[found], -1)
    again = np.flatnonzero(first != np.arange(len(sets)))
    of[again] = np.where(of[first[again]] >= 0, of[first[again]], first[again])
    similarity = np.zeros(len(sets), np.float32)
    repeated = np.flatnonzero(of >= 0)
    for part in _slices(len(repeated)):
        rows = repeated[part]
        similarity[rows] = _similarities(sets, of[rows], rows)
    wrong = similarity < threshold - _EPSILON  # sentences whose digests are equal by chance or by malice
    of[wrong], similarity[wrong] = -1, 0
    return Earlier(of, similarity)


def _slices(length: int) -> Iterator[slice]:
    return (slice(start, start + _PAIRS) for start in range(0, length, _PAIRS))


def _similarities(sets: ShingleSets, left: Indices, right: Indices) -> Similarities:
    """The Jaccard similarity of each pair of captions."""
    sizes = sets.sizes
    pairs = np.arange(len(left), dtype=np.uint64)
    rows = np.concatenate((left, right))
    lengths = sizes[rows]
    ends = np.cumsum(lengths)
    places = np.arange(ends[-1] if len(ends) else 0) + np.repeat(sets.starts[rows] - (ends - lengths), lengths)
    # The upper half of a token suffices to tell the few shingles of two captions apart.
    keys = np.repeat(np.concatenate((pairs, pairs)) << np.uint64(32), lengths) | (sets.tokens[places] >> np.uint64(32))
    keys.sort()
    same = keys[1:][keys[1:] == keys[:-1]] >> np.uint64(32)
    shared = np.bincount(same.astype(np.int64), minlength=len(left))
    return np.asarray(shared / (sizes[left] + sizes[right] - shared), dtype=np.float32)


@dataclass(slots=True)
class _Entries:
    """Looked-up shingles: of which caption, which token, and at what place among the caption's from the rarest."""

    rows: Indices
    tokens: NDArray[np.uint64]
    places: Indices

    def of(self, keep: NDArray[np.bool_]) -> _Entries:
        return _Entries(self.rows[keep], self.tokens[keep], self.places[keep])


class _Join:
    """One pass over captions whose sentences all differ; those that repeat nothing are what later ones are held to."""

    def __init__(self, sets: ShingleSets, threshold: float) -> None:
        self._sets, self._threshold, self._sizes = sets, threshold, sets.sizes
        bins = 1 << min(_BIN_BITS, max(10, len(sets.tokens).bit_length()))
        self._mask = np.uint64(bins - 1)
        self._counts = np.bincount((sets.tokens & self._mask).astype(np.int64), minlength=bins)
        self._index: dict[int, list[int]] = {}
        self._found = np.full(len(sets), -1, np.int64)

    def run(self) -> Indices:
        """For each caption the earlier one that it repeats, or -1."""
        for start in range(0, len(self._sets), _CHUNK):
            entries = self._rare(start, min(start + _CHUNK, len(self._sets)))
            for left, right in self._against_index(entries):
                self._settle(*self._alike(left, right))
            entries = entries.of(self._found[entries.rows] < 0)
            pairs = [self._alike(left, right) for left, right in self._among(entries)]
            self._settle_in_order(pairs)
            self._remember(entries.of(self._found[entries.rows] < 0))
        return self._found

    def _rare(self, start: int, end: int) -> _Entries:
        """The rarest shingles of some captions, one of which every similar caption shares."""
        starts, sizes = self._sets.starts, self._sizes[start:end]
        tokens = self._sets.tokens[starts[start] : starts[end]]
        rows = np.repeat(np.arange(start, end), sizes)
        counts = self._counts[(tokens & self._mask).astype(np.int64)]
        order = np.lexsort((tokens, counts, rows))
        places = np.arange(len(tokens)) - np.repeat(starts[start:end] - starts[start], sizes)
        needed = np.ceil(self._threshold * sizes - _EPSILON).astype(np.int64)
        looked_up = np.repeat(sizes - needed + 1, sizes)
        keep = (places < looked_up) & (counts[order] > 1)
        return _Entries(rows[keep], tokens[order][keep], places[keep])

    def _against_index(self, entries: _Entries) -> Iterator[tuple[Indices, Indices]]:
        """Pairs of a remembered caption and one of ``entries``, many at a time."""
        left: list[int] = []
        right: list[int] = []
        get = self._index.get
        for row, token, place in zip(
            entries.rows.tolist(), entries.tokens.tolist(), entries.places.tolist(), strict=True
        ):
            remembered = get(token)
            if remembered:
                left += remembered
                right += [row << 8 | min(place, 255)] * len(remembered)
                if len(left) > _WAITING:
                    yield self._possible(np.array(left), np.array(right))
                    left, right = [], []
        if left:
            yield self._possible(np.array(left), np.array(right))

    def _among(self, entries: _Entries) -> Iterator[tuple[Indices, Indices]]:
        """Pairs of the captions of ``entries`` themselves that share a token, the earlier one left."""
        order = np.lexsort((entries.rows, entries.tokens))
        tokens, packed = entries.tokens[order], entries.rows[order] << 8 | np.minimum(entries.places[order], 255)
        ends = np.searchsorted(tokens, tokens, side="right")
        behind = ends - np.arange(len(tokens)) - 1
        total = np.cumsum(behind)
        start = 0
        while start < len(tokens):
            stop = max(start + 1, int(np.searchsorted(total, (total[start - 1] if start else 0) + _WAITING)))
            ahead = behind[start:stop]
            left = np.repeat(np.arange(start, stop), ahead)
            offset = np.arange(len(left)) - np.repeat(np.cumsum(ahead) - ahead, ahead)
            if len(left):
                yield self._possible(packed[left], packed[left + 1 + offset])
            start = stop

    def _possible(self, left: Indices, right: Indices) -> tuple[Indices, Indices]:
        """The pairs that can be similar by their sizes and by where the shared shingle stands in each; none twice."""
        one, other = left >> 8, right >> 8
        sizes, others = self._sizes[one], self._sizes[other]
        needed = np.ceil(self._threshold / (1 + self._threshold) * (sizes + others) - _EPSILON)
        most = np.minimum(sizes - (left & 255), others - (right & 255))
        keys = np.unique((one << 32 | other)[most >= needed])
        return keys >> 32, keys & 0xFFFFFFFF

    def _alike(self, left: Indices, right: Indices) -> tuple[Indices, Indices]:
        """Those of the pairs that are similar."""
        keep = [np.zeros(0, np.bool_)]
        keep += [
            _similarities(self._sets, left[part], right[part]) >= self._threshold - _EPSILON
            for part in _slices(len(left))
        ]
        chosen = np.concatenate(keep)
        return left[chosen], right[chosen]

    def _settle(self, left: Indices, right: Indices) -> None:
        """Each right one repeats the earliest of its left ones, which repeat nothing."""
        order = np.lexsort((left, right))
        rows, first = np.unique(right[order], return_index=True)
        earliest = left[order][first]
        known = self._found[rows]
        self._found[rows] = np.where(known >= 0, np.minimum(known, earliest), earliest)

    def _settle_in_order(self, pairs: list[tuple[Indices, Indices]]) -> None:
        """The same where a left one may turn out to repeat another: the earlier caption is settled first."""
        if not pairs:
            return
        left, right = (np.concatenate(side) for side in zip(*pairs, strict=True))
        order = np.lexsort((left, right))
        for one, other in zip(left[order].tolist(), right[order].tolist(), strict=True):
            if self._found[other] < 0 and self._found[one] < 0:
                self._found[other] = one

    def _remember(self, entries: _Entries) -> None:
        index = self._index
        packed = (entries.rows << 8 | np.minimum(entries.places, 255)).tolist()
        for token, entry in zip(entries.tokens.tolist(), packed, strict=True):
            index.setdefault(token, []).append(entry)
