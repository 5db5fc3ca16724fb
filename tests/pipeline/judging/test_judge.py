"""Sentences are scored, told right or wrong, written into a table, and nothing is scored twice."""

from __future__ import annotations

import dataclasses
import json
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from capgen.dataset.layout import RunLayout
from capgen.errors import LedgerError, MissingFile, UserError
from capgen.evaluation.calibration.read import read_labels, table_scores
from capgen.pipeline.engines.base import EngineFault
from capgen.pipeline.engines.scoring.fit import fit_score, mean_probability, to_compare
from capgen.pipeline.judging import questions
from capgen.pipeline.judging.judge import judge_run
from capgen.pipeline.judging.records import JudgeJournal, JudgeRules, read_sentences
from capgen.pipeline.judging.scores import JudgedCaption, yes_score
from capgen.pipeline.planning.config import load_settings, with_model
from capgen.pipeline.view import Numbered, View
from capgen.report.judged import CurrentCaptions, judge_figures
from capgen.report.truth import KnownTruth
from capgen.sample.embedded_model import model_dir
from tests.tiny_runs import dropped, three_shards


def settings(**flags):
    return load_settings("lvis", {"engine.name": "echo", "model.id": "none"} | flags)


@pytest.fixture
def run(tmp_path):
    def change(row):
        sure = {"10": -0.05, "11": -2.0}.get(row.object_id)
        return dropped(row, "length") if row.object_id == "20" else replace(row, logprob_min=sure)

    return three_shards(tmp_path / "out").commit(change=change)


def test_a_score_is_the_least_token_or_the_contrast_whichever_is_smaller():
    assert fit_score([-0.1, -0.4], [[-3.0, -2.0], [-9.0, -0.1]]) == (-0.4, -0.4, 4.5)
    score, least, contrast = fit_score([-0.1, -0.4], [[-0.2, -0.1]])
    assert (score, least) == (pytest.approx(-0.2), -0.4) or score == least == -0.4
    assert contrast == pytest.approx(-0.2)
    assert fit_score([-0.3], []) == (-0.3, -0.3, None)


def test_of_two_requests_about_an_object_each_token_counts_with_the_mean_of_its_probabilities():
    mean = mean_probability([math.log(0.5), -800.0, 0.0], [math.log(0.1), 0.0, 0.0])
    assert mean == pytest.approx((math.log(0.3), math.log(0.5), 0.0))
    with pytest.raises(ValueError):
        mean_probability([-1.0], [])


def test_objects_of_the_same_category_are_compared_first_then_neighbours():
    assert to_compare(1, ["cup", "pot", "cup", "pot", "cup"], 3) == [3, 0, 2]
    assert to_compare(0, ["cup"], 3) == []


def test_yes_and_no_are_heard_in_any_spelling_and_every_question_counts():
    assert questions.probability_of_yes({" Yes": 0.5, "yes": 0.1, "NO.": 0.2, "Maybe": 0.2}) == pytest.approx(0.75)
    assert questions.probability_of_yes({"It": 1.0}) is None
    assert yes_score({"kind": 0.9, "colour": 0.2}) == pytest.approx(math.log(0.2))
    assert sorted(questions.order("a", 0)) == sorted(questions.QUESTIONS)
    assert len({tuple(questions.order(key, 0)) for key in "abcdef"}) > 1


def test_a_question_stands_behind_all_that_tells_which_object_is_meant():
    view = View("k", "You caption.", (), ("Look:", "Place: left 3."), "cup")
    shown = questions.asked(view, 'A "red" cup.', "colour")
    assert (shown.system, shown.parts[:2]) == ("", view.parts)
    assert "A 'red' cup." in shown.parts[-1]
    assert "colour" in shown.parts[-1]
    with pytest.raises(EngineFault, match="several objects at once"):
        questions.asked(dataclasses.replace(view, numbered=Numbered(1, 2, "k")), "A cup.", "kind")


