from __future__ import annotations

import numpy as np
import pytest

from capgen.maskcaptioner.inference.tracker import Tracker


def _objects(count: int = 5, width: int = 16) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, width))


def test_objects_keep_their_track_however_queries_are_ordered():
    rng, objects, tracker = np.random.default_rng(1), _objects(), Tracker()
    assert tracker.update(objects).tolist() == [0, 1, 2, 3, 4]
    for _ in range(4):
        order = rng.permutation(5)
        assert tracker.update(objects[order] + 0.1 * rng.normal(size=objects.shape)).tolist() == order.tolist()


def test_one_bad_clip_is_outvoted_by_the_memory():
    """On the third clip two objects look like each other; the clip before misleads, those before do not."""
    objects = _objects()
    confused = objects.copy()
    confused[[0, 1]] = 0.4 * objects[[0, 1]] + 0.6 * objects[[1, 0]]
    adjacent, voting = Tracker(), Tracker(memory_length=4, top_k=2)
    for tracker in (adjacent, voting):
        for clip in (objects, objects, objects):
            tracker.update(clip)
        tracker._memory[-1][[0, 1]] = confused[[0, 1]] / np.linalg.norm(confused[[0, 1]], axis=1, keepdims=True)
    assert adjacent.update(objects).tolist()[:2] == [1, 0]
    assert voting.update(objects).tolist() == [0, 1, 2, 3, 4]


def test_the_memory_forgets():
    tracker = Tracker(memory_length=3, top_k=2)
    for _ in range(10):
        tracker.update(_objects())
    assert len(tracker._memory) == 3


def test_a_query_unlike_its_track_begins_a_new_one():
    tracker = Tracker(min_similarity=0.5)
    objects = np.eye(6)[:5]
    tracker.update(objects)
    changed = objects.copy()
    changed[2] = np.eye(6)[5]
    assert tracker.update(changed).tolist() == [0, 1, 5, 3, 4]
    assert tracker.update(changed).tolist() == [0, 1, 5, 3, 4]


def test_scores_keep_objects_before_background():
    """Queries 1 and 2 are background; only without scores do they push the object out of its track."""
    past = np.array([[1.0, 0, 0], [0, 1, 0]])
    now = np.array([[0.8, 0.6, 0.0], [0.9, -0.1, 0.4]])
    plain, scored = Tracker(), Tracker()
    for tracker in (plain, scored):
        tracker.update(past)
    assert sorted(plain.update(now).tolist()) == [0, 1]
    assert scored.update(now, np.array([0.0, 1.0])).tolist() == [1, 0]


@pytest.mark.parametrize("settings", [(0, 0), (2, 3)])
def test_settings_without_sense_are_refused(settings):
    with pytest.raises(ValueError, match="top_k"):
        Tracker(*settings)
