"""Clean cannot be gamed in crowds either: each sum is the largest that a matching can have, so no correct detection
lowers it."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from capgen.evaluation.metrics.clean.matching import clean_counts, clean_match
from capgen.evaluation.metrics.hota import ALPHAS, count, match
from capgen.evaluation.metrics.protocols import Kept, sequence_of
from capgen.evaluation.reading.tracks import Detection
from tests.evaluation.evalcases import EXACT, box, random_scene, score

CAPTIONS = ("", "a red dog runs", "a green wall", "the old stone wall", "a dog")
FRAMES = 4


def iou(a, b):
    sides = [max(0.0, min(a[i] + a[i + 2], b[i] + b[i + 2]) - max(a[i], b[i])) for i in (0, 1)]
    common = sides[0] * sides[1]
    return common / (a[2] * a[3] + b[2] * b[3] - common)


def crowd(seed, objects=4, spread=4.0):
    """Boxes of 10 x 10 pixels that overlap heavily; predictions near them, some doubled, some by other tracks."""
    rng = np.random.default_rng(seed)
    base = rng.uniform(2, 2 + spread, (objects, 2))
    truth, found = [], []
    for t in range(objects):
        caption = str(rng.choice(CAPTIONS))
        frames = [f for f in range(FRAMES) if rng.random() < 0.9]
        truth += [box(f, t, [*(base[t] + rng.normal(0, 0.5, 2)), 10.0, 10.0], caption) for f in frames]
    said = {track: str(rng.choice(CAPTIONS)) for track in range(100, 100 + objects + 2)}
    for one in truth:
        for _ in range(int(rng.integers(0, 3))):
            own = 100 + one["track"]
            track = own if rng.random() < 0.7 else int(rng.integers(100, 100 + objects + 2))
            if any(p["frame"] == one["frame"] and p["track"] == track for p in found):
                continue
            x, y, w, h = one["bbox"]
            shape = [x + rng.normal(0, 1.0), y + rng.normal(0, 1.0), w, h]
            found.append({**one, "track": track, "bbox": shape, "caption": said[track]})
    return truth, found, said


def values(truth, found):
    with tempfile.TemporaryDirectory() as folder:
        return score(Path(folder), truth, found)


def tracks_that_lie_on_no_other(truth, found, target, tracks):
    """The tracks that are not yet on the target's frame and elsewhere overlap no other truth by 0.5."""
    chosen = []
    for track in tracks:
        own = [p for p in found if p["track"] == track]
        on = {t["track"] for p in own for t in truth if t["frame"] == p["frame"] and iou(t["bbox"], p["bbox"]) >= 0.5}
        if on <= {target["track"]} and not any(p["frame"] == target["frame"] for p in own):
            chosen.append(track)
    return chosen


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1.0, 4.0, 8.0]), st.data())
def test_in_a_crowd_a_correct_detection_lowers_nothing_and_its_deletion_raises_nothing(seed, spread, data):
    """Correct: a truth more can be matched with it, and its track lies on no other truth; the caption is free."""
    truth, found, said = crowd(seed, spread=spread)
    assume(truth)
    target = data.draw(st.sampled_from(truth))
    tracks = tracks_that_lie_on_no_other(truth, found, target, [*said, 999])
    track = data.draw(st.sampled_from(tracks))
    x, y, w, h = target["bbox"]
    shift = data.draw(st.sampled_from([0.0, 0.5, 1.5]))
    caption = said.get(track, data.draw(st.sampled_from(CAPTIONS)))
    more = [*found, {**target, "track": track, "bbox": [x + shift, y, w, h], "caption": caption}]
    before, after = values(truth, found), values(truth, more)
    assume(after["TP"] == before["TP"] + 1)
    for name in ("DetA", "HOTA", "CHOTA_cider", "CHOTA"):
        if before[name] is not None:
            assert after[name] >= before[name] * (1 - EXACT), name


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_in_a_crowd_every_number_is_in_0_to_1(seed):
    truth, found, _ = crowd(seed, spread=1.0)
    assume(truth)
    got = values(truth, found)
    for name in ("DetA", "AssA", "LocA", "HOTA", "CapA", "CHOTA"):
        assert got[name] is None or 0 <= got[name] <= 1 + EXACT, name


def detections(side):
    return tuple(Detection(one["frame"], one["track"], 1, 0.9, one["caption"], tuple(one["bbox"])) for one in side)


def by_brute_force(truth, found):
    """The largest number of pairs and the largest sum of association, over all matchings of every frame."""
    edges = [
        (t["frame"], t["track"], p["track"])
        for t in truth
        for p in found
        if t["frame"] == p["frame"] and iou(t["bbox"], p["bbox"]) >= 0.5
    ]
    length = {one: sum(t["track"] == one for t in (*truth, *found)) for one in {t["track"] for t in (*truth, *found)}}
    common = {pair: sum((t, p) == pair for _, t, p in edges) for pair in {(t, p) for _, t, p in edges}}
    worth = {(t, p): n / (length[t] + length[p] - n) for (t, p), n in common.items()}
    most = heaviest = 0.0
    for frame in range(FRAMES):
        here = [(t, p) for f, t, p in edges if f == frame]
        sets = [
            chosen
            for size in range(len(here) + 1)
            for chosen in itertools.combinations(here, size)
            if len({t for t, _ in chosen}) == len({p for _, p in chosen}) == size
        ]
        most += max(len(chosen) for chosen in sets)
        heaviest += max(sum(worth[pair] for pair in chosen) for chosen in sets)
    return most, heaviest


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_sums_are_the_largest_of_all_matchings(seed):
    truth, found, _ = crowd(seed, objects=3)
    assume(truth and found)
    video = sequence_of(Kept(detections(truth), detections(found)), FRAMES, np.float64)
    counts = clean_counts(video, clean_match(video))
    most, heaviest = by_brute_force(truth, found)
    assert counts.tp[0] == most
    assert counts.ass_a[0] * counts.tp[0] == pytest.approx(heaviest, rel=EXACT)


@pytest.mark.parametrize("seed", range(5))
def test_where_nothing_is_contested_the_numbers_are_hotas(seed):
    """Sparse scenes: at most one pair of each object overlaps by 0.5."""
    truth, found = ([one for one in side if one["video"] == 1] for side in random_scene(seed, videos=1, tracks=2))
    for one in (*truth, *found):  # each object in a corner of its own
        one["bbox"] = [one["bbox"][0] + 100.0 * (one["track"] % 10), *one["bbox"][1:]]
    video = sequence_of(Kept(detections(truth), detections(found)), 4, np.float64)
    ours, theirs = clean_counts(video, clean_match(video)), count(video, match(video), ALPHAS[9:10], np.float64)
    for name in ("tp", "fn", "fp", "ass_a", "ass_re", "ass_pr", "loc_a"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-12, err_msg=name)


def test_of_two_predictions_on_one_object_the_better_caption_counts(tmp_path):
    """And the other is a false positive: two guesses of which one is right give half, as one frame in two would."""
    truth = [box(0, 1, [10.0, 10.0, 20.0, 20.0], "a red dog runs")]
    both = [{**truth[0], "track": 5, "caption": "a wall"}, {**truth[0], "track": 6}]
    got = score(tmp_path, truth, both)
    assert (got["DetA"], got["AssA"], got["CapA"]) == pytest.approx((0.5, 1.0, 1.0))