def test_confidence_is_written_as_a_table_that_the_other_commands_read(run):
    summary = judge_run(run.out, settings(), JudgeRules(method="confidence"))
    assert summary.as_json() | {"right": 1, "wrong": 1, "unknown": 5} == summary.as_json()
    file = RunLayout(run.out).judge
    rows = {row["key"].rsplit("/", 1)[1]: row for row in pq.read_table(file).to_pylist()}
    assert len(rows) == 7, "a caption that was dropped is not the release's"
    assert (rows["10"]["verdict"], rows["11"]["verdict"], rows["21"]["verdict"]) == ("right", "wrong", "unknown")
    assert rows["11"]["method"] == "confidence"
    assert {key.rsplit("/", 1)[1]: right for key, right in read_labels(file).items()} == {"10": True, "11": False}
    assert len(table_scores(file)) == 7


def test_an_engine_that_cannot_score_is_refused_and_no_table_is_left(run, tmp_path):
    with pytest.raises(UserError, match="engine echo tells no log-probabilities of sentences"):
        judge_run(run.out, settings(), JudgeRules())
    with pytest.raises(UserError, match="confidence knows the run's own captions alone"):
        judge_run(run.out, settings(), JudgeRules(method="confidence"), sentences={"tiny/train/1/10": "A cup."})
    with pytest.raises(UserError, match="has the key 'tiny/train/9/9'"):
        judge_run(run.out, settings(), JudgeRules(), sentences={"tiny/train/9/9": "A cup."})
    assert not list(run.out.glob("judge*"))


def test_sentences_are_read_and_mistakes_are_named_with_their_line(tmp_path):
    file = tmp_path / "x.jsonl"
    file.write_text('{"key": "a", "caption": "A cup."}\n\n{"key": "b", "caption": "A pot."}\n')
    assert read_sentences(file) == {"a": "A cup.", "b": "A pot."}
    for text, told in (('{"key": 5}', "1 is not usable"), ("", "holds no sentence")):
        file.write_text(text)
        with pytest.raises(UserError, match=told):
            read_sentences(file)
    with pytest.raises(MissingFile):
        read_sentences(tmp_path / "none")


def test_what_a_stopped_call_has_judged_is_kept_for_the_same_call_alone(run):
    first = JudgeJournal.open(run.out, settings(), JudgeRules())
    first.add(JudgedCaption(key="a", caption="A cup.", score=-0.5))
    with next((run.out / "judge").iterdir()).open("ab") as lines:
        lines.write(b'{"key": "torn')
    again = JudgeJournal.open(run.out, settings(), JudgeRules())
    assert again.get("a", "A cup.").score == -0.5
    assert again.get("a", "Another cup.") is None
    assert JudgeJournal.open(run.out, settings(), JudgeRules(contrast=1)).get("a", "A cup.") is None
    again.remove()
    assert not (run.out / "judge").exists()


@pytest.mark.engines
@pytest.mark.skipif(not (model_dir() / "model.safetensors").is_file(), reason="the embedded captioner is not here")
def test_true_sentences_are_told_from_swapped_and_changed_ones_by_a_real_engine(tmp_path):
    from capgen.pipeline.running.retry import recorded
    from capgen.sample.write import write_world
    from tests.pipeline.runs import session

    world = tmp_path / "world"
    write_world(world, images=6, videos=0, seed=77)
    flags = {"source.root": world / "lvis", "engine.name": "echo", "model.id": "none"}
    out, _ = session(
        load_settings("sample-images", flags, ("tries.again=[]", "distinct.enabled=false")), tmp_path / "o"
    )
    facts = json.loads((world / "facts.json").read_text())["objects"]
    true = {key: one["caption"] for key, one in facts.items() if key.startswith("lvis/")}
    by_scene: dict[str, list[str]] = {}
    for key in true:
        by_scene.setdefault(key.rsplit("/", 1)[0], []).append(key)
    wrong = {}
    for keys in by_scene.values():
        for key, other in zip(keys, [*keys[1:], keys[0]], strict=True):
            if true[other] != true[key]:
                wrong[key] = true[other]
    was = recorded(out, {"source.root": world / "lvis", "engine.name": "vllm"})
    asked = with_model(was.settings, str(model_dir()))
    verdicts = {}
    for name, sentences in (("true", true), ("wrong", wrong)):
        table = tmp_path / f"{name}.parquet"
        judge_run(out, asked, JudgeRules(contrast=2), sentences=sentences, table=table)
        rows = pq.read_table(table).to_pylist()
        verdicts[name] = [row["verdict"] for row in rows if row["verdict"] != "unknown"]
    assert len(verdicts["true"]) > 15
    assert verdicts["true"].count("right") >= 0.8 * len(verdicts["true"])
    assert verdicts["wrong"].count("wrong") >= 0.9 * len(verdicts["wrong"])


