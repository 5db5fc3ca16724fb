"""Mask AP of whole tracks, as LV-VIS and YouTube-VIS define it: IoU is summed over all frames of the two tracks.

Source: Yang et al., ICCV 2019, arXiv:1905.04804; LV-VIS: Wang et al., ICCV 2023, arXiv:2304.01715, which sets the size
ranges at 128² and 256² pixels and splits the categories into base (partitions 0, 1) and novel (2, 3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capgen.evaluation.metrics.protocols import Protocol, of_any_score
from capgen.evaluation.metrics.resampling.average_precision import ApSample, RankedTracks
from capgen.evaluation.reading.similarity import Overlaps
from capgen.evaluation.reading.tracks import (
    Blank,
    Detection,
    Id,
    Notes,
    TruthCategory,
    VideoTracks,
    detection_area,
    sort_key,
)

IOUS: NDArray[np.float64] = np.linspace(0.5, 0.95, 10)
RECALLS: NDArray[np.float64] = np.linspace(0.0, 1.0, 101)
MAX_DETECTIONS = (1, 10, 100)
SIZES = {"": (0.0, 1e10), "_small": (0.0, 128.0**2), "_medium": (128.0**2, 256.0**2), "_large": (256.0**2, 1e10)}
"""Ranges of the mean area over the frames a track is visible on, both ends included; the first is all."""


_Curve = tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]


@dataclass(slots=True)
class _Tube:
    """A track: its detections by frame, all their pixels, their mean area, and for predictions the score."""

    shown: dict[int, Detection]
    pixels: float
    area: float
    score: float
    crowd: bool
    track: Id


@dataclass(slots=True)
class _Group:
    """One category of one video in one range of sizes.

    Args:
        scores: [D], best first, at most 100.
        hit, ignored: bool [T, D] for T thresholds of IoU.
        positives: how many truths count.
    """

    scores: NDArray[np.float64]
    hit: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    positives: int


@dataclass(slots=True)
class MaskAp:
    """Average precision and recall of the tracks of many videos.

    Under ``official`` sizes are the areas that the ground truth states, crowds are truths like any other, a truth with
    the id 0 is never found, and base and novel categories are looked up at the place ``id - 1``. Under ``clean`` sizes
    are counted from the masks, crowds and what lies in them are left out as for CHOTA, categories are looked up by id,
    and predictions of one score are counted together, so that no order among them matters.
    """

    protocol: Protocol
    notes: Notes = field(default_factory=Notes)
    _groups: dict[tuple[Id, str], list[tuple[Id, _Group]]] = field(default_factory=dict)
    _seen: set[Id] = field(default_factory=set)
    _places: dict[Id, int] = field(default_factory=dict)

    def add(self, video: VideoTracks) -> None:
        """Take in one video: all its predictions, whatever their score."""
        official = self.protocol == "official"
        self._places.setdefault(video.video, len(self._places))
        if official:
            truths = _tubes(video.truth, video.blank_truth, stated=True)
            found = _tubes(video.predictions, video.blank_predictions, stated=False)
        else:
            kept = of_any_score(video, "mask")
            truths, found = _tubes(kept.truth, (), stated=False), _tubes(kept.predictions, (), stated=False)
        overlaps = video.overlaps or Overlaps(video.truth, video.predictions)
        nobody = 0 if official and video.by_track else None
        for category in truths.keys() | found.keys():
            if category is None:
                continue
            if category in truths:
                self._seen.add(category)
            side = truths.get(category, [])
            ranked, ious = self._rank(found.get(category, []), side, overlaps)
            for size, limits in SIZES.items():
                group = self._match(side, ranked, ious, limits, nobody)
                self._groups.setdefault((category, size), []).append((video.video, group))

    def _rank(
        self, found: Sequence[_Tube], truths: Sequence[_Tube], overlaps: Overlaps
    ) -> tuple[list[_Tube], NDArray[np.float64]]:
        """The best predictions, and their IoUs, [D, G]; ``clean`` ranks equal scores by their best overlap."""
        if self.protocol == "official":
            ranked = sorted(found, key=lambda tube: -tube.score)[: MAX_DETECTIONS[-1]]
            return ranked, _tube_ious(ranked, truths, overlaps)
        ious = _tube_ious(found, truths, overlaps)
        best = ious.max(axis=1, initial=0.0)
        order = sorted(range(len(found)), key=lambda d: (-found[d].score, -best[d]))[: MAX_DETECTIONS[-1]]
        return [found[d] for d in order], ious[order]

    def _match(
        self,
        truths: Sequence[_Tube],
        found: Sequence[_Tube],
        ious: NDArray[np.float64],
        limits: tuple[float, float],
        nobody: Id | None,
    ) -> _Group:
        """Give each prediction, best first, the free truth it covers most, one that counts before one that does not.

        A match with the truth ``nobody`` is lost: the public code marks what is unmatched with the id 0.
        """
        aside = [not limits[0] <= tube.area <= limits[1] for tube in truths]
        order = sorted(range(len(truths)), key=lambda g: aside[g])
        outside = np.array([not limits[0] <= tube.area <= limits[1] for tube in found], np.bool_)
        hit = np.zeros((len(IOUS), len(found)), np.bool_)
        ignored = np.zeros_like(hit)
        for t, threshold in enumerate(IOUS):
            free = [True] * len(truths)
            for d in range(len(found)):
                best = _best(ious[d], order, aside, free, truths, min(threshold, 1 - 1e-10))
                if best is None:
                    continue
                free[best] = False
                ignored[t, d] = aside[best]
                hit[t, d] = truths[best].track != nobody
        ignored |= ~hit & outside
        scores = np.array([tube.score for tube in found], np.float64)
        return _Group(scores, hit, ignored, sum(not a for a in aside))

    def finish(self, categories: Mapping[Id, TruthCategory]) -> dict[str, float | None]:
        """AP, AP50, AP75, by size, by base and novel, and average recall; None where there is no truth."""
        ids = sorted(categories or self._seen, key=sort_key)
        curves = {
            (size, limit): [self._curve(category, size, limit) for category in ids]
            for size in SIZES
            for limit in (MAX_DETECTIONS if not size else MAX_DETECTIONS[-1:])
        }
        groups = self._split(ids, categories)
        values: dict[str, float | None] = {}
        for name, found in self._named(curves).items():
            values[name] = _mean(found)
            for group, places in groups.items():
                values[f"{name}_{group}"] = None if places is None else _mean([found[p] for p in places])
        return values

    @staticmethod
    def _named(curves: Mapping[tuple[str, int], Sequence[_Curve]]) -> dict[str, list[NDArray[np.float64] | None]]:
        """What each number is the mean of, a value a category; None for a category without truth."""
        most = MAX_DETECTIONS[-1]
        whole = [precision for precision, _ in curves["", most]]
        found = {"AP": whole}
        found["AP50"] = [p if p is None else p[:1] for p in whole]
        found["AP75"] = [p if p is None else p[5:6] for p in whole]
        for size in list(SIZES)[1:]:
            found[f"AP{size}"] = [precision for precision, _ in curves[size, most]]
        for limit in MAX_DETECTIONS:
            found[f"AR{limit}"] = [recall for _, recall in curves["", limit]]
        for size in list(SIZES)[1:]:
            found[f"AR{size}"] = [recall for _, recall in curves[size, most]]
        return found

    def _curve(self, category: Id, size: str, limit: int) -> _Curve:
        """Precision at each recall, [T, R], and the highest recall, [T], of one category."""
        groups = self._in_order(category, size)
        positives = sum(group.positives for _, group in groups)
        if not positives:
            return None, None
        return precision_recall(self._ranked_tracks(groups, limit), positives, guarded=self.protocol == "official")

    def _in_order(self, category: Id, size: str) -> list[tuple[Id, _Group]]:
        groups = self._groups.get((category, size), [])
        if all(isinstance(video, int) for video, _ in groups):
            return sorted(groups, key=lambda pair: sort_key(pair[0]))
        return groups

    def _ranked_tracks(self, groups: Sequence[tuple[Id, _Group]], limit: int) -> RankedTracks:
        """The predictions of all videos, best first, at most ``limit`` a video."""
        scores = np.concatenate([group.scores[:limit] for _, group in groups])
        order = np.argsort(-scores, kind="stable")
        hit = np.concatenate([group.hit[:, :limit] for _, group in groups], axis=1)[:, order]
        counts = ~np.concatenate([group.ignored[:, :limit] for _, group in groups], axis=1)[:, order]
        places = np.array([self._places[video] for video, _ in groups], np.int64)
        video = np.repeat(places, [len(group.scores[:limit]) for _, group in groups])[order]
        end = np.arange(len(order))
        if self.protocol == "clean" and len(order):
            ends = ends_of_ties(scores[order])
            end = ends[np.searchsorted(ends, end)]
        truths = np.array([(place, g.positives) for place, (_, g) in zip(places, groups, strict=True)], np.int64)
        return RankedTracks(video, end, hit & counts, counts, truths)

    def sample(self, categories: Mapping[Id, TruthCategory]) -> ApSample:
        """What AP over tracks of every size is made of, to draw the videos again, in the order they came in."""
        ids = sorted(categories or self._seen, key=sort_key)
        groups = {category: self._in_order(category, "") for category in ids}
        known = [category for category in ids if any(group.positives for _, group in groups[category])]
        split = {
            name: [known.index(ids[place]) for place in places if ids[place] in known]
            for name, places in self._split(ids, categories).items()
            if places is not None
        }
        ranked = [self._ranked_tracks(groups[category], MAX_DETECTIONS[-1]) for category in known]
        return ApSample(RECALLS, ranked, split)

    def _split(self, ids: Sequence[Id], categories: Mapping[Id, TruthCategory]) -> dict[str, list[int] | None]:
        """The places in ``ids`` of base and novel categories; empty where the ground truth has no partitions.

        None for a group that the public code could not look up.
        """
        if not categories or any(c.partition is None for c in categories.values()):
            return {}
        groups: dict[str, list[int] | None] = {}
        for name, parts in (("base", (0, 1)), ("novel", (2, 3))):
            chosen: list[Any] = [c.id for c in categories.values() if c.partition in parts]
            if self.protocol == "clean":
                groups[name] = [ids.index(c) for c in chosen]
                continue
            places = [c - 1 for c in chosen if isinstance(c, int)]
            groups[name] = places
            if len(places) < len(chosen) or any(not -len(ids) <= p < len(ids) for p in places):
                self.notes.say(f"AP_{name} is left out: the public code looks a category up at the place id - 1")
                groups[name] = None
            elif [ids[p] for p in places] != chosen:
                self.notes.say("category ids are not 1, 2, …: the public code takes base and novel from wrong places")
        return groups


def precision_recall(
    ranked: RankedTracks, positives: int, *, guarded: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Precision at each recall, [T, R], and the highest recall, [T], of the predictions of one category.

    Args:
        guarded: as the public code guards the quotient, which leaves a perfect precision just below 1.
    """
    precision = np.zeros((len(ranked.hit), len(RECALLS)))
    if not len(ranked.video):
        return precision, np.zeros(len(precision))
    ends = np.unique(ranked.end)
    tp, fp = np.cumsum(ranked.hit, axis=1)[:, ends], np.cumsum(~ranked.hit & ranked.counts, axis=1)[:, ends]
    reached = tp / positives
    total = tp + fp + np.spacing(1) if guarded else np.maximum(tp + fp, 1)
    highest = np.maximum.accumulate((tp / total)[:, ::-1], axis=1)[:, ::-1]
    for t in range(len(precision)):
        places = np.searchsorted(reached[t], RECALLS, side="left")
        inside = places < tp.shape[1]
        precision[t, inside] = highest[t, places[inside]]
    return precision, reached[:, -1]


