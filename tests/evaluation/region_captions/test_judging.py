"""Judges through our own engines: asked question by question, held to a schema, kept by content, repeated."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from capgen.cli.evaluation import app
from capgen.errors import UserError
from capgen.evaluation.region_captions.judged_files import score_judged
from capgen.evaluation.region_captions.judging.cache import JudgementCache
from capgen.evaluation.region_captions.judging.forms import ChoiceForm, MarksForm
from capgen.evaluation.region_captions.judging.judge import JudgeIdentity, JudgeReply
from capgen.evaluation.region_captions.judging.prompts import JudgePrompt
from capgen.evaluation.region_captions.judging.scores import comparison_warnings
from tests import tiny_models
from tests.pipeline.engines.chatserver import ChatServer, completion, error, http

QA = {
    "1": [
        {"question": "Colour?", "type": "positive", "choices": [["not said", 0], ["red", 1], ["not red", -1]]},
        {"question": "Wheels?", "type": "negative", "choices": [["not said", 1], ["has wheels", -1]]},
    ],
    "2": [
        {"question": "Size?", "type": "positive", "choices": [["not said", 0], ["small", 0.5]]},
        {"question": "Wings?", "type": "negative", "choices": [["not said", 1], ["has wings", -1]]},
    ],
}
SAID = {"1": "A red cup.", "2": "A small plate."}


def dlc(folder, said=SAID):
    (folder / "qa.json").write_text(json.dumps(QA))
    (folder / "class_names.json").write_text(json.dumps({"1": "cup", "2": "scissors"}))
    (folder / "pred.json").write_text(json.dumps(said))
    return ["captions", "--benchmark", "dlc-bench", "--gt", folder, "--pred", folder / "pred.json"]


def run(*flags, fails=False):
    done = CliRunner().invoke(app, [str(flag) for flag in flags])
    if fails:
        return done.exception
    assert done.exception is None, done.exception
    return json.loads(done.stdout) if "--json" in flags else done.stdout


def answers(choose):
    """A server that answers what ``choose`` makes of the user's text, as JSON."""

    async def act(request, server, writer):
        said = choose(request)
        text = said if isinstance(said, str) else json.dumps(said)
        writer.write(http(200, json.dumps(completion(request, text)).encode()))

    return act


@pytest.fixture
def server():
    def choose(request):
        return {"answer": "B" if "Colour?" in request.text or "Size?" in request.text else "A"}

    with ChatServer(default=answers(choose)) as running:
        yield running


def at(server, tmp_path):
    return ["--judge", "tiny-judge", "--server", server.url, "--cache", tmp_path / "cache", "--json"]


