"""The card says of a release's quality what its rows say, and no more."""

import json

import pytest

from capgen.dataset.layout import RunLayout
from capgen.dataset.quality.counts import QualityCounts
from capgen.dataset.quality.section import quality_values
from capgen.dataset.stats import RowOutcome
from capgen.pipeline.judging.judge import judge_run
from capgen.pipeline.judging.records import JudgeRules
from tests.pipeline.asking.test_tries import moody
from tests.pipeline.runs import echo_settings, session


def section(out):
    text = RunLayout(out).card.read_text()
    return text[text.index("## Quality") : text.index("## Where the captions")]


def row(key, caption, *, reasons=(), advice=(), sure=None, medium="1"):
    return {
        "key": key,
        "media_id": medium,
        "category": "cup",
        "caption": caption,
        "reasons": list(reasons),
        "message": "why",
        "advice": list(advice),
        "tries": 1,
        "logprob_min": sure,
        "answers": [],
        "fits": [],
    }


def counted(*rows):
    counts = QualityCounts()
    status = ["dropped" if one["reasons"] else "kept" for one in rows]
    reasons = [one["reasons"][0] if one["reasons"] else None for one in rows]
    told = zip(rows, status, reasons, strict=True)
    outcomes = [RowOutcome(one["key"], "cup", one["caption"], *two) for one, *two in told]
    counts.add(rows, outcomes)
    return counts


def test_codes_are_counted_with_their_first_example_and_every_check_that_ran_is_named():
    counts = counted(row("a", "A | cup", reasons=["format", "length"]), row("b", "It", reasons=["length"]))
    text = quality_values(counts, ("empty", "length", "format"), (), None)["dropped"]
    lines = text.splitlines()[2:]
    assert lines[0] == "| empty | 0 |  |"
    assert lines[1].startswith("| length | 2 | `a`: A")
    assert lines[2].startswith("| format | 1 |")
    assert all(line.replace("\\|", "").count("|") == 4 for line in lines), "what captions hold makes no cells"


def test_the_histogram_counts_released_captions_by_probability():
    counts = counted(row("a", "A cup.", sure=-0.01), row("b", "A mug.", sure=-0.01), row("c", "A pot.", sure=-3.0))
    lines = quality_values(counts, (), (), None)["histogram"].splitlines()
    assert lines[1].split() == ["0.0", "to", "0.1", "1", "#" * 15]
    assert lines[10].split() == ["0.9", "to", "1.0", "2", "#" * 30]


def test_the_distinct_share_is_of_objects_with_a_neighbour():
    counts = counted(
        row("a", "A red cup."), row("b", "Red, a cup."), row("c", "A blue cup."), row("d", "A red cup.", medium="2")
    )
    assert (counts.neighbours, counts.alike) == (3, 2)


def test_the_card_of_a_run_has_tries_alike_captions_and_confidence(lvis_root, tmp_path):
    settings = moody(lvis_root, "distinct.enabled=true", refuses="1", twins="02", differs="0")
    text = section(session(settings, tmp_path / "out")[0])
    assert "5 objects were asked again because a check dropped or advised against their first answer; 5 of them" in text
    assert "10 objects have another one of their category in the same image; 100.00 %" in text
    assert "which gave 5 of them another caption" in text
    assert "(`logprob_min`, as a probability)" in text
    assert "was not calibrated on these captions" in text


def test_the_card_has_the_calibration_once_there_is_one(lvis_root, tmp_path):
    settings = moody(lvis_root, refuses="1")
    out, _ = session(settings, tmp_path / "out")
    point = {"threshold": -0.5, "kept": 5, "kept_share": 0.333, "precision": 1.0, "low": 0.56, "high": 1.0}
    record = {
        "score": "logprob_min",
        "truth": "labels|.jsonl",
        "model": "none",
        "captions": 15,
        "right": 5,
        "without_score": 0,
        "wanted": 0.9,
        "chosen": point,
        "held_out": [0.3, 0.99],
        "auroc": 1.0,
        "curve": [point],
    }
    RunLayout(out).calibration.write_text(json.dumps(record))
    session(settings, out)
    text = section(out)
    assert "Calibrated by logprob_min on 15 captions whose truth is known (labels\\|.jsonl), 5 of them right" in text
    assert "The threshold -0.5000 reaches 90.0 % and keeps 33.3 %." in text
    assert "99.0 % right, 30.0 % kept" in text


def test_the_card_has_the_scores_against_neighbours_and_those_of_the_judge(lvis_root, tmp_path):
    more = ("distinct.enabled=true", "distinct.fit=true")
    settings = moody(lvis_root, *more, steps="tries.again=[]", mistakes="0", differs="0")
    out, _ = session(settings, tmp_path / "out")
    text = section(out)
    assert "10 captions were held against the pictures of the nearest neighbours of their category: 5 first" in text
    assert "0 of the captions as they are still are" in text
    assert "| 3 to 10 | 10 |" in text
    assert "No judge (`capgen judge`) has scored these captions." in text
    judge_run(out, settings, JudgeRules(method="confidence", threshold=-0.7))
    session(settings, out)
    text = section(out)
    assert "`capgen judge --method confidence` scored 15 of the 15 captions" in text
    assert "5 right, 10 wrong" in text
    assert "counts as right from the score -0.7 on. That threshold was not calibrated" in " ".join(text.split())
    assert "Found wrong, for example: `lvis/train/1/101`: A tea pot" in text
    assert "| -0.5 | 33.3% |" in text


def test_a_dry_run_says_nothing_of_a_model(lvis_root, tmp_path):
    text = section(session(echo_settings(lvis_root), tmp_path / "out")[0])
    assert "model" not in text
    assert "No object was asked again" in text


@pytest.mark.parametrize("length", [159, 400])
def test_long_examples_are_shortened(length):
    counts = counted(row("a", "x" * length, reasons=["length"]))
    assert len(counts.dropped["length"].example) <= 160
