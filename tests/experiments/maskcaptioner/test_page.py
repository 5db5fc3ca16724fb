"""The page says what was measured and what was not run."""

from __future__ import annotations

import json

from experiments.maskcaptioner.page import publish, verdict
from experiments.maskcaptioner.plots import slope
from experiments.maskcaptioner.results import header
from experiments.maskcaptioner.sizes import SIZES
from experiments.maskcaptioner.variants import VARIANTS


def run(deta: float, capa: float, captions: int = 100, step: int = 10):
    rate = {"right": 9, "wrong": 1, "unsaid": 0, "rate": 0.9}
    return {
        "step": step,
        "steps": 10,
        "finished": step == 10,
        "seconds": 60.0,
        "parameters": 5,
        "data": {"captions": captions},
        "clean": {"CHOTA": 0.5, "DetA": deta, "AssA": 0.7, "CapA": capa, "intervals": {"CapA": [capa - 0.1, capa]}},
        "official": {"CHOTA": 1.5, "DetA": deta, "AssA": 0.7, "CapA": 5.0},
        "tracks": {"true": 5, "predicted": 5, "matched": 4, "recall": 0.8, "category": rate, "colour": rate},
        "curves": {"steps": {"step": [1, 2], "loss": [3.0, 2.0]}, "validation": {"step": [2], "CHOTA": [0.3]}},
    }


def results(**variants):
    head = header("cpu", "cpu", SIZES["cpu"], {}, "command") | {"test": {"videos": 2, "tracks": 5}}
    by_seed = {name: {str(i): one for i, one in enumerate(runs)} for name, runs in variants.items()}
    begun = {
        name: {seed: [one["step"], one["steps"]] for seed, one in seeds.items() if not one["finished"]}
        for name, seeds in by_seed.items()
    }
    return head | {"world": {"images": 5, "videos": 5}, "variants": by_seed, "unfinished": begun}


def page_of(tmp_path, found) -> str:
    (tmp_path / "results.json").write_text(json.dumps(found))
    return publish(tmp_path / "results.json", tmp_path / "docs").read_text()


def test_goals_are_met_and_missed_as_measured(tmp_path):
    text = page_of(tmp_path, results(main=[run(0.61, 0.5)]))
    assert "| DetA | 0.60 | 0.610 | met |" in text
    assert "| AssA | 0.80 | 0.700 | not met |" in text


def test_a_model_that_was_trained_on_is_held_against_the_goals_too(tmp_path):
    text = page_of(tmp_path, results(main=[run(0.5, 0.5)], longer=[run(0.62, 0.5)], captioner=[run(0.63, 0.5)]))
    assert "| DetA | 0.60 | 0.500 | not met |" in text
    assert "`longer`: DetA 0.620, met; AssA 0.700, not met" in text
    assert "`captioner`: DetA 0.630, met; AssA 0.700, not met" in text


def test_variants_that_were_not_run_are_said_to_be_not_run(tmp_path):
    text = page_of(tmp_path, results(main=[run(0.6, 0.5)], mask_absent=[run(0.6, 0.3)]))
    (line,) = [line for line in text.splitlines() if line.startswith("- Not run in this set: ")]
    assert "`frozen`" in line
    assert "`mask_absent`" not in line
    assert all(f"`{name}`" in text for name in VARIANTS)


def test_an_unfinished_training_reaches_no_goal_and_no_claim(tmp_path):
    text = page_of(tmp_path, results(main=[run(0.9, 0.5, step=4)], mask_absent=[run(0.5, 0.4)]))
    assert "| DetA | 0.60 | – | stopped at step 4 of 10 |" in text
    assert "**4 of 10**" in text
    assert "`main` stopped at step 4 of 10" in text


def test_the_backbone_is_told_with_what_it_reached_at_the_end_of_each_phase(tmp_path):
    log = [
        {"phase": "close-ups", "step": 20, "loss": 9.0, "category": 0.2, "words": 0.1},
        {"phase": "close-ups", "step": 40, "loss": 5.0, "category": 0.7, "words": 0.5},
        {"phase": "pictures", "step": 10, "loss": 6.0, "category": 0.6, "words": 0.4},
    ]
    made = {"steps": [40, 10], "seconds": 120.0, "words": ["red"], "log": log}
    text = page_of(tmp_path, results(main=[run(0.6, 0.5)]) | {"backbone": made})
    assert "2 minutes; 40 steps of close-ups, at whose end it named 0.700" in text
    assert "10 steps of pictures, at whose end it named 0.600" in text


def test_one_seed_is_not_taken_for_proof():
    assert "one seed" in verdict([0.9], [0.1])
    assert verdict([0.5, 0.6, 0.7], [0.1, 0.2, 0.3]).endswith("better in every seed")
    assert verdict([0.5, 0.6], [0.55, 0.4]).endswith("within the seeds' spread")
    assert verdict([0.1, 0.2], [0.3, 0.4]).endswith("worse in every seed")


def test_the_slope_is_the_gain_of_a_fourfold_number_of_captions(tmp_path):
    gain, _ = slope({16: [0.2], 64: [0.3], 256: [0.4]})
    assert abs(gain - 0.1) < 1e-9
    text = page_of(tmp_path, results(main=[run(0.6, 0.5, 1600)], captions_1_16=[run(0.6, 0.3, 100)]))
    assert "+0.100 a fourfold" in text
    assert (tmp_path / "docs" / "experiments" / "cpu" / "captions.png").is_file()
