"""The matching of ``clean``: each sum is the largest that a one-to-one matching of every frame can have.

Pairs count from an IoU of 0.5. DetA takes the largest number of pairs, AssA the largest sum of association, CapA the
largest sum of association times caption score. A detection more can then lower none of the sums: the matching from
before is still there. HOTA's own matching is made before the threshold is looked at, and has no such property.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from capgen.evaluation.metrics.hota import HotaCounts, Matches, Sequenced, track_lengths
from capgen.rle import Ints

THRESHOLD = 0.5
_EPS = float(np.finfo(float).eps)
_TIE = 1e-9
"""What IoU weighs beside association where two matchings are otherwise alike."""


@dataclass(frozen=True, slots=True)
class ContestedGroup:
    """Truths and predictions of one frame that overlap in more than one way.

    Args:
        rows, columns: int64 [K], for each pair its truth and its prediction, as places in the layout's order.
        association: [K].
    """

    rows: Ints
    columns: Ints
    association: NDArray[np.float64]

    def best(self, worth: NDArray[np.float64]) -> Ints:
        """The places, of 0 … K - 1, of the pairs of the one-to-one matching with the largest sum of ``worth`` >= 0."""
        from scipy.optimize import linear_sum_assignment

        if (self.rows == self.rows[0]).all() or (self.columns == self.columns[0]).all():
            best = int(worth.argmax())
            return np.array([best] if worth[best] > 0 else [], np.int64)
        down, row = np.unique(self.rows, return_inverse=True)
        across, column = np.unique(self.columns, return_inverse=True)
        table = np.zeros((len(down), len(across)))
        table[row, column] = worth
        place = np.full(table.shape, -1)
        place[row, column] = np.arange(len(worth))
        chosen = place[linear_sum_assignment(-table)]
        chosen = chosen[chosen >= 0]
        return np.sort(chosen[worth[chosen] > 0])


@dataclass(frozen=True, slots=True)
class CleanMatches:
    """What is matched in a video at an IoU of 0.5.

    Args:
        matches: a matching with as many pairs as there can be, of these the one with the largest sum of association:
            what false positives, misses, IoU and the tracks' partners are read from.
        association: [M], of the pairs in ``matches``.
        alone: bool [M], whether truth and prediction of the pair overlap nothing else.
        contested: the others, in the order of their frames.
    """

    matches: Matches
    association: NDArray[np.float64]
    alone: NDArray[np.bool_]
    contested: tuple[ContestedGroup, ...]


def clean_match(video: Sequenced) -> CleanMatches:
    """Match a video.

    The association of two tracks is the Jaccard index of their frames: those on which they overlap by 0.5, over those
    on which there is either. In HOTA only frames on which they are matched count as common.
    """
    layout = video.layout
    pairs = np.flatnonzero(video.similarity >= THRESHOLD - _EPS)
    association = _association(video, pairs)
    row, column = layout.row[pairs], layout.column[pairs]
    alone = (np.bincount(row)[row] == 1) & (np.bincount(column)[column] == 1) if len(pairs) else np.zeros(0, np.bool_)
    chosen = alone.copy()
    contested = []
    for group in _groups(row, column, np.flatnonzero(~alone)):
        one = ContestedGroup(row[group], column[group], association[group])
        iou = video.similarity[pairs[group]].astype(np.float64)
        chosen[group[one.best(1.0 + len(group) + association[group] + _TIE * iou)]] = True
        contested.append(one)
    kept = pairs[chosen]
    matches = Matches(layout.frame[kept], layout.row[kept], layout.column[kept], video.similarity[kept])
    return CleanMatches(matches, association[chosen], alone[chosen], tuple(contested))


def _association(video: Sequenced, pairs: Ints) -> NDArray[np.float64]:
    """The association of the two tracks of each pair."""
    own, other = video.truth_ids[video.layout.row[pairs]], video.prediction_ids[video.layout.column[pairs]]
    truths, predictions = track_lengths(video)
    _, of, number = np.unique(own * max(len(predictions), 1) + other, return_inverse=True, return_counts=True)
    together = number[of].astype(np.float64)
    association: NDArray[np.float64] = together / np.maximum(1.0, truths[own] + predictions[other] - together)
    return association


def _groups(row: Ints, column: Ints, places: Ints) -> Iterator[Ints]:
    """The contested pairs at ``places``, those that hang together by a truth or a prediction in one group each."""
    if not len(places):
        return
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    down, across = int(row.max()) + 1, int(column.max()) + 1
    ends = row[places], column[places] + down
    graph = coo_array((np.ones(len(places)), ends), shape=(down + across, down + across))
    label = connected_components(graph, directed=False)[1][row[places]]
    order = np.argsort(label, kind="stable")
    found = np.split(places[order], np.flatnonzero(np.diff(label[order])) + 1)
    yield from sorted(found, key=lambda group: int(group[0]))


def clean_counts(video: Sequenced, found: CleanMatches) -> HotaCounts:
    """What a video adds to DetA, AssA and LocA at an IoU of 0.5, [1] each."""
    matches, tp = found.matches, len(found.matches.iou)
    own, other = video.truth_ids[matches.row], video.prediction_ids[matches.column]
    truths, predictions = track_lengths(video)
    both = truths[own] + predictions[other]
    common = found.association * both / (1 + found.association)
    whole = float(found.association[found.alone].sum())
    whole += sum(float(one.association[one.best(one.association)].sum()) for one in found.contested)
    recall, precision = float((common / truths[own]).sum()), float((common / predictions[other]).sum())
    return HotaCounts(
        tp=np.array([float(tp)]),
        fn=np.array([float(len(video.truth_ids) - tp)]),
        fp=np.array([float(len(video.prediction_ids) - tp)]),
        ass_a=np.array([whole / max(1, tp)]),
        ass_re=np.array([recall / max(1, tp)]),
        ass_pr=np.array([precision / max(1, tp)]),
        loc_a=np.array([max(1e-10, float(matches.iou.sum())) / max(1e-10, tp)]),
    )
