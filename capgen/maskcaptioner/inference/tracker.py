"""Which query of a clip is which track: queries are compared with those of the clips before. Q queries, D width."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def _unit(queries_QD: Array) -> Array:
    length = np.linalg.norm(queries_QD, axis=1, keepdims=True)
    return np.asarray(queries_QD / np.maximum(length, 1e-12), dtype=np.float64)


def _solve(cost_QQ: Array) -> tuple[NDArray[np.int64], float]:
    """For each remembered track the query of now, and what the assignment costs."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(cost_QQ)
    return np.asarray(columns, dtype=np.int64), float(cost_QQ[rows, columns].sum())


class Tracker:
    """Hungarian assignment on 1 - cosine, to the clip before or to the best of those remembered.

    Args:
        memory_length: clips that are remembered.
        top_k: of them, how many vote: those whose own assignment is cheapest; while fewer are remembered the single
            best one decides. 1 and 1 is the matching of adjacent clips.
        min_similarity: a query less similar to its track than this (cosine, on the deciding clip) begins a new track.

    Source: the paper's tracking and the official ``match_from_vote_embds``: the voters' costs are averaged, each
    multiplied by its place among the remembered clips, the latest the most. New tracks are ours: there, every query
    belongs to one of Q tracks for good.
    """

    def __init__(self, memory_length: int = 1, top_k: int = 1, min_similarity: float = 0.0) -> None:
        if not 1 <= top_k <= memory_length:
            raise ValueError(f"top_k {top_k} must be from 1 to memory_length {memory_length}")
        self.top_k, self.min_similarity = top_k, min_similarity
        self._memory: deque[Array] = deque(maxlen=memory_length)
        self._ids: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._next = 0

    def update(
        self, queries_QD: NDArray[np.floating], scores_Q: NDArray[np.floating] | None = None
    ) -> NDArray[np.int64]:
        """The track of each query of the next clip, int64 [Q], each once; ids count from 0 and are never used again.

        Args:
            queries_QD: after the decoder's norm.
            scores_Q: where given, pairs count by the score of the query of now, so that background queries, which
                resemble each other, do not push objects out of their tracks.
        """
        now = _unit(np.asarray(queries_QD, dtype=np.float64))
        if not self._memory:
            order = np.arange(len(now))
            self._ids = order.astype(np.int64)
            self._next = len(now)
        else:
            order = self._match(now, scores_Q)
        self._memory.append(now[order])
        ids = np.empty(len(now), dtype=np.int64)
        ids[order] = self._ids
        return ids

    def _match(self, now: Array, scores_Q: NDArray[np.floating] | None) -> NDArray[np.int64]:
        """The query of each slot; slots whose query is new get a new track."""
        weight = np.ones(len(now)) if scores_Q is None else 0.05 + np.asarray(scores_Q, dtype=np.float64)
        costs = [(1 - past @ now.T) * weight for past in self._memory]
        solved = [_solve(cost) for cost in costs]
        ranked = sorted(range(len(costs)), key=lambda i: solved[i][1])
        if len(costs) < self.top_k or self.top_k == 1:
            order = solved[ranked[0]][0]
        else:
            order, _ = _solve(np.mean([costs[i] * (i + 1) for i in ranked[: self.top_k]], axis=0))
        similarity = (self._memory[ranked[0]] * now[order]).sum(1)
        new = similarity < self.min_similarity
        self._ids = self._ids.copy()
        self._ids[new] = self._next + np.arange(int(new.sum()))
        self._next += int(new.sum())
        return order
