"""Captions that change from frame to frame, counted as scenic does and as clean does."""

from __future__ import annotations

import numpy as np
import pytest

from tests.evaluation.evalcases import box, random_scene, score

SQUARE = [10.0, 10.0, 20.0, 20.0]
AWAY = [40.0, 20.0, 15.0, 20.0]


def switches(folder, truth, found, protocol):
    return score(folder, truth, found, protocol=protocol)["caption_switches"]


def varied(seed):
    """A random scene with equal and low scores, captions that change, and truths without caption."""
    rng = np.random.default_rng(seed)
    truth, found = random_scene(seed, videos=2, tracks=4, frames=5)
    for one in found:
        one["score"] = float(rng.choice([0.3, 0.5, 0.6, 0.7, 0.9]))
        if rng.random() < 0.4:
            one["caption"] = "other words"
    for one in truth:
        if rng.random() < 0.2:
            one["caption"] = ""
    return truth, found


PUBLIC = [0.4166666666666667, 0.37037037037037035, 0.5, 0.32142857142857145, 0.3333333333333333]
"""What scenic's own ``eval_caption_switch`` printed for the first five of these scenes."""


@pytest.mark.parametrize("seed", range(5))
def test_official_is_what_scenic_prints(tmp_path, seed):
    assert switches(tmp_path, *varied(seed), "official") == pytest.approx(PUBLIC[seed], abs=1e-15)


def test_official_divides_by_captioned_truths_and_clean_by_what_could_change(tmp_path):
    """Five frames, one of them missed; two changes between the four that were found."""
    truth = [box(f, 1, SQUARE) for f in range(5)]
    said = {0: "a red dog", 1: "a dog", 3: "a dog", 4: "a wall"}
    found = [box(f, 1, SQUARE, text) for f, text in said.items()]
    assert switches(tmp_path, truth, found, "official") == pytest.approx(2 / 5)
    assert switches(tmp_path, truth, found, "clean") == pytest.approx(2 / 3)


def test_a_capital_letter_is_a_change_under_official_only(tmp_path):
    truth = [box(f, 1, SQUARE) for f in range(2)]
    found = [box(0, 1, SQUARE, "A red dog."), box(1, 1, SQUARE, "a red dog")]
    assert switches(tmp_path, truth, found, "official") == 0.5
    assert switches(tmp_path, truth, found, "clean") == 0.0


def test_a_change_of_identity_is_no_change_of_caption(tmp_path):
    truth = [box(f, 1, SQUARE) for f in range(2)]
    assert switches(tmp_path, truth, [box(0, 1, SQUARE), box(1, 2, SQUARE)], "clean") == 0.0


def test_official_reads_what_is_said_of_a_truth_without_caption_as_empty(tmp_path):
    truth = [box(f, 1, SQUARE, "") for f in range(2)] + [box(f, 2, AWAY) for f in range(2)]
    found = [box(f, 1, SQUARE, f"word {f}") for f in range(2)] + [box(f, 2, AWAY) for f in range(2)]
    assert switches(tmp_path, truth, found, "official") == 0.0
    assert switches(tmp_path, truth, found, "clean") == 0.5


def test_official_gives_the_best_scored_the_truth_it_overlaps_most_however_little(tmp_path):
    """On the second frame a wrong box with a better score takes the truth, though it overlaps by a corner."""
    truth = [box(f, 1, SQUARE) for f in range(2)]
    found = [box(0, 1, SQUARE), box(1, 1, SQUARE), box(1, 2, [28.0, 28.0, 15.0, 15.0], "a wall", score=0.95)]
    assert switches(tmp_path, truth, found, "official") == 0.5
    assert switches(tmp_path, truth, found, "clean") == 0.0


def test_nothing_could_change(tmp_path):
    assert switches(tmp_path, [box(0, 1, SQUARE)], [box(0, 1, SQUARE)], "clean") is None
    assert switches(tmp_path, [box(0, 1, SQUARE, "")], [box(0, 1, SQUARE)], "official") is None
    assert "caption_switches" not in score(tmp_path, [box(0, 1, SQUARE)], [box(0, 1, SQUARE)], metrics=())
