"""Releases with other captions are the same releases but for that column."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from capgen.dataset.release_record import check_released
from capgen.sample.words import caption
from experiments.maskcaptioner.worlds import Releases, ensure_world, read_facts, releases_of
from tests.tiny_runs import record_release

OBJECTS = 200


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    ensure_world(folder, 40, 1, 7)
    return folder


@pytest.fixture
def releases(world, tmp_path) -> Releases:
    """A release of the form that the pipeline writes, its captions all wrong and one missing."""
    keys = [key for key in read_facts(world / "facts.json").objects if key.startswith("lvis")][:OBJECTS]
    for name in ("images", "videos"):
        rows = []
        for number, key in enumerate(keys):
            dataset, split, media, one = key.split("/")
            said = None if number == 0 else "A wrong caption."
            row = {"dataset": dataset, "split": split, "media_id": media}
            rows.append(row | {"objects": [{"object_id": one, "caption": said, "area": [3]}]})
        folder = tmp_path / "made" / name
        for kind, table in (
            ("media", rows),
            ("captions", [{"key": key, "caption": "A wrong caption."} for key in keys[1:]]),
        ):
            (folder / "data" / kind).mkdir(parents=True)
            pq.write_table(pa.Table.from_pylist(table), folder / "data" / kind / "train-00000-of-00001.parquet")
        record_release(folder)
        (folder / "plan").mkdir()
        (folder / "plan.json").write_text('{"root": "somewhere"}\n')
        (folder / "README.md").write_text("---\nlicense: cc0-1.0\n---\n# Card\n")
    return Releases(tmp_path / "made" / "images", tmp_path / "made" / "videos", world)


def said_in(folder) -> dict[str, str | None]:
    rows = pq.read_table(next(folder.glob("data/media/*.parquet"))).to_pylist()
    return {
        f"{row['dataset']}/{row['split']}/{row['media_id']}/{one['object_id']}": one["caption"]
        for row in rows
        for one in row["objects"]
    }


def test_true_captions_are_the_facts_of_the_captioned_objects_alone(releases, tmp_path):
    made = releases_of("true", tmp_path / "out", releases)
    facts = read_facts(releases.world / "facts.json")
    before, after = said_in(releases.images), said_in(made.images)
    assert after == {key: caption(facts.objects[key]) if old else None for key, old in before.items()}
    check_released(made.images, "media")
    table = pq.read_table(next(made.images.glob("data/captions/*.parquet"))).to_pylist()
    assert {row["key"]: row["caption"] for row in table} == {key: said for key, said in after.items() if said}
    assert (made.images / "plan.json").read_text() == (releases.images / "plan.json").read_text()
    assert (made.images / "README.md").read_text().startswith("---\nlicense: cc0-1.0\n---\n")


def test_a_sixteenth_of_the_captions_is_within_a_quarter(releases, tmp_path):
    kept = {}
    for number in (4, 16):
        made = releases_of(f"part-{number}", tmp_path / "out", releases)
        kept[number] = {key for key, said in said_in(made.videos).items() if said}
        assert 0.5 * OBJECTS / number < len(kept[number]) < 1.6 * OBJECTS / number
    assert kept[16] < kept[4]


def test_the_pipelines_captions_are_taken_as_they_are(releases, tmp_path):
    assert releases_of("pipeline", tmp_path / "out", releases) is releases
    assert not (tmp_path / "out").exists()