def test_a_server_is_asked_question_by_question_with_a_schema(server, tmp_path):
    found = run(*dlc(tmp_path), *at(server, tmp_path))
    assert found["numbers"] == {"average": 0.875, "positive": 0.75, "negative": 1.0, "recognised": 1.0}
    assert len(server.requests) == 6
    texts = [request.text for request in server.requests]
    assert sum("A red cup." in text for text in texts) == 3
    assert any("is this a cup" in text for text in texts)
    assert any("are these scissors" in text for text in texts)
    schema = server.requests[0].body["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["answer"]["enum"][:2] == ["A", "B"]
    assert found["judge"]["model"] == "tiny-judge"
    assert found["prompt"]["name"] == "multiple-choice_v1"
    assert found["requests"]["prompt_tokens"] == 6 * 11


def test_what_was_asked_is_never_asked_again(server, tmp_path):
    first = run(*dlc(tmp_path), *at(server, tmp_path))
    again = run(*dlc(tmp_path), *at(server, tmp_path))
    assert again["numbers"] == first["numbers"]
    assert (again["requests"]["asked"], again["requests"]["from_cache"]) == (0, 6)
    assert len(server.requests) == 6
    run(*dlc(tmp_path, SAID | {"2": "A large plate."}), *at(server, tmp_path))
    assert len(server.requests) == 9, "one caption has changed: its three questions alone are asked"


def test_an_evaluation_that_broke_off_goes_on(server, tmp_path):
    server.schedule.extend([server.default, server.default, error(400)])
    broken = run(*dlc(tmp_path), *at(server, tmp_path), "--set", "engine.options.concurrency=1", fails=True)
    assert isinstance(broken, UserError)
    assert "gave no answer to 1 of 6 requests" in str(broken)
    found = run(*dlc(tmp_path), *at(server, tmp_path))
    assert (found["requests"]["asked"], found["requests"]["from_cache"]) == (1, 5)


def test_repeated_judgements_have_their_own_seeds_and_a_spread(tmp_path):
    def choose(request):
        return {"answer": "B" if request.body["seed"] % 2 and "Colour?" in request.text else "A"}

    with ChatServer(default=answers(choose)) as server:
        found = run(*dlc(tmp_path), *at(server, tmp_path), "--repeat", 4, "--temperature", 0.7)
        text = run(*dlc(tmp_path), *at(server, tmp_path)[:-1], "--repeat", 4, "--temperature", 0.7)
        assert {request.body["seed"] for request in server.requests} == {0, 1, 2, 3}
        assert {request.body["temperature"] for request in server.requests} == {0.7}
    assert [one["positive"] for one in found["repetitions"]] == [0.0, 0.5, 0.0, 0.5]
    assert found["numbers"]["positive"] == 0.25
    assert (found["spread"]["positive"]["min"], found["spread"]["positive"]["max"]) == (0.0, 0.5)
    assert "positive 0.250 +- 0.289 (0.000 to 0.500 in 4 judgements)" in text
    assert "1 of 6 questions were not answered alike each time" in text
    assert "judge: tiny-judge by openai" in text


def test_replies_without_an_answer_and_regions_without_a_caption_bring_no_points(tmp_path):
    with ChatServer(default=answers(lambda _: "I would rather not say.")) as server:
        found = run(*dlc(tmp_path, {"1": "A red cup."}), *at(server, tmp_path), "--free-answers")
        assert "response_format" not in server.requests[0].body
    assert found["numbers"] == {"average": 0.0, "positive": 0.0, "negative": 0.0, "recognised": 0.0}
    assert found["requests"]["unreadable"] == 3
    assert "1 regions have no caption and get no points" in found["notes"]


def test_questions_of_ones_own_need_no_names_of_objects(server, tmp_path):
    flags = dlc(tmp_path)
    (tmp_path / "class_names.json").unlink()
    flags[2] = "questions"
    flags[4] = tmp_path / "qa.json"
    found = run(*flags, *at(server, tmp_path))
    assert len(server.requests) == 4
    assert found["numbers"] == {"average": 0.875, "positive": 0.75, "negative": 1.0}


def test_a_prompt_of_ones_own_is_named_and_asked(server, tmp_path):
    prompt = tmp_path / "mine.toml"
    prompt.write_text('name = "mine"\nuser = "{{ caption }} | {{ question }} | {{ choices | join(\'/\') }}"\n')
    found = run(*dlc(tmp_path), *at(server, tmp_path), "--prompt", prompt)
    assert found["prompt"]["name"] == "mine"
    assert "A red cup. | Colour? | not said/red/not red" in [request.text for request in server.requests]
    prompt.write_text('name = "mine"\nuser = "{{ nothing }}"\n')
    broken = run(*dlc(tmp_path), *at(server, tmp_path), "--prompt", prompt, fails=True)
    assert "it is given caption, choices, pictures, question" in str(broken)


def test_numbers_of_two_judges_are_compared_with_a_warning_only(server, tmp_path):
    for judge in ("one", "two"):
        run(*dlc(tmp_path), *at(server, tmp_path), "--judge", judge, "--out", tmp_path / f"{judge}.json")
    reports = [score_judged(tmp_path / f"{judge}.json") for judge in ("one", "two")]
    assert comparison_warnings(reports) == ["these numbers are of two judges: do not compare them"]
    assert comparison_warnings([reports[0], reports[0]]) == []
    other = replace(reports[0], prompt={"name": "x", "sha256": "y"}, pictures=True)
    assert [line.split(":")[0] for line in comparison_warnings([reports[0], other])] == [
        "these numbers are by two prompts",
        "these numbers are with and without pictures",
    ]
    both = run("captions", "--judged", tmp_path / "one.json", "--judged", tmp_path / "two.json")
    assert "warning: these numbers are of two judges" in both


@pytest.mark.parametrize(
    "change",
    [
        {"repetitions": 3},
        {"repetitions": []},
        {"repetitions": [{}]},
        {"repetitions": [{"a": 1.0}, {"b": 2.0}]},
        {"prompt": {"name": "x"}},
        {"judge": {"model": 3}},
    ],
)
def test_a_damaged_report_ends_in_one_line(tmp_path, change):
    file = tmp_path / "report.json"
    run(*dlc(tmp_path), "--engine", "echo", "--cache", tmp_path / "cache", "--out", file)
    score_judged(file)
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(UserError, match=r"report\.json is a damaged report"):
        score_judged(file)


def test_requests_in_batch_files_are_judged_when_their_answers_are_there(tmp_path):
    folder = tmp_path / "batch"
    flags = [*dlc(tmp_path), "--engine", "batchfile", "--judge", "m", "--cache", tmp_path / "cache", "--json"]
    flags += ["--set", f"engine.options.folder={folder}"]
    assert "6 requests wait for answers" in str(run(*flags, fails=True))
    lines = []
    for raw in next(folder.glob("requests-*.jsonl")).read_text().splitlines():
        asked = json.loads(raw)
        assert asked["body"]["response_format"]["type"] == "json_schema"
        said = {"message": {"content": '{"answer": "A"}'}, "finish_reason": "stop"}
        body = {"choices": [said]}
        lines.append({"custom_id": asked["custom_id"], "response": {"status_code": 200, "body": body}})
    (folder / "results").mkdir(exist_ok=True)
    (folder / "results" / "out.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    assert run(*flags)["numbers"] == {"average": 0.5, "positive": 0.0, "negative": 1.0, "recognised": 1.0}


def test_echo_judges_without_a_model(tmp_path):
    found = run(*dlc(tmp_path), "--engine", "echo", "--cache", tmp_path / "cache", "--repeat", 3, "--json")
    assert len(found["repetitions"]) == 3
    assert found["requests"]["unreadable"] == 0


def test_a_torn_cache_loses_its_torn_line_alone(tmp_path):
    identity = JudgeIdentity("m", "e")
    with JudgementCache(tmp_path, identity) as cache:
        cache.put("a", JudgeReply("x", "stop"))
        cache.put("b", JudgeReply("y", "error"))
        cache.put("c", JudgeReply("z", "stop"))
    cache.path.write_bytes(cache.path.read_bytes()[:-9])
    with JudgementCache(tmp_path, identity) as cache:
        assert (cache.get("a"), cache.get("b"), cache.get("c")) == (JudgeReply("x", "stop"), None, None)
        cache.put("c", JudgeReply("z", "stop"))
    with JudgementCache(tmp_path, identity) as cache:
        assert len(cache) == 2
    with JudgementCache(tmp_path, JudgeIdentity("other", "e")) as cache:
        assert len(cache) == 0


@pytest.mark.parametrize(
    ("reply", "place"),
    [
        ('{"answer": "B"}', 1),
        ('```json\n{"answer": "C"}\n```', 2),
        ("B. red", 1),
        ("(C) not red", 2),
        ("Red.", 1),
        ("The answer is not said", 0),
        ("D", None),
        ("A banana is not red", 2),
        ("It is red, or not said", None),
        ("", None),
        ('{"answer": ["A"]}', None),
    ],
)
def test_a_choice_is_read_from_what_judges_write(reply, place):
    found = ChoiceForm(("not said", "red", "not red")).read(reply)
    assert found == (None if place is None else {"answer": place})


@pytest.mark.parametrize(
    ("reply", "marks"),
    [
        ('{"subject": 5, "temporal": 0}', (5, 0)),
        ("1. Subject Correspondence: 4\nExplanation: 2 cups\n2. Temporal Description: 3", (4, 3)),
        ("5 2", (5, 2)),
        ('{"subject": 7, "temporal": 0}', None),
        ('{"subject": 2.5, "temporal": 0}', None),
        ("subject: 3", None),
        ("nothing", None),
    ],
)
def test_marks_are_read_from_what_judges_write(reply, marks):
    found = MarksForm(("subject", "temporal"), 0, 5).read(reply)
    assert found == (None if marks is None else dict(zip(("subject", "temporal"), marks, strict=True)))


@pytest.mark.parametrize(
    "name", ["multiple-choice_v1", "four-aspects_v1", "same-meaning_v1", "relation_v1", "similarity_v1"]
)
def test_shipped_prompts_name_what_they_ask_and_never_parse_data(name):
    given = {name: f"<{name} {{{{ 7 * 7 }}}}>" for name in ("caption", "question", "reference", "subject", "object")}
    given |= {"relation": "on", "choices": ("yes", "no"), "pictures": False}
    _, user = JudgePrompt.load(name).fill(given)
    assert "<caption {{ 7 * 7 }}>" in user
    assert "as JSON" in user


def test_mistakes_end_in_one_line(tmp_path):
    flags = dlc(tmp_path)
    assert "give --judge MODEL" in str(run(*flags, fails=True))
    assert "dlc-bench" in str(run("captions", "--judge", "x", "--pred", tmp_path / "pred.json", fails=True))
    assert "--repeat 0" in str(run(*flags, "--engine", "echo", "--repeat", 0, fails=True))
    (tmp_path / "class_names.json").write_text("{}")
    assert "does not name the region 1" in str(run(*flags, "--engine", "echo", "--cache", tmp_path / "c", fails=True))
    (tmp_path / "qa.json").write_text('{"1": [{"question": "?", "choices": [], "type": "positive"}]}')
    assert "0 choices" in str(run(*flags, "--engine", "echo", "--cache", tmp_path / "c", fails=True))


@pytest.mark.engines
def test_a_text_model_in_vllm_judges_by_the_schema(tmp_path):
    model = tiny_models.build_llama(tmp_path / "judge")
    flags = [*dlc(tmp_path), "--judge", model, "--cache", tmp_path / "cache", "--json"]
    for setting in ("max_model_len=1024", "max_num_seqs=4", "dtype=float32"):
        flags += ["--set", f"engine.options.{setting}"]
    command = [sys.executable, "-m", "capgen.cli", "eval", *map(str, flags)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=500, check=False, cwd=Path(__file__).resolve().parents[3]
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout[done.stdout.index("{") :])
    assert found["requests"]["asked"] == 6
    assert found["requests"]["unreadable"] == 0, "weights at random, and yet every answer is one of the choices"
    assert found["judge"]["engine"] == "vllm"


@pytest.mark.parametrize(
    "reply",
    [
        f'{{"accuracy": {"9" * 400}}}',
        '{"accuracy": 1e999}',
        "[" * 100_000,
        f"accuracy {'9' * 5000}",
        "accuracy" * 12_000,
    ],
)
def test_a_reply_of_a_hostile_judge_is_no_mark_and_takes_no_time(reply):
    begun = time.monotonic()
    assert MarksForm(("accuracy",), 0, 10).read(reply) is None
    assert ChoiceForm(("red", "not red")).read(reply) is None
    assert time.monotonic() - begun < 5
