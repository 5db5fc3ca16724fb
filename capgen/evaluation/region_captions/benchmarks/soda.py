"""SODA: how well a list of captions of segments tells the story of another.

Source: Fujita et al., ECCV 2020: the pairs of true and predicted captions, in their order, that give the greatest sum
of overlap times caption score; then F1 of that sum over either number of captions.
"""

from __future__ import annotations

from collections.abc import Sequence


def overlap(a: tuple[int, int], b: tuple[int, int]) -> float:
    """IoU of two segments; 0 for one without length, as in the public program."""
    (first, last), (start, end) = sorted(a), sorted(b)
    common = max(0, min(last, end) - max(first, start))
    # of segments that do not touch the sum of lengths is the smaller one
    union = min(max(last, end) - min(first, start), last - first + end - start)
    return common / union if union else 0.0


def soda(scores: Sequence[Sequence[float]]) -> float:
    """F1 of the best pairs in order.

    Args:
        scores: overlap times caption score of each true (rows) and predicted (columns) caption, none negative; at least
            one of each.
    """
    columns = len(scores[0])
    best = [0.0] * (columns + 1)
    for row in scores:
        above, best = best, [0.0] * (columns + 1)
        for j, score in enumerate(row, 1):
            best[j] = max(above[j], best[j - 1], above[j - 1] + score)
    precision, recall = best[-1] / columns, best[-1] / len(scores)
    return 2 * precision * recall / (precision + recall) if best[-1] else 0.0
