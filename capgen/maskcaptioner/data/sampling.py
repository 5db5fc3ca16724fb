"""Which frames of a video make a clip, and how often a medium is seen in an epoch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np


def clip_frames(
    length: int, count: int, stride: tuple[int, int], anchors: Sequence[int], rng: np.random.Generator
) -> tuple[int, ...]:
    """The indices of ``count`` frames in the order of time, never backwards: captions speak of motion.

    The distance between two is drawn from ``stride``, and is smaller where the video is too short for it. A video of
    fewer frames than ``count`` repeats its last one.

    Args:
        anchors: frames of which the clip holds one, such as those with objects; none: any.
    """
    if length <= count:
        return tuple(min(i, length - 1) for i in range(count))
    longest = (length - 1) // max(1, count - 1)
    step = int(rng.integers(min(stride[0], longest), min(stride[1], longest) + 1))
    anchor = int(rng.choice(np.asarray(anchors))) if anchors else int(rng.integers(length))
    start = anchor - step * int(rng.integers(count))
    start = min(max(start, 0), length - 1 - step * (count - 1))
    return tuple(start + step * i for i in range(count))


def repeat_factors(media_with: Mapping[str, int], media: int, threshold: float) -> dict[str, float]:
    """How often a category's media are seen in an epoch: max(1, sqrt(t / f)), f its share of all media.

    Source: Gupta et al., LVIS, CVPR 2019.
    """
    if not threshold:
        return {}
    factors = {name: math.sqrt(threshold * media / count) for name, count in media_with.items()}
    return {name: factor for name, factor in factors.items() if factor > 1}


def times(categories: Iterable[str | None], factors: Mapping[str, float], rng: np.random.Generator) -> int:
    """How often a medium with these categories comes in this epoch; the fraction is settled by chance."""
    factor = max((factors.get(name, 1.0) for name in categories if name is not None), default=1.0)
    whole = int(factor)
    return whole + int(rng.random() < factor - whole)