def _tubes(side: Sequence[Detection], blanks: Sequence[Blank], *, stated: bool) -> dict[Id | None, list[_Tube]]:
    """The tracks by category; with ``stated`` their sizes are the areas in the file."""
    found: dict[tuple[Id, Id | None], list[Detection]] = {}
    for one in side:
        found.setdefault((one.track, one.category), []).append(one)
    by_category: dict[Id | None, list[_Tube]] = {}
    for (track, category), many in found.items():
        pixels = np.array([detection_area(one) for one in many])
        counted = float(pixels.sum())
        written = [one.area for one in many if one.area]
        if stated and written:
            pixels = np.array([int(area) for area in written], np.float64)
        visible = pixels[pixels > 0]
        # Detections of a COCO file have a score each; a track file gives one to the track.
        scores = {one.score for one in many}
        tube = _Tube(
            shown={one.frame: one for one in many},
            pixels=counted,
            area=float(visible.mean()) if len(visible) else 0.0,
            score=sum(one.score for one in many) / len(many) if len(scores) > 1 else many[0].score,
            crowd=any(one.crowd for one in many),
            track=track,
        )
        by_category.setdefault(category, []).append(tube)
    for blank in blanks:
        by_category.setdefault(blank.category, []).append(_Tube({}, 0.0, 0.0, blank.score, blank.crowd, blank.track))
    return by_category


