"""The threshold that is found is the one that keeps most at the wanted precision, and the curve is what was counted."""

import random

import pytest

from capgen.errors import UserError
from capgen.evaluation.calibration.curve import Labelled, all_points, as_text, calibrate, wilson


def labelled(*pairs):
    return [Labelled(f"d/s/{number}/1", score, right) for number, (score, right) in enumerate(pairs)]


def found(pairs, wanted, **more):
    return calibrate(labelled(*pairs), wanted, score="logprob_min", truth="t", model="m", **more)


def test_the_threshold_keeps_most_at_the_wanted_precision():
    pairs = [(-0.1, True), (-0.2, True), (-0.3, False), (-0.4, True), (-0.5, True), (-0.6, False), (-0.7, False)]
    assert found(pairs, 0.8).chosen.threshold == -0.5
    assert found(pairs, 1.0).chosen.kept == 2
    assert found(pairs, 0.5).chosen.kept_share == 1.0


def test_equal_scores_are_kept_or_left_out_together():
    points = all_points(labelled((-0.1, True), (-0.2, False), (-0.2, True), (-0.3, True)))
    assert [(point.threshold, point.kept, point.precision) for point in points] == [
        (-0.1, 1, 1.0),
        (-0.2, 3, pytest.approx(2 / 3)),
        (-0.3, 4, 0.75),
    ]


def test_a_precision_that_nothing_reaches_has_no_threshold():
    result = found([(-0.1, False), (-0.2, True)], 0.9)
    assert result.chosen is None
    assert "no threshold reaches a precision of 90.0%; the best is 50.0%" in as_text(result)


def test_the_auroc_counts_pairs_and_ties_by_half():
    pairs = [(-0.1, True), (-0.3, True), (-0.3, False), (-0.5, False), (-0.2, False)]
    wins = sum((a > b) + 0.5 * (a == b) for a, right in pairs if right for b, wrong in pairs if not wrong)
    assert found(pairs, 0.4).auroc == pytest.approx(wins / 6)
    assert found([(-0.1, True)], 0.5).auroc is None


def test_precision_on_the_other_half_is_that_of_thresholds_chosen_without_it():
    draw = random.Random(3)
    pairs = [(-draw.expovariate(3 if right else 0.6), right) for right in (draw.random() < 0.9 for _ in range(4000))]
    result = found(pairs, 0.97)
    kept, precision = result.held_out
    assert precision == pytest.approx(0.97, abs=0.01)
    assert kept == pytest.approx(result.chosen.kept_share, abs=0.05)
    assert len(result.curve) <= 201
    assert result.curve[-1].kept_share == 1.0


def test_wilson_intervals_are_those_of_the_formula():
    assert wilson(9, 10) == pytest.approx((0.5958, 0.9821), abs=1e-4)
    assert wilson(10, 10)[1] == pytest.approx(1.0)
    assert wilson(0, 10)[0] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(("pairs", "wanted"), [([], 0.9), ([(-0.1, True)], 0), ([(-0.1, True)], 1.2)])
def test_nothing_to_calibrate_on_and_odd_precisions_are_one_line(pairs, wanted):
    with pytest.raises(UserError) as error:
        found(pairs, wanted)
    assert "\n" not in str(error.value)
