"""What `capgen score` counts as said, and against what."""

from __future__ import annotations

import json

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from capgen.errors import LedgerError, MissingFile, UserError
from capgen.evaluation.sample_facts import (
    ATTRIBUTES,
    FactVocabulary,
    WorldFacts,
    read_facts,
    render_table,
    score,
    score_release,
)
from capgen.sample.write import vocabulary, write_world
from capgen.text import words
from tests.tiny_runs import record_release


def fact(**changes):
    body = {"category": "pine_tree", "colour": "red", "texture": "striped", "size": "small"}
    return body | {"motion": None, "moving_s": 0.0, "area": 0.01, "hidden": 0.0} | changes


def facts(**objects):
    body = {"version": 1, "objects": {f"lvis/val/1/{k}": v for k, v in objects.items()}, "vocabulary": vocabulary()}
    return msgspec.convert(body, WorldFacts)


def verdicts(caption, **changes):
    result = score([("lvis/val/1/a", caption)], facts(a=fact(**changes))).as_json()
    return {name: next((v for v in ("right", "wrong", "unsaid") if result[name][v]), None) for name in ATTRIBUTES}


def test_a_true_caption_is_right_in_all_it_says():
    assert verdicts("A small striped red pine tree.") == {
        "category": "right", "colour": "right", "texture": "right", "size": "right", "motion": None,
    }  # fmt: skip


def test_synonyms_case_and_punctuation_count_as_said():
    said = verdicts("Tiny, stripy — CRIMSON Christmas tree!")
    assert [said[name] for name in ("category", "colour", "texture", "size")] == ["right"] * 4


def test_another_value_is_wrong_and_silence_is_unsaid():
    said = verdicts("A dotted blue thing.")
    assert [said[name] for name in ("category", "colour", "texture", "size")] == ["unsaid", "wrong", "wrong", "unsaid"]


def test_the_true_value_beside_another_one_is_wrong():
    assert verdicts("A red and white striped pine tree.")["colour"] == "wrong"


def test_words_are_whole_and_the_longest_way_to_say_wins():
    """`spaceship` is no ship, and the balloon in `hot air balloon` no other value."""
    kinds = FactVocabulary(vocabulary()["category"])
    assert kinds.said(words("A spaceship.")) == {"rocket"}
    assert kinds.said(words("A hot-air balloon beside a crescent moon.")) == {"hot_air_balloon", "moon"}
    assert kinds.said(words("A carpet with starry keys.")) == set()


@pytest.mark.parametrize(
    ("motion", "seconds", "caption", "verdict"),
    [
        ("left", 2.0, "A car moving left.", "right"),
        ("left", 2.0, "A car moves to the left.", "right"),
        ("left", 2.0, "A car moving right.", "wrong"),
        ("left", 2.0, "A car on the left.", "unsaid"),
        ("left", 0.5, "A car moving right.", None),
        ("still", 0.0, "A car staying still.", "right"),
        ("still", 0.0, "A car turning.", "wrong"),
        (None, 0.0, "A car turning.", None),
    ],
)
def test_motion_counts_for_whole_seconds_and_for_what_stays_still(motion, seconds, caption, verdict):
    assert verdicts(caption, motion=motion, moving_s=seconds)["motion"] == verdict


def test_counts_rates_and_breakdowns_add_up():
    objects = {str(i): fact(area=i / 100, hidden=0.05 * (i % 4)) for i in range(1, 21)}
    colours = ["red"] * 15 + ["blue"] * 5
    said = [(f"lvis/val/1/{i}", f"A {colour} thing.") for i, colour in enumerate(colours, start=1)]
    result = score(said, facts(**objects))
    assert result.as_json()["colour"] == {"right": 15, "wrong": 5, "unsaid": 0, "rate": 0.75}
    assert result.values["colour"]["red"].total == 20
    for bins in (result.area, result.hidden):
        assert sum(part.tallies["colour"].right for part in bins) == 15
        assert sum(part.tallies["colour"].total for part in bins) == 20
    assert [part.tallies["colour"].total for part in result.area] == [4] * 5
    assert [part.tallies["colour"].wrong for part in result.area] == [0, 0, 0, 1, 4]
    assert result.attributes["motion"].rate is None
    table = render_table(result)
    assert "colour            15       5       0   0.750" in table
    assert "hidden by others" in table


