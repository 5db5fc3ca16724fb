"""Captions by key against their references."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from capgen.cli.evaluation import app
from capgen.errors import UnknownName, UserError
from capgen.evaluation.metrics.text.captions import rouge_l
from capgen.evaluation.region_captions.references import score_regions

TRUTH = {"a": ["A small red dog runs.", "a dog"], "b": "an old stone wall in rain", "c": "the wide green grass"}


def scores(folder, truth, said, metrics=("cider", "rouge")):
    gt, pred = folder / "gt.json", folder / "pred.json"
    gt.write_text(json.dumps(truth))
    pred.write_text(json.dumps(said))
    return score_regions(gt, pred, metrics, {})


def test_captions_that_are_their_references_score_the_most(tmp_path):
    truth = {key: f"{key} small red dog runs across grass number {key}" for key in "abc"}
    found = scores(tmp_path, truth, truth)
    assert found.values == {"cider": pytest.approx(10.0), "rouge": pytest.approx(1.0)}
    assert (found.regions, found.notes) == (3, [])


def test_rouge_takes_the_best_reference_and_a_missing_caption_scores_nothing(tmp_path):
    found = scores(tmp_path, TRUTH, {"a": "a DOG!", "b": "an old wall", "stray": "a cat"})
    (wall,) = rouge_l([("an old stone wall in rain", "an old wall")])
    assert found.values["rouge"] == pytest.approx((1 + wall + 0) / 3)
    assert found.notes == ["1 regions have no caption and score 0", "1 captions have no reference and are left out"]


def test_lists_of_objects_say_the_same_as_objects(tmp_path):
    said = {"a": "a dog", "b": "a wall", "c": "green grass"}
    rows = [{"key": key, "caption": text} for key, text in said.items()]
    coco = {"annotations": [{"image_id": key, "caption": t} for key, texts in TRUTH.items()
                            for t in ([texts] if isinstance(texts, str) else texts)]}  # fmt: skip
    assert scores(tmp_path, coco, rows).values == scores(tmp_path, TRUTH, said).values


def test_meteor_without_its_program_is_none(tmp_path):
    assert scores(tmp_path, TRUTH, {"a": "a dog"}, ("meteor",)).values == {"meteor": None}


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ({"z": "a dog"}, "no region has a reference"),
        ({"a": ["a dog", "a cat"]}, "a has 2 captions"),
        ({"a": 3}, "the caption of a is 3"),
        ([{"caption": "a dog"}], "entry 0 is"),
        (7, "neither an object nor a list"),
    ],
)
def test_a_bad_file_is_named(tmp_path, said, what):
    with pytest.raises(UserError, match=what):
        scores(tmp_path, TRUTH, said)


def test_a_metric_that_there_is_not_is_named(tmp_path):
    with pytest.raises(UnknownName):
        scores(tmp_path, TRUTH, TRUTH, ("bleurt",))


def test_the_command_prints_the_numbers(tmp_path):
    scores(tmp_path, TRUTH, {"a": "a dog", "b": "a wall", "c": "green grass"})
    flags = ["captions", "--gt", tmp_path / "gt.json", "--pred", tmp_path / "pred.json", "--metrics", "cider,rouge"]
    done = CliRunner().invoke(app, [str(one) for one in flags])
    assert done.exit_code == 0, done.output
    assert "regions 3" in done.stdout
    assert "rouge 0." in done.stdout


@pytest.mark.parametrize("name", ["gt.json", "gt.jsonl"])
@pytest.mark.parametrize("text", ['{"a": ' + "9" * 5000 + "}", "[" * 100_000, '{"a": ' * 100_000])
def test_endless_numbers_and_deep_nesting_are_one_line(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    (tmp_path / "pred.json").write_text('{"a": "a dog"}')
    with pytest.raises(UserError, match=name) as error:
        score_regions(tmp_path / name, tmp_path / "pred.json", ("cider",), {})
    assert "\n" not in str(error.value)
