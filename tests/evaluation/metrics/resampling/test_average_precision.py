"""AP of drawn videos is AP of a file in which the videos stand as often as they were drawn."""

from __future__ import annotations

import numpy as np
import pytest

from capgen.evaluation.evaluate import Options, evaluate
from capgen.evaluation.metrics.resampling.sums import intervals
from tests.evaluation.evalcases import blob, box, write

CATEGORIES = [{"id": n, "name": str(n), "partition": n - 1} for n in (1, 2, 3)]


def scene(seed, videos=6):
    """Masks of three categories, many of them found; scores on a grid, so that some are equal."""
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for video in range(1, videos + 1):
        for track in range(3):
            category = int(rng.integers(1, 4))
            x, y, w, h = (int(v) for v in rng.integers((0, 0, 8, 8), (20, 20, 20, 20)))
            for frame in range(2):
                truth.append(box(frame, track, None, "", video, segmentation=blob(x, y, w, h), category_id=category))
                moved = blob(x + int(rng.integers(4)), y, w, h)
                score = float(rng.integers(3, 9)) / 10 if frame == 0 else found[-1]["score"]
                found.append(box(frame, track, None, "", video, score, segmentation=moved, category_id=category))
        found.append(box(0, 9, None, "", video, 0.6, segmentation=blob(30, 20, 9, 9), category_id=1))
    return truth, found


def scores_of(folder, truth, found, protocol):
    gt, pred = write(folder, truth, found, categories=CATEGORIES)
    return evaluate(gt, pred, Options(iou="mask", protocols=(protocol,), metrics=())).scores[0]


def copied(side, times):
    """The videos as often as they were drawn, each under a new number."""
    numbers = [video for video, count in enumerate(times, 1) for _ in range(count)]
    return [{**one, "video": new} for new, old in enumerate(numbers, 1) for one in side if one["video"] == old]


@pytest.mark.parametrize("protocol", ["official", "clean"])
@pytest.mark.parametrize("seed", [1, 2])
def test_ap_of_a_draw_is_ap_of_the_drawn_file(tmp_path, protocol, seed):
    truth, found = scene(seed)
    sample = scores_of(tmp_path / "whole", truth, found, protocol).ap_sample
    for n, times in enumerate([[1] * 6, [2, 0, 1, 3, 0, 0], [0, 0, 0, 0, 1, 5]]):
        drawn = sample.values(np.array([times], np.float64))
        # Under official equal scores count one after the other: copies of a video stand elsewhere among them.
        theirs = scores_of(tmp_path / str(n), copied(truth, times), copied(found, times), protocol).values
        tolerance = 1e-12 if protocol == "clean" else (1e-9 if n == 0 else 0.05)
        for name in ("AP", "AP50", "AP75", "AR100", "AP_base", "AP_novel"):
            assert drawn[name][0] == pytest.approx(theirs[name], abs=tolerance), (name, times)


def test_a_part_of_the_videos_is_their_draw(tmp_path):
    sample = scores_of(tmp_path, *scene(3), "clean").ap_sample
    chosen = np.array([4, 1])
    weights = np.array([[0.0, 1, 0, 0, 1, 0]])
    part = type(sample)(sample.recalls, [ranked.of(chosen) for ranked in sample.categories], sample.groups)
    whole, own = sample.values(weights), part.values(np.ones((1, 2)))
    for name, value in whole.items():
        assert own[name] == pytest.approx(value, abs=1e-12), name


def test_masks_have_intervals_of_ap(tmp_path):
    scores = scores_of(tmp_path, *scene(4, videos=12), "clean")
    spans = intervals(scores, draws=200)
    for name in ("AP", "AP50", "AP75", "AR100", "AP_base", "AP_novel", "HOTA_mean"):
        assert spans[name].low <= scores.values[name] <= spans[name].high, name
        assert spans[name].low < spans[name].high, name