def test_missing_objects_are_counted_beside_and_only_of_the_splits_captioned():
    known = facts(a=fact(), b=fact())
    known.objects["lvis/train/2/c"] = known.objects["lvis/val/1/a"]
    result = score([("lvis/val/1/a", "A red thing."), ("lvis/val/9/z", "A thing.")], known)
    assert (result.objects, result.missing, result.unknown) == (1, 1, 1)
    assert result.attributes["colour"].total == 1


def test_a_key_with_two_captions_is_refused():
    with pytest.raises(UserError, match="lvis/val/1/a has two captions"):
        score([("lvis/val/1/a", "A."), ("lvis/val/1/a", "B.")], facts(a=fact()))


@pytest.fixture
def world(tmp_path):
    write_world(tmp_path / "world", images=4, videos=1, seed=1)
    return tmp_path / "world"


def release(folder, rows, name="val-00000-of-00001.parquet"):
    target = folder / "data" / "captions" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    keys, captions = zip(*rows, strict=True)
    pq.write_table(pa.table({"key": list(keys), "caption": pa.array(captions, pa.string())}), target)
    record_release(folder)
    return folder


def test_the_worlds_own_captions_score_one(world, tmp_path):
    truth = json.loads((world / "facts.json").read_text())["objects"]
    rows = [(key, fact["caption"]) for key, fact in truth.items()]
    out = release(release(tmp_path / "out", rows[:5]), rows[5:], "train-00000-of-00001.parquet")
    result = score_release(out, world / "facts.json")
    assert (result.objects, result.missing) == (len(truth), 0)
    assert {name: tally.rate for name, tally in result.attributes.items()} == dict.fromkeys(ATTRIBUTES, 1.0)
    counted = [fact for fact in truth.values() if fact["motion"]]
    assert result.attributes["motion"].right == len(counted)


def test_captions_of_another_world_are_refused(world, tmp_path):
    out = release(tmp_path / "out", [("lvis/val/999/1", "A cup."), ("lvis/val/999/2", None)])
    with pytest.raises(UserError, match=r"none of 1 captions is about an object of .*facts\.json") as caught:
        score_release(out, world / "facts.json")
    assert "\n" not in str(caught.value)


def test_missing_and_bad_files_are_named(world, tmp_path):
    with pytest.raises(MissingFile, match=r"nothing/release\.json; give the OUT"):
        score_release(tmp_path / "nothing", world / "facts.json")
    with pytest.raises(MissingFile, match=r"facts\.json"):
        read_facts(tmp_path / "facts.json")
    (tmp_path / "bad.json").write_text('{"version": 1}')
    with pytest.raises(UserError, match=r"bad\.json is not a facts\.json"):
        read_facts(tmp_path / "bad.json")
    out = release(tmp_path / "out", [("a", "b")])
    (out / "data/captions/val-00000-of-00001.parquet").write_bytes(b"PAR1 no")
    record_release(out)
    with pytest.raises(LedgerError, match=r"val-00000-of-00001\.parquet cannot be read"):
        score_release(out, world / "facts.json")


def test_facts_of_another_version_are_refused(world, tmp_path):
    body = json.loads((world / "facts.json").read_text()) | {"version": 2}
    (tmp_path / "new.json").write_text(json.dumps(body))
    with pytest.raises(UserError, match="version 2"):
        read_facts(tmp_path / "new.json")


def test_a_vocabulary_without_words_is_named(tmp_path):
    body = msgspec.to_builtins(facts(a=fact()))
    body["vocabulary"]["colour"]["red"].append("!!!")
    (tmp_path / "facts.json").write_bytes(msgspec.json.encode(body))
    with pytest.raises(UserError, match=r"facts\.json has '!!!' in its vocabulary, which is no word"):
        read_facts(tmp_path / "facts.json")
