"""The judged files that DLC-Bench's authors and GAR's released give the published numbers."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from capgen.cli.evaluation import app
from capgen.errors import UserError
from capgen.evaluation.region_captions.benchmarks.base import BenchmarkFiles
from capgen.evaluation.region_captions.benchmarks.dlc_bench import DlcBench, score_dlc_bench
from tests.evaluation.evalcases import REFERENCE

DLC = REFERENCE / "dlc"


@pytest.mark.skipif(not DLC.is_dir(), reason="the judged files are not beside the project")
@pytest.mark.parametrize(
    ("name", "average"), [("dam_3b_v1_eval", 0.670), ("gar_8b_eval", 0.674), ("gar_8b_eval_gpt", 0.770)]
)
def test_published_numbers_come_out_without_a_judge(name, average):
    file = DLC / f"{name}.json"
    found = score_dlc_bench(file)
    assert round(found.average, 3) == average
    stored = json.loads(file.read_text())
    regions = [region for region in stored.values() if isinstance(region, dict)]
    assert found.regions == len(regions) == 100
    assert found.recognised == sum(region["recognition_result"] for region in regions)
    assert found.positive == pytest.approx(sum(r["score_pos"] for r in regions) / 100, abs=1e-12)
    assert found.negative == pytest.approx(sum(r["score_neg"] for r in regions) / 100, abs=1e-12)


@pytest.mark.skipif(not DLC.is_dir(), reason="the judged files are not beside the project")
@pytest.mark.parametrize(("captions", "name"), [("dam_3b_v1", "dam_3b_v1_eval"), ("gar_8b", "gar_8b_eval_gpt")])
def test_our_questions_with_their_judges_answers_give_their_numbers(captions, name):
    stored = json.loads((DLC / f"{name}.json").read_text())
    bench = DlcBench.open(BenchmarkFiles(DLC, DLC / f"{captions}.json"))
    answers = {}
    for key, asked in bench.asked.items():
        kinds = {kind: iter(stored[key][kind]) for kind in {question.kind for question in asked}}
        for number, question in enumerate(asked):
            answers[f"{key}/{number}"] = {"answer": next(kinds[question.kind])["pred_index"]}
    questions = bench.questions()
    assert (len(questions), {one.key for one in questions}) == (992, set(answers))
    found, wanted = bench.numbers(answers), score_dlc_bench(DLC / f"{name}.json")
    assert (found["average"], found["positive"], found["negative"]) == (
        wanted.average,
        wanted.positive,
        wanted.negative,
    )
    assert found["recognised"] == wanted.recognised / 100


def test_a_judge_that_chose_nothing_and_a_region_without_negatives_count_as_in_the_public_program(tmp_path):
    found = score_dlc_bench(judged(tmp_path, True, [1, None], []))
    assert (found.positive, found.negative) == (0.5, 0.0)


def question(points, chosen):
    return {"choices": [[f"choice {n}", value] for n, value in enumerate(points)], "pred_index": chosen}


def judged(folder, recognised, positive, negative):
    region = {
        "details_recognition": [question(["correct", "incorrect"], 0 if recognised else 1)],
        "details_positives": [question([0, 1, -1], n) for n in positive],
        "details_negatives": [question([1, -1], n) for n in negative],
    }
    file = folder / "judged.json"
    file.write_text(json.dumps({"1": region, "avg": 0.9}))
    return file


def test_an_object_that_is_not_recognised_gains_nothing_and_may_lose(tmp_path):
    found = score_dlc_bench(judged(tmp_path, True, [1, 2, 1], [0, 0]))
    assert (found.positive, found.negative) == (pytest.approx(1 / 3), 1.0)
    found = score_dlc_bench(judged(tmp_path, False, [1, 2, 1], [0, 0]))
    assert (found.positive, found.negative) == (pytest.approx(-1 / 3), 0.0)


def test_the_command_prints_the_average(tmp_path):
    file = judged(tmp_path, True, [1], [0])
    done = CliRunner().invoke(app, ["captions", "--judged", str(file)])
    assert "average 1.000" in done.stdout
    assert json.loads(CliRunner().invoke(app, ["captions", "--judged", str(file), "--json"]).stdout)["regions"] == 1
    assert isinstance(CliRunner().invoke(app, ["captions"]).exception, UserError)


@pytest.mark.parametrize("text", ["[]", "{", "{}", '{"1": 3}', '{"1": {"details_recognition": [{"choices": []}]}}'])
def test_a_file_that_is_none_is_named(tmp_path, text):
    file = tmp_path / "judged.json"
    file.write_text(text)
    with pytest.raises(UserError, match=r"judged\.json"):
        score_dlc_bench(file)


def test_an_answer_that_is_no_choice_is_named(tmp_path):
    with pytest.raises(UserError, match=r"1: details_positives\[0\]: pred_index 7 is none of the choices"):
        score_dlc_bench(judged(tmp_path, True, [7], [0]))
