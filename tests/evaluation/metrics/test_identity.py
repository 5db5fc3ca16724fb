"""MOTA, identity switches and IDF1 are TrackEval's."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capgen.evaluation.evaluate import Options, evaluate
from capgen.evaluation.metrics.hota import Sequenced
from capgen.evaluation.metrics.identity import identity_counts, identity_values
from capgen.evaluation.reading.similarity import lay_out
from tests.evaluation.evalcases import REFERENCE, box, score
from tests.evaluation.metrics.test_hota import mot15, quick, trackeval_data

SQUARE = [10.0, 10.0, 20.0, 20.0]
AWAY = [40.0, 20.0, 15.0, 20.0]


def random_sequence(rng, tracks, frames):
    """Overlaps at random, many of them near the threshold and many contested; some frames are empty on one side."""
    sides = []
    for _ in range(2):
        here = [(f, t) for f in range(frames) for t in range(tracks) if rng.random() < 0.7]
        sides.append((np.array([f for f, _ in here], np.int64), np.array([t for _, t in here], np.int64)))
    layout = lay_out(sides[0][0], sides[1][0], frames)
    similarity = rng.choice([0.0, 0.2, 0.5, 0.6, 0.75, 0.9], len(layout.row)) + rng.uniform(0, 1e-3, len(layout.row))
    numbered = [np.unique(ids[order], return_inverse=True)[1]
                for (_, ids), order in zip(sides, (layout.truth, layout.predictions), strict=True)]  # fmt: skip
    return Sequenced(layout, *numbered, similarity)


@quick
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 8))
def test_every_count_is_trackevals(seed, tracks, frames):
    metrics = pytest.importorskip("trackeval", reason="TrackEval is not installed").metrics
    rng = np.random.default_rng(seed)
    sequences = [random_sequence(rng, tracks, frames) for _ in range(2)]
    data = [{**trackeval_data(one), "num_timesteps": frames} for one in sequences]
    mine = identity_values([identity_counts(one) for one in sequences])
    theirs = {}
    for metric in (metrics.CLEAR({"PRINT_CONFIG": False}), metrics.Identity({"PRINT_CONFIG": False})):
        each = {str(n): metric.eval_sequence(one) for n, one in enumerate(data)}
        theirs |= metric.combine_sequences(each)
    for name, value in mine.items():
        assert value == pytest.approx(float(theirs[name]), abs=1e-12), name


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="MOT15 is not ours to publish: its tracks are in ../shared only")
@pytest.mark.parametrize("protocol", ["official", "clean"])
def test_trackevals_identity_numbers_on_mot15_are_reproduced(tmp_path, protocol):
    gt, pred = mot15(tmp_path)
    theirs = json.loads((REFERENCE / "mot15" / "reference.json").read_text())["results"]["COMBINED_SEQ"]
    got = evaluate(gt, pred, Options(protocols=(protocol,), metrics=())).scores[0].values
    for metric, names in (("CLEAR", ("MOTA", "IDSW")), ("Identity", ("IDF1", "IDP", "IDR"))):
        for name in names:
            assert got[name] == pytest.approx(theirs[metric][name], rel=1e-12), name


@pytest.mark.parametrize("protocol", ["official", "clean"])
def test_a_track_that_changes_its_identity_once(tmp_path, protocol):
    """Eight frames, five under one identity and three under another: one switch, and IDF1 of five frames of eight."""
    truth = [box(f, 1, SQUARE) for f in range(8)]
    found = [box(f, 7 if f < 5 else 8, SQUARE) for f in range(8)]
    values = score(tmp_path, truth, found, protocol=protocol)
    assert (values["IDSW"], values["MOTA"], values["IDF1"]) == (1.0, 7 / 8, 5 / 8)


def test_nothing_found_and_nothing_there(tmp_path):
    values = score(tmp_path, [box(0, 1, SQUARE)], [box(0, 1, AWAY)])
    assert (values["IDSW"], values["MOTA"], values["IDF1"]) == (0.0, -1.0, 0.0)
    assert identity_values([])["MOTA"] == 0.0


def test_a_track_twice_on_a_frame_has_no_identity_numbers(tmp_path):
    values = score(tmp_path, [box(0, 1, SQUARE)], [box(0, 1, SQUARE), box(0, 1, AWAY)], protocol="official")
    assert values["IDF1"] is None
    assert values["DetA"] == 0.5
