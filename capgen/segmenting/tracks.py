"""Masks of single frames joined to tracks: each goes on with the mask of the next frame that overlaps it most."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from capgen import rle
from capgen.segmenting.models import FoundMask, overlap

_LINK = 0.3  # least IoU of one object on two frames that follow each other
_GAP = 2  # frames that an object may be unseen


@dataclass(slots=True)
class LinkedTrack:
    """An object of a video: compressed run lengths and scores by the place of the frame."""

    counts: dict[int, str] = field(default_factory=dict)
    scores: list[float] = field(default_factory=list)
    categories: list[str | None] = field(default_factory=list)
    last: NDArray[np.bool_] | None = None

    def add(self, frame: int, found: FoundMask) -> None:
        """The object on a frame."""
        self.counts[frame] = rle.encode(found.bitmap)
        self.scores.append(found.score)
        self.categories.append(found.category)
        self.last = found.bitmap

    @property
    def category(self) -> str | None:
        """The category that most frames say; the first of several."""
        named = [name for name in self.categories if name is not None]
        return max(named, key=named.count) if named else None


def linked(frames: Iterable[list[FoundMask]], least: int = 2) -> list[LinkedTrack]:
    """Tracks over frames, the longest and surest first; one frame's masks are in memory at a time.

    Args:
        least: frames that a track must have, where the video has as many.
    """
    tracks: list[LinkedTrack] = []
    count = 0
    for number, masks in enumerate(frames):
        count = number + 1
        live = [track for track in tracks if number - max(track.counts) <= _GAP]
        pairs = sorted(
            (
                (overlap(track.last, one.bitmap), -place, -index)
                for place, track in enumerate(live)
                for index, one in enumerate(masks)
                if track.last is not None
            ),
            reverse=True,
        )
        taken: set[int] = set()
        gone_on: set[int] = set()
        for iou, place, index in pairs:
            if iou < _LINK or -place in gone_on or -index in taken:
                continue
            live[-place].add(number, masks[-index])
            gone_on.add(-place)
            taken.add(-index)
        for index, one in enumerate(masks):
            if index not in taken:
                fresh = LinkedTrack()
                fresh.add(number, one)
                tracks.append(fresh)
    long = [track for track in tracks if len(track.counts) >= min(least, count)]
    return sorted(long, key=lambda track: (-len(track.counts), -sum(track.scores) / len(track.scores)))
