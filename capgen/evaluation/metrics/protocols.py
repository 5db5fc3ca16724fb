"""What counts as a detection: the public evaluators' reading of a file, and ours.

``official`` takes every detection as it is. ``clean`` has these remedies: a mask or box without pixels is no
detection; crowd regions are neither hits nor misses, and what lies in them unmatched is no false positive; a track
that is on one frame twice is refused; a score equal to the threshold is enough; and detections are put in an order
that does not depend on that of the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from capgen.errors import UserError
from capgen.evaluation.metrics.clean.matching import clean_match
from capgen.evaluation.metrics.hota import Matches, Sequenced
from capgen.evaluation.reading.similarity import Overlaps, PairLayout, box_pairs, covered, lay_out, mask_pairs
from capgen.evaluation.reading.tracks import Detection, Id, Iou, Notes, VideoTracks, detection_area, sort_key
from capgen.rle import Ints

Protocol = Literal["official", "clean"]

_CROWD_COVER = 0.5
"""How much of a detection must lie in a crowd region for it to be forgiven, as for HOTA on KITTI and MOTS."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The detections of a video that a protocol counts, in the order of their files."""

    truth: tuple[Detection, ...]
    predictions: tuple[Detection, ...]


def official(video: VideoTracks, threshold: float, notes: Notes) -> Kept:
    """Every truth, and every prediction whose score is above the threshold."""
    kept = Kept(video.truth, tuple(one for one in video.predictions if one.score > threshold))
    twice = sum(len(repeated(side)) for side in (kept.truth, kept.predictions))
    notes.count("detections repeat a track id on a frame; counted once, as scenic does, where TrackEval refuses", twice)
    return kept


def clean(video: VideoTracks, threshold: float, iou: Iou, notes: Notes) -> Kept:
    """The detections that have pixels and reach the threshold, without crowds and what lies in them.

    Raises:
        UserError: a track is on one frame twice, or a box has a negative side.
    """
    found = [one for one in video.predictions if one.score >= threshold]
    for side, file, array in (
        (video.truth, video.truth_file, "annotations"),
        (found, video.prediction_file, "predictions"),
    ):
        _refuse(side, f"{file}: {array}", video)
    truth = [one for one in video.truth if _visible(one)]
    predictions = [one for one in found if _visible(one)]
    notes.count("truths without pixels are no detections", len(video.truth) - len(truth))
    notes.count("predictions without pixels are no detections", len(found) - len(predictions))
    kept = _without_crowds(truth, predictions, video, iou)
    crowds = len(truth) - len(kept.truth)
    notes.count("crowd regions are neither hits nor misses", crowds)
    notes.count("predictions that lie in a crowd region are forgiven", len(predictions) - len(kept.predictions))
    return kept


def of_any_score(video: VideoTracks, iou: Iou) -> Kept:
    """As ``clean`` without a threshold, for AP, which ranks all predictions; a track may be on a frame twice."""
    truth, predictions = ([one for one in side if _visible(one)] for side in (video.truth, video.predictions))
    return _without_crowds(truth, predictions, video, iou)


def _without_crowds(truth: Sequence[Detection], predictions: Sequence[Detection], video: VideoTracks, iou: Iou) -> Kept:
    """The objects, and the predictions that are not forgiven, both in their own order."""
    crowds = [one for one in truth if one.crowd]
    objects = in_own_order([one for one in truth if not one.crowd])
    found = in_own_order(predictions)
    return Kept(tuple(objects), tuple(_outside(crowds, objects, found, video, iou) if crowds else found))


def in_own_order(side: Sequence[Detection]) -> list[Detection]:
    """The detections track by track: the longest first, then the one with the best mean score, then by content.

    The matching takes the first of two tracks that are equal in every overlap. The order depends neither on that of the
    file nor, unless two tracks are alike in all they have, on the ids.
    """
    tracks: dict[Id, list[Detection]] = {}
    for one in sorted(side, key=lambda one: one.frame):
        tracks.setdefault(one.track, []).append(one)
    ranked = sorted(tracks.values(), key=_rough_order)
    ordered: list[Detection] = []
    for _, alike in groupby(ranked, key=_rough_order):
        group = list(alike)
        ordered += [one for track in (sorted(group, key=_fine_order) if len(group) > 1 else group) for one in track]
    return ordered


def _rough_order(track: Sequence[Detection]) -> tuple[float, ...]:
    return -len(track), -sum(one.score for one in track), track[0].frame


