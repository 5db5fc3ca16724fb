"""What the experiments count on the unseen videos."""

from __future__ import annotations

import json

import pytest

from experiments.maskcaptioner.measure import match_tracks, measure
from experiments.maskcaptioner.worlds import UnseenVideos, ensure_world, write_truth


@pytest.fixture(scope="module")
def unseen(tmp_path_factory) -> UnseenVideos:
    folder = tmp_path_factory.mktemp("unseen")
    ensure_world(folder / "world", 0, 2, 930_000)
    return write_truth(folder / "world", folder / "truth.json")


def predictions(unseen: UnseenVideos, path, change=lambda row: row):
    rows = [change(row | {"score": 0.3}) for row in json.loads(unseen.truth.read_bytes())["annotations"]]
    path.write_text(json.dumps([row for row in rows if row is not None]))
    return path


def test_the_truth_predicted_is_perfect_even_with_low_scores(unseen, tmp_path):
    found = measure(unseen, predictions(unseen, tmp_path / "p.json"))
    for name in ("CHOTA", "DetA", "AssA", "CapA"):
        assert found["clean"][name] == pytest.approx(1), name
    assert found["official"]["DetA"] == pytest.approx(1)
    tracks = found["tracks"]
    assert tracks["recall"] == tracks["precision"] == tracks["whole_caption"] == 1
    assert tracks["category"]["rate"] == tracks["motion"]["rate"] == 1


def test_a_wrong_and_a_missing_word_are_told_apart(unseen, tmp_path):
    first = json.loads(unseen.truth.read_bytes())["annotations"][0]["id"]
    other = {"caption": "A thing of every colour, red and blue, plain."}
    path = predictions(unseen, tmp_path / "p.json", lambda row: row | other if row["id"] == first else row)
    tracks = match_tracks(unseen, path)
    assert tracks["category"]["unsaid"] == 1
    assert tracks["colour"]["wrong"] == 1
    assert tracks["matched"] == tracks["true"]


def test_a_track_that_is_found_for_half_of_its_life_or_less_is_not_matched(unseen, tmp_path):
    first = json.loads(unseen.truth.read_bytes())["annotations"][0]

    def cut(row):
        if row["id"] != first["id"]:
            return row
        seen = [i for i, mask in enumerate(row["segmentations"]) if mask is not None]
        keep = set(seen[: len(seen) // 3])
        return row | {
            name: [value if i in keep else None for i, value in enumerate(row[name])]
            for name in ("segmentations", "areas", "bboxes")
        }

    tracks = match_tracks(unseen, predictions(unseen, tmp_path / "p.json", cut))
    assert tracks["matched"] == tracks["true"] - 1
    assert tracks["recall"] < 1


def test_nothing_predicted_counts_as_nothing_found(unseen, tmp_path):
    path = tmp_path / "p.json"
    path.write_text("[]")
    found = measure(unseen, path)
    assert found["clean"]["DetA"] == 0
    assert found["tracks"]["recall"] == 0
    assert "category" not in found["tracks"]