@pytest.mark.parametrize("name", ["judge", "judge.parquet"])
def test_a_link_in_the_place_of_its_table_or_journal_leads_no_write_elsewhere(run, tmp_path, name):
    victim = tmp_path / "victim"
    victim.mkdir() if name == "judge" else victim.write_text("precious")
    (run.out / name).symlink_to(victim)
    with pytest.raises(UserError, match="is a symbolic link"):
        judge_run(run.out, settings(), JudgeRules("confidence"))
    journal = JudgeJournal.open(run.out, settings(), JudgeRules())._file
    (run.out / name).unlink()
    journal.parent.mkdir()
    journal.symlink_to(victim)
    with pytest.raises(UserError, match="is a symbolic link"):
        judge_run(run.out, settings(), JudgeRules())
    assert [*victim.iterdir()] == [] if name == "judge" else victim.read_text() == "precious"


TABLES = {
    "numbers as keys": {"key": [1], "score": [1.0], "verdict": ["wrong"]},
    "text as scores": {"key": ["a"], "score": ["x"], "verdict": ["wrong"], "method": ["fit"]},
    "lists": {"key": ["a"], "score": [[1.0]], "verdict": [["wrong"]], "method": [["fit"]]},
    "no UTF-8": {"key": pa.array([b"\xff"]).view(pa.string()), "score": [1.0], "verdict": ["wrong"]},
    "huge": {"key": ["a", "b"], "score": [1.7e308, -1.7e308], "verdict": ["right", "wrong"], "method": ["fit"] * 2},
    "no number": {"key": ["a", "b"], "score": [float("nan"), float("inf")], "verdict": [None, "x"]},
}


@pytest.mark.parametrize(
    ("name", "scores", "labels", "figures"),
    [
        ("numbers as keys", UserError, UserError, 0),
        ("text as scores", UserError, {"a": False}, LedgerError),
        ("lists", UserError, {}, LedgerError),
        ("no UTF-8", UserError, UserError, LedgerError),
        ("huge", {"a": 1.7e308, "b": -1.7e308}, {"a": True, "b": False}, 2),
        ("no number", {"a": None, "b": None}, {}, 2),
    ],
)
def test_a_table_that_somebody_else_made_is_read_or_one_line(run, name, scores, labels, figures):
    file = RunLayout(run.out).judge
    pq.write_table(pa.table(TABLES[name]), file)
    current = CurrentCaptions()
    for key in ("a", "b"):
        current.add(key, "None")

    def drawn(_):
        return sum(one.rows for one in judge_figures(run.out, current, KnownTruth({})))

    for read, expected in ((table_scores, scores), (read_labels, labels), (drawn, figures)):
        if isinstance(expected, type):
            with pytest.raises(expected) as error:
                read(file)
            assert "\n" not in str(error.value)
        else:
            assert read(file) == expected


def test_a_model_folder_of_pickles_is_refused_and_no_model_inherits_a_leave_to_run_code(run, tmp_path, lvis_root):
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "pytorch_model.bin").write_bytes(b"")
    own = load_settings("lvis", {"model.id": "a/b", "source.root": lvis_root}, ["model.trust_remote_code=true"])
    asked = with_model(own, str(model))
    assert asked.model.trust_remote_code is False
    assert with_model(own, str(model), ["model.trust_remote_code=true"]).model.trust_remote_code is True
    asked = asked.model_copy(update={"source": asked.source.model_copy(update={"root": None})})
    with pytest.raises(UserError, match=r"pickles \(pytorch_model\.bin\)"):
        judge_run(run.out, asked, JudgeRules())
