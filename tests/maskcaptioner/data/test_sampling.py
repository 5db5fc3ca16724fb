from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capgen.maskcaptioner.data.sampling import clip_frames, repeat_factors, times


@given(st.integers(1, 60), st.integers(1, 8), st.integers(1, 6), st.integers(0, 5), st.integers(0, 1000))
def test_a_clip_goes_forward_in_time_and_stays_inside_the_video(length, count, low, more, seed):
    rng = np.random.default_rng(seed)
    anchor = seed % length
    frames = clip_frames(length, count, (low, low + more), [anchor], rng)
    assert len(frames) == count
    assert all(0 <= i < length for i in frames)
    steps = set(np.diff(frames).tolist())
    assert steps <= {0, 1} if length <= count else len(steps) <= 1 and min(steps, default=1) >= 1


def test_a_clip_holds_a_frame_with_an_object():
    for seed in range(100):
        assert 17 in clip_frames(40, 3, (1, 1), [17], np.random.default_rng(seed))


def test_rare_categories_come_back_as_lvis_counts_them():
    factors = repeat_factors({"rare": 1, "common": 400}, media=1000, threshold=0.01)
    assert factors == {"rare": pytest.approx(10**0.5)}
    assert repeat_factors({"rare": 1}, 1000, 0.0) == {}
    rng = np.random.default_rng(0)
    seen = [times(["rare", "common"], factors, rng) for _ in range(2000)]
    assert set(seen) == {3, 4}
    assert np.mean(seen) == pytest.approx(10**0.5, abs=0.05)
    assert times([None], factors, rng) == 1
