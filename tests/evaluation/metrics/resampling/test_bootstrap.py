"""BCa against scipy's, and its levels for few videos."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from capgen.evaluation.metrics.resampling.bootstrap import bca_intervals

RESULT = Path(__file__).resolve().parents[4] / "benchmarks" / "results" / "interval_coverage.json"


def mean_of(values):
    def statistic(weights):
        total = weights.sum(axis=1)
        return {"mean": weights @ values / total, "never": np.full(len(weights), np.nan)}

    return statistic


def test_with_many_videos_an_interval_is_scipys():
    """A skewed sample: both ends of scipy's BCa, as far as 20,000 draws settle them."""
    values = np.random.default_rng(3).gamma(0.5, size=150)
    own = bca_intervals(mean_of(values), len(values), draws=20_000)["mean"]
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(1))
    assert own.low == pytest.approx(theirs.confidence_interval.low, rel=0.02)
    assert own.high == pytest.approx(theirs.confidence_interval.high, rel=0.02)


def test_with_few_videos_an_interval_of_a_mean_is_that_of_students_t():
    values = np.random.default_rng(4).normal(size=12)
    own = bca_intervals(mean_of(values), 12, draws=50_000)["mean"]
    low, high = stats.t.interval(0.95, 11, values.mean(), stats.sem(values))
    assert own.high - own.low == pytest.approx(high - low, rel=0.08)


def test_blocks_give_nearly_the_interval_of_single_videos():
    """Over more than 200 videos the jackknife leaves out blocks; scipy leaves out one by one."""
    values = np.random.default_rng(5).gamma(0.5, size=1001)
    own = bca_intervals(mean_of(values), len(values), draws=4000)["mean"]
    theirs = stats.bootstrap((values,), np.mean, n_resamples=4000, method="BCa", rng=np.random.default_rng(1))
    assert own.low == pytest.approx(theirs.confidence_interval.low, rel=0.02)
    assert own.high == pytest.approx(theirs.confidence_interval.high, rel=0.02)


def test_a_number_that_never_varies_is_its_interval_and_one_that_is_not_there_has_none():
    found = bca_intervals(mean_of(np.ones(10)), 10, draws=100)
    assert (found["mean"].low, found["mean"].high) == (1.0, 1.0)
    assert "never" not in found


def test_the_committed_simulation_says_that_intervals_hold():
    """From ten videos on, every number is covered at least as often as by percentiles, less what chance explains."""
    rows = [row for row in json.loads(RESULT.read_text())["rows"] if row["videos"] >= 10]
    assert {row["number"] for row in rows} >= {"CHOTA_cider", "HOTA_mean", "AP"}
    for row in rows:
        assert row["covers"] >= row["percentile covers"] - 0.025, row
