"""HOTA and Track mAP a class, and their means over classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from capgen.errors import UserError
from capgen.evaluation.metrics.hota import ALPHAS, HotaCounts, Sequenced, combine, count, match
from capgen.evaluation.metrics.per_class.rules import RULES, PerClassRules
from capgen.evaluation.metrics.per_class.track_map import TrackMap, WholeTrack
from capgen.evaluation.metrics.protocols import Kept, repeated, sequence_of
from capgen.evaluation.reading.federated import VideoLabels
from capgen.evaluation.reading.tracks import Blank, Detection, Id, TruthCategory, VideoTracks, detection_area, mask_box

HOTA_NAMES = ("HOTA", "DetA", "AssA", "LocA")
ClassValues = dict[str, float]
_REMOVE_BELOW = 0.5


@dataclass(frozen=True, slots=True)
class PerClassScores:
    """The result.

    Args:
        rules: the name of the benchmark whose rules were followed.
        groups: the means: ``all`` over classes, ``detections`` over the detections of all classes (HOTA alone), and
            BURST's ``common`` and ``uncommon`` classes. HOTA and its parts are means of 19 thresholds, AP of 10.
        classes: the numbers of each class, by name.
    """

    rules: str
    groups: dict[str, ClassValues]
    classes: dict[str, ClassValues]


@dataclass(slots=True)
class PerClassScoring:
    """Collects videos, predictions of every score.

    Args:
        name: of the rules.
        labels: what the ground truth says of its videos.
        merged: classes that the ground truth says are another.
    """

    name: str
    labels: Mapping[Id, VideoLabels]
    merged: Mapping[Id, Id]
    _map: TrackMap = field(init=False)
    _counts: dict[Id, list[HotaCounts]] = field(default_factory=dict)
    _seen: set[Id] = field(default_factory=set)
    _videos: list[Id] = field(default_factory=list)
    _reusing: list[Id] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._map = TrackMap(self.rules)

    @property
    def rules(self) -> PerClassRules:
        """What is special to the benchmark."""
        return RULES[self.name]

    def add(self, video: VideoTracks) -> None:
        """Take in one video.

        Raises:
            UserError: a track is on a frame twice.
        """
        self._videos.append(video.video)
        truth = [self._of_class(one) for one in video.truth if one.category not in self.rules.distractors]
        found = [self._of_class(one) for one in self._limited(video.predictions)]
        for side, file in ((truth, video.truth_file), (found, video.prediction_file)):
            for one in repeated(side):
                what = f"{file}: element {one.place} has track {one.track} on image {video.frames[one.frame]} again"
                raise UserError(what, "give every object of a frame its own track_id")
        blank = [b for b in video.blank_truth if b.category not in self.rules.distractors]
        self._seen |= {one.category for one in truth if one.category is not None}
        self._seen |= {one.category for one in blank if one.category is not None}
        self._add_tracks(video, truth, found, blank)
        self._add_frames(video, truth, found)

    def _of_class(self, one: Detection) -> Detection:
        if one.category is None:
            return one
        category = self.merged.get(one.category, (self.rules.merged or {}).get(one.category))
        return one if category is None else msgspec.structs.replace(one, category=category)

    def _limited(self, predictions: Sequence[Detection]) -> list[Detection]:
        """The predictions image by image, in the order in which images come first, the best of each."""
        most = self.rules.most_per_image
        if most is None:
            return list(predictions)
        images: dict[int, list[Detection]] = {}
        for one in predictions:
            images.setdefault(one.frame, []).append(one)
        kept: list[Detection] = []
        for many in images.values():
            kept += many if len(many) <= most else sorted(many, key=lambda one: -one.score)[:most]
        return kept

    def _labels(self, video: Id) -> VideoLabels:
        return self.labels.get(video, VideoLabels(str(video)))

    def _add_tracks(
        self, video: VideoTracks, truth: list[Detection], found: list[Detection], blank: Sequence[Blank]
    ) -> None:
        labels = self._labels(video.video)
        truths = _whole_tracks(truth, blank, stated=self.rules.stated_areas, first=None)
        first = _first_track(video) if not self.rules.federated else 0
        tracks = _whole_tracks(found, video.blank_predictions, stated=False, first=first)
        if any(track.reusable for many in tracks.values() for track in many):
            self._reusing.append(video.video)
        for category in truths.keys() | tracks.keys():
            known = not self.rules.federated or category in truths or category in labels.absent
            own, other = truths.get(category, []), tracks.get(category, []) if known else []
            ignore = self.rules.federated and category in labels.partial
            self._map.add(video.video, category, own, other, ignore=ignore)

    def _add_frames(self, video: VideoTracks, truth: list[Detection], found: list[Detection]) -> None:
        """The counts of HOTA of each class that the video has."""
        if self.rules.federated:  # only frames with truths are evaluated
            frames = {one.frame for one in truth}
            found = [one for one in found if one.frame in frames]
        if self.rules.frame_boxes:
            truth, found = ([_whole_pixel_box(one) for one in side] for side in (truth, found))
        overlaps = video.overlaps if self.rules.iou == "mask" and not self.rules.frame_boxes else None
        sides: dict[Id, tuple[list[Detection], list[Detection]]] = {}
        for place, side in enumerate((truth, found)):
            for one in side:
                if one.category is not None:
                    sides.setdefault(one.category, ([], []))[place].append(one)
        labels = self._labels(video.video)
        for category, (own, other) in sides.items():
            sequence = sequence_of(Kept(tuple(own), tuple(other)), len(video.frames), np.float64, overlaps)
            if self.rules.federated:
                gone = _removed(sequence, absent=category in labels.absent, partial=category in labels.partial)
                kept = Kept(tuple(own), tuple(one for n, one in enumerate(other) if n not in gone))
                sequence = sequence_of(kept, len(video.frames), np.float64, overlaps) if gone else sequence
            self._counts.setdefault(category, []).append(count(sequence, match(sequence), ALPHAS, np.float64))

    def finish(self, categories: Mapping[Id, TruthCategory]) -> PerClassScores:
        """The numbers of each class and their means."""
        classes = [c for c in categories if c in self._seen or self.rules.every_class]
        classes += sorted(self._seen - set(categories), key=str)
        classes = [c for c in classes if c not in self.rules.distractors]
        by_name = sorted(self._videos, key=lambda video: self._labels(video).name)
        order = {video: place for place, video in enumerate(by_name)}
        reuse = self._reuse_in(by_name)
        hota = {c: combine(self._counts.get(c) or [_nothing()]) for c in classes}
        ap = {c: self._map.values(c, order, reuse) for c in classes}
        each = {c: {name: float(hota[c][name].mean()) for name in HOTA_NAMES} | ap[c] for c in classes}
        groups = {"all": _mean([each[c] for c in classes])}
        if classes:
            whole = combine([_as_counts(hota[c]) for c in classes])
            groups["detections"] = {name: float(whole[name].mean()) for name in HOTA_NAMES}
        if self.rules.common:
            groups["common"] = _mean([each[c] for c in classes if c in self.rules.common])
            groups["uncommon"] = _mean([each[c] for c in classes if c not in self.rules.common])
        names = {c: categories[c].name if c in categories else str(c) for c in classes}
        return PerClassScores(self.name, groups, {names[c]: each[c] for c in classes})

    def _reuse_in(self, by_name: Sequence[Id]) -> Id | None:
        """The video whose predicted track has the id 0 in TrackEval.

        YouTube-VIS's tracks are numbered from 0 as they are read. The others keep theirs unless two videos share it.
        """
        if self.rules.federated:
            return self._reusing[0] if len(self._reusing) == 1 else None
        return next((video for video in by_name if video in self._reusing), None)


def _first_track(video: VideoTracks) -> Id | None:
    """The predicted track that comes first in the file."""
    places = [(one.place, one.track) for one in video.predictions]
    places += [(one.place, one.track) for one in video.blank_predictions]
    return min(places, key=lambda pair: pair[0])[1] if places else None


def _whole_tracks(
    side: Sequence[Detection], blanks: Sequence[Blank], *, stated: bool, first: Id | None
) -> dict[Id, list[WholeTrack]]:
    """The tracks by class, which is that of their first detection, in the order of the file."""
    tracks: dict[Id, list[Detection]] = {}
    for one in side:
        tracks.setdefault(one.track, []).append(one)
    rows: list[tuple[int, Id | None, WholeTrack]] = []
    for track, many in tracks.items():
        whole = WholeTrack(
            {one.frame: one for one in many},
            _mean_area(many, stated=stated),
            len(many),
            float(np.mean([one.score for one in many])),
            any(one.crowd for one in many),
            track == first,
        )
        rows.append((many[0].place, many[0].category, whole))
    rows += [(b.place, b.category, WholeTrack({}, 0.0, 0, b.score, b.crowd, b.track == first)) for b in blanks]
    if blanks:
        rows.sort(key=lambda row: row[0])
    found: dict[Id, list[WholeTrack]] = {}
    for _, category, whole in rows:
        if category is not None:
            found.setdefault(category, []).append(whole)
    return found


def _mean_area(track: Sequence[Detection], *, stated: bool) -> float:
    """The mean over the frames with pixels where the file states areas, else over all."""
    if stated:
        areas = [one.area for one in track if one.area]
        return float(np.mean(areas)) if areas else 0.0
    areas = [detection_area(one) for one in track]
    return sum(areas) / len(areas)


def _whole_pixel_box(one: Detection) -> Detection:
    """The tight box of the mask; TrackEval compares BURST's detections by it."""
    x, y, width, height = mask_box(one.mask or {})
    return msgspec.structs.replace(one, box=(float(int(x)), float(int(y)), float(int(width)), float(int(height))))