def _fine_order(track: Sequence[Detection]) -> tuple[object, ...]:
    content = [(one.frame, one.caption, one.box or (), one.mask["counts"] if one.mask else b"") for one in track]
    return content, sort_key(track[0].track)


def public_order(ids: Sequence[Id]) -> list[Id]:
    """Ids in the order in which the public code meets them, which goes through a set.

    For numbers that order is always the same, and single precision keeps it in its sums. For text it changes with
    every start of Python; text is taken in its own order instead.
    """
    unique = set(ids)
    return list(unique) if all(isinstance(one, int) for one in unique) else sorted(unique, key=sort_key)


def _visible(one: Detection) -> bool:
    return detection_area(one) > 0


def _refuse(side: Sequence[Detection], where: str, video: VideoTracks) -> None:
    for one in repeated(side):
        raise UserError(
            f"{where}[{one.place}] has track {one.track} on image {video.frames[one.frame]} a second time",
            "give every object of a frame its own track_id, or score with --protocol official, which counts it once",
        )
    for one in side:
        if one.box and one.mask is None and min(one.box[2:]) < 0:
            raise UserError(
                f"{where}[{one.place}] on image {video.frames[one.frame]} has a box of negative size {list(one.box)}",
                "write x, y, width, height",
            )


def repeated(side: Sequence[Detection]) -> list[Detection]:
    """The detections whose track is on their frame already."""
    seen: set[tuple[int, Id]] = set()
    twice = []
    for one in side:
        if (one.frame, one.track) in seen:
            twice.append(one)
        seen.add((one.frame, one.track))
    return twice


def _outside(
    crowds: Sequence[Detection],
    truth: Sequence[Detection],
    predictions: Sequence[Detection],
    video: VideoTracks,
    iou: Iou,
) -> list[Detection]:
    """The predictions that are matched to a truth at an IoU of 0.5, or do not lie in a crowd region."""
    sequence = sequence_of(Kept(tuple(truth), tuple(predictions)), len(video.frames), np.float64, video.overlaps)
    own = set(sequence.layout.predictions[clean_match(sequence).matches.column].tolist())
    forgiven: set[int] = set()
    for frame in {one.frame for one in crowds}:
        here = [i for i, one in enumerate(predictions) if one.frame == frame and i not in own]
        cover = covered([predictions[i] for i in here], [one for one in crowds if one.frame == frame], iou)
        forgiven.update(i for i, share in zip(here, cover, strict=True) if share.max(initial=0.0) >= _CROWD_COVER)
    return [one for i, one in enumerate(predictions) if i not in forgiven]


def sequence_of(kept: Kept, frames: int, dtype: DTypeLike, overlaps: Overlaps | None = None) -> Sequenced:
    """The detections laid out for matching; by their masks with ``overlaps``, else by their boxes in ``dtype``."""
    truth_frames, prediction_frames = _frames(kept.truth), _frames(kept.predictions)
    layout = lay_out(truth_frames, prediction_frames, frames)
    truth_ids, prediction_ids = _numbered(kept.truth), _numbered(kept.predictions)
    return Sequenced(
        layout=layout,
        truth_ids=truth_ids[layout.truth],
        prediction_ids=prediction_ids[layout.predictions],
        similarity=mask_pairs(layout, kept.truth, kept.predictions, overlaps)
        if overlaps
        else box_pairs(layout, kept.truth, kept.predictions, dtype),
        repeats=_repeat(truth_frames, truth_ids) or _repeat(prediction_frames, prediction_ids),
    )


def _frames(side: Sequence[Detection]) -> Ints:
    return np.array([one.frame for one in side], np.int64)


def _numbered(side: Sequence[Detection]) -> Ints:
    numbers = {track: n for n, track in enumerate(sorted({one.track for one in side}, key=sort_key))}
    return np.array([numbers[one.track] for one in side], np.int64)


def _repeat(frames: Ints, ids: Ints) -> bool:
    """Whether a track is on a frame twice."""
    return bool(len(ids)) and bool(np.bincount(frames * (ids.max() + 1) + ids).max() > 1)


def pairs_of(
    layout: PairLayout, matches: Matches, here: NDArray[np.bool_], kept: Kept
) -> list[tuple[Detection, Detection, float]]:
    """Truth, prediction and IoU of the matches that ``here`` selects, frame by frame."""
    rows, columns = layout.truth[matches.row[here]], layout.predictions[matches.column[here]]
    return [
        (kept.truth[r], kept.predictions[c], v)
        for r, c, v in zip(rows.tolist(), columns.tolist(), matches.iou[here].tolist(), strict=True)
    ]
