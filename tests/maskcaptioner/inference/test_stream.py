from __future__ import annotations

import numpy as np
import pytest
import torch

from capgen.maskcaptioner.data.sizing import Placement, prepare
from capgen.maskcaptioner.inference.stream import Stream, _Running
from tests.maskcaptioner.tinymodel import alike, tiny_model


def _frames(count: int, height: int = 50, width: int = 90) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 255, (count, height, width, 3), dtype=np.uint8))


def test_tracks_lie_on_the_frames_that_were_pushed():
    stream = Stream(tiny_model(), threshold=0.0)
    frames = _frames(5)
    for start in (0, 2, 4):
        stream.push(frames[start : start + 2])
    tracks = stream.finish()
    assert tracks
    assert [track.track_id for track in tracks] == list(range(1, len(tracks) + 1))
    for track in tracks:
        assert track.frames == sorted(set(track.frames))
        assert set(track.frames) <= set(range(5))
        assert all(mask["size"] == [50, 90] for mask in track.masks)
        assert all(x >= 0 and y >= 0 and x + w <= 90 and y + h <= 50 for x, y, w, h in track.boxes)
        assert 0 <= track.score <= 1
        assert track.category == ["cup", "star", "hot_air_balloon"][track.category_id]
        assert isinstance(track.caption, str)


def test_the_same_video_gives_the_same_tracks():
    found = []
    for _ in range(2):
        stream = Stream(tiny_model(), threshold=0.0)
        stream.push(_frames(2))
        stream.push(_frames(2))
        found.append(stream.finish())
    assert alike(*found)


def test_no_track_has_a_score_under_the_threshold_even_if_one_of_its_clips_is_above_it():
    def tracks(threshold):
        stream = Stream(tiny_model(), threshold=threshold, max_overlap=1.0)
        stream.push(_frames(2))
        stream.push([np.zeros_like(frame) for frame in _frames(2)])
        return stream.finish(), stream._running.values()

    everything, running = tracks(0.0)
    unsteady = max(running, key=lambda track: max(track.scores) - track.score)
    threshold = (max(unsteady.scores) + unsteady.score) / 2
    assert unsteady.score < threshold < max(unsteady.scores)
    given, _ = tracks(threshold)
    assert len(given) == sum(track.score >= threshold for track in everything)
    assert all(track.score >= threshold for track in given)


def test_nothing_is_kept_below_the_threshold_or_beyond_max_tracks():
    model = tiny_model()
    for threshold, most, expected in ((1.0, 50, 0), (0.0, 2, 2)):
        stream = Stream(model, threshold=threshold, max_tracks=most)
        stream.push(_frames(2))
        assert len(stream.finish()) == expected


def test_of_queries_that_cover_the_same_one_track_is_given():
    frames, numbers = _frames(2), []
    for most in (1.0, 0.0):
        stream = Stream(tiny_model(), threshold=0.0, max_overlap=most)
        stream.push(frames)
        numbers.append(len(stream.finish()))
    assert numbers[0] > numbers[1] >= 1


def test_a_model_of_boxes_gives_boxes_only():
    stream = Stream(tiny_model(box_head=True, mask_head=False, caption=None), threshold=0.0, max_overlap=1.0)
    stream.push(_frames(2))
    tracks = stream.finish()
    assert len(tracks) == 6
    assert all(track.masks is None and track.caption is None and track.frames == [0, 1] for track in tracks)


def test_answers_are_averaged_by_score_and_the_weights_sum_to_one():
    track = _Running()
    for value, score in ((1.0, 0.2), (4.0, 0.6)):
        track.add_states(torch.full((2, 3), value), score, best_only=False)
    torch.testing.assert_close(track.states_LE / track.weight, torch.full((2, 3), 3.25))
    best = _Running()
    for value, score in ((1.0, 0.2), (4.0, 0.6), (9.0, 0.3)):
        best.add_states(torch.full((2, 3), value), score, best_only=True)
    torch.testing.assert_close(best.states_LE / best.weight, torch.full((2, 3), 4.0))


def test_a_track_holds_no_more_for_more_clips_than_its_masks_and_scores():
    stream = Stream(tiny_model(), threshold=0.0)
    for _ in range(4):
        stream.push(_frames(2))
    for track in stream._running.values():
        tensors = [value for value in (track.classes_C, track.states_LE) if value is not None]
        assert sum(tensor.untyped_storage().nbytes() for tensor in tensors) < 20_000


def test_masks_and_boxes_go_back_to_the_frame():
    picture = {
        "height": None,
        "width": None,
        "short_side": 40,
        "long_side": None,
        "divisor": 32,
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
    }
    pixels, placement = prepare(_frames(2, 80, 120), picture)
    assert placement == Placement((80, 120), (40, 60), (64, 64))
    assert pixels.shape == (1, 2, 3, 64, 64)
    assert not pixels[..., 40:, :].any()
    assert placement.box((30 / 64, 20 / 64, 20 / 64, 10 / 64)) == pytest.approx((40, 30, 40, 20))
    logits = torch.full((2, 16, 16), -5.0)
    logits[0, :5] = 5.0  # the top 20 of 40 rows
    masks = placement.masks(logits)
    assert masks.shape == (2, 80, 120)
    assert masks[0, :38].all()
    assert not masks[0, 42:].any()
    assert not masks[1].any()


def test_frames_of_several_sizes_are_refused():
    with pytest.raises(ValueError, match="one size"):
        Stream(tiny_model()).push([*_frames(1), *_frames(1, 40)])
    with pytest.raises(ValueError, match="one size"):
        Stream(tiny_model()).push([])