def ends_of_ties(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Of scores in descending order the last place of each run of equal ones."""
    return np.flatnonzero(np.append(scores[1:] != scores[:-1], True)) if len(scores) else np.zeros(0, np.int64)


def _best(
    ious: NDArray[np.float64],
    order: Sequence[int],
    aside: Sequence[bool],
    free: Sequence[bool],
    truths: Sequence[_Tube],
    threshold: float,
) -> int | None:
    """The truth that a prediction is given; of equal ones the later is taken.

    Under ``official`` a crowd may be given again; ``clean`` has left crowds out.
    """
    best: int | None = None
    for g in order:
        if not free[g] and not truths[g].crowd:
            continue
        if best is not None and not aside[best] and aside[g]:
            break
        if ious[g] >= threshold:
            best, threshold = g, float(ious[g])
    return best


def _tube_ious(found: Sequence[_Tube], truths: Sequence[_Tube], overlaps: Overlaps) -> NDArray[np.float64]:
    """Intersection over union of whole tracks, [D, G]: pixels of all frames together."""
    common = np.zeros((len(found), len(truths)))
    if not common.size:
        return common
    for frame in {f for tube in found for f in tube.shown} & {f for tube in truths for f in tube.shown}:
        rows = [i for i, tube in enumerate(found) if frame in tube.shown]
        columns = [j for j, tube in enumerate(truths) if frame in tube.shown]
        own, other = [found[i].shown[frame] for i in rows], [truths[j].shown[frame] for j in columns]
        share = overlaps.between(frame, other, own).T
        both = np.add.outer([detection_area(one) for one in own], [detection_area(one) for one in other])
        # From i / (a + b - i), whole pixels come back exactly.
        common[np.ix_(rows, columns)] += np.round(share / (1 + share) * both)
    total = np.add.outer([tube.pixels for tube in found], [tube.pixels for tube in truths]) - common
    ious: NDArray[np.float64] = np.divide(common, total, out=np.zeros_like(common), where=total > 0)
    return ious


def _mean(values: Sequence[NDArray[np.float64] | None]) -> float | None:
    known = [value.ravel() for value in values if value is not None]
    return float(np.concatenate(known).mean()) if known else None
