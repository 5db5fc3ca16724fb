"""How often the caption of one object changes from frame to frame.

Source: Zhou et al., ECCV 2024, arXiv:2306.11729, which asks for one caption a trajectory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from capgen.evaluation.metrics.chota import VideoSums
from capgen.evaluation.metrics.dense_captioning import EMPTY, by_frame, iou_table, merged_truths
from capgen.evaluation.metrics.rows import TruthRow
from capgen.evaluation.reading.similarity import boxes
from capgen.evaluation.reading.tracks import Id, VideoTracks, sort_key


def clean_switches(rows: Sequence[TruthRow]) -> tuple[float, float]:
    """Changes over all truths between one frame on which they were found and the next, and how many there could be."""
    return float(sum(row.switches for row in rows)), float(sum(max(0, row.tp - 1) for row in rows))


def switch_share(videos: Sequence[VideoSums]) -> float | None:
    """Changes over all videos, as a share of what there could be; None where there could be none."""
    changed, possible = np.sum([video.switches for video in videos], axis=0) if videos else (0.0, 0.0)
    return float(changed / possible) if possible else None


@dataclass(slots=True)
class OfficialSwitches:
    """Scenic's ``cap_switch``: changes over the true boxes that have a caption.

    Truths that overlap by 0.7 are merged. On each frame a prediction, best score first, gets the truth that it overlaps
    most, however little, unless that one is taken; what is said of a truth without caption never changes.

    Args:
        threshold: predictions must reach it.
    """

    threshold: float
    _changed: int = 0
    _captioned: int = 0

    def add(self, video: VideoTracks) -> None:
        """Take in one video of boxes."""
        truths, found = by_frame(video.truth), by_frame(video.predictions)
        said: dict[Id, str] = {}
        # In the order of image ids, as the public code goes through a video.
        for frame in sorted(range(len(video.frames)), key=lambda f: sort_key(video.frames[f])):
            merged, captions, tracks = merged_truths(truths.get(frame, []))
            self._captioned += sum(bool(references[0]) for references in captions)
            ranked = sorted(found.get(frame, []), key=lambda one: -one.score)
            ious = iou_table(boxes(ranked, np.float64), merged)
            used = np.zeros(len(merged), np.bool_)
            here: dict[Id, str] = {}
            for row, one in zip(ious, ranked, strict=True):
                best = int(row.argmax()) if len(merged) else -1
                if one.score < self.threshold or best < 0 or row[best] <= 0 or used[best]:
                    continue
                used[best] = True
                here[tracks[best]] = EMPTY if "" in captions[best] else one.caption
            self._changed += sum(said.get(track, caption) != caption for track, caption in here.items())
            said |= here

    def finish(self) -> float | None:
        """The share; None without captions."""
        return self._changed / self._captioned if self._captioned else None