def _removed(sequence: Sequenced, *, absent: bool, partial: bool) -> set[int]:
    """Predictions of a class that do not count, as places in their side.

    They are those on frames without a truth of the class, unless the class is known to be absent from the video; and,
    where it is not labelled exhaustively, those that match no truth at an IoU of 0.5.
    """
    from scipy.optimize import linear_sum_assignment

    layout = sequence.layout
    gone: set[int] = set()
    for frame in np.flatnonzero(np.diff(layout.prediction_starts)).tolist():
        here = np.arange(layout.prediction_starts[frame], layout.prediction_starts[frame + 1])
        start, stop = layout.pair_starts[frame], layout.pair_starts[frame + 1]
        empty = start == stop
        if not ((empty and not absent) or partial):
            continue
        kept = np.zeros(len(here), np.bool_)
        if not empty:
            worth = sequence.similarity[start:stop].reshape(-1, len(here)).copy()
            worth[worth < _REMOVE_BELOW - np.finfo(float).eps] = 0.0
            rows, columns = linear_sum_assignment(-worth)
            kept[columns[worth[rows, columns] > np.finfo(float).eps]] = True
        gone.update(layout.predictions[here[~kept]].tolist())
    return gone


def _nothing() -> HotaCounts:
    zero = np.zeros(len(ALPHAS))
    return HotaCounts(zero, zero, zero, zero, zero, zero, np.ones(len(ALPHAS)))


def _as_counts(values: Mapping[str, NDArray[np.floating]]) -> HotaCounts:
    keys = ("TP", "FN", "FP", "AssA", "AssRe", "AssPr", "LocA")
    return HotaCounts(*(np.asarray(values[key], np.float64) for key in keys))


def _mean(rows: Sequence[ClassValues]) -> ClassValues:
    """The mean of each number over the classes that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: float(np.mean([row[name] for row in rows if name in row])) for name in names}
