"""Requests go into files, answers come back by key: in any order, with lines missing, repeated and in error."""

import asyncio
import json
import logging
import pickle

import numpy as np
import pytest

from capgen.errors import UserError
from capgen.pipeline.asking.ask import Asker
from capgen.pipeline.engines.base import EngineContext, Postponed, build_engine, together
from capgen.pipeline.engines.batchfile import Batchfile
from capgen.pipeline.settings import EngineSettings, ModelSettings, SamplingSettings
from capgen.pipeline.view import Picture, View

PIXELS = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)


def context(**sampling):
    return EngineContext(ModelSettings(id="tiny-vlm"), SamplingSettings(**sampling))


def view(number, words="What is it?"):
    return View(f"lvis/val/1/{number}", "", (), (Picture(PIXELS, "d1"), words), "cup")


def ask(folder, numbers, options=None, words="What is it?", **sampling):
    """Settled answers, or `Postponed` or `UserError`, by number."""
    engine = Batchfile(folder=str(folder), **options or {})

    async def run():
        session = await engine.start(context(**sampling))
        asker = Asker(session, 2)
        asked = (asker.ask(view(number, words), "r") for number in numbers)
        said = await asyncio.gather(*asked, return_exceptions=True)
        await session.stop()
        return dict(zip(numbers, said, strict=True))

    return asyncio.run(run())


def requests(folder):
    """What is written, by file."""
    return {
        file.name: [json.loads(line) for line in file.read_text().splitlines()]
        for file in sorted(folder.glob("requests-*.jsonl"), key=lambda file: file.stat().st_mtime_ns)
    }


def written(folder):
    return sorted(int(line["custom_id"].split("/")[-1]) for lines in requests(folder).values() for line in lines)


def good(number, text=None, **more):
    """A line of OpenAI's output."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text or f"A cup, {number}."},
        "finish_reason": "stop",
    }
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 5}}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice], "usage": usage}
    line = {"id": f"batch_req_{number}", "custom_id": f"lvis/val/1/{number}", "error": None}
    return line | {"response": {"status_code": 200, "request_id": "x", "body": body}} | more


def bad(number, status, message="on purpose", attempt=1):
    """A line of vLLM's output about a request that failed."""
    response = {"status_code": status, "request_id": f"vllm-batch-{attempt}", "body": None}
    error = {"error": {"message": message, "type": "BadRequestError", "code": status}}
    return {"id": f"vllm-{attempt}", "custom_id": f"lvis/val/1/{number}", "response": response, "error": error}


def results(folder, *lines, name="results/anything"):
    with (folder / name).open("a") as file:
        file.writelines((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)


def test_what_has_no_answer_is_written_and_fails_for_nobody(tmp_path):
    said = ask(tmp_path, range(5))
    assert {type(one) for one in said.values()} == {Postponed}
    (lines,) = requests(tmp_path).values()
    assert sorted(line["custom_id"] for line in lines) == [f"lvis/val/1/{n}" for n in range(5)]
    line = lines[0]
    assert (line["method"], line["url"], line["body"]["model"]) == ("POST", "/v1/chat/completions", "tiny-vlm")
    picture, words = line["body"]["messages"][-1]["content"]
    assert picture["image_url"]["url"].startswith("data:image/jpeg;base64,")
    assert words == {"type": "text", "text": "What is it?"}


def test_one_line_says_how_many_wait_and_where(tmp_path):
    error = together(list(ask(tmp_path, range(5)).values()))
    assert str(error).startswith(f"5 requests wait for answers in {tmp_path}; run its requests-*.jsonl as batches")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_request_that_waits_is_not_written_again(tmp_path):
    ask(tmp_path, range(5))
    said = ask(tmp_path, range(7))
    assert {type(one) for one in said.values()} == {Postponed}
    assert written(tmp_path) == list(range(7))


def test_answers_come_back_by_key_in_any_order_from_any_file(tmp_path):
    ask(tmp_path, range(5))
    results(tmp_path, good(3), good(0), name="x.out.jsonl")
    results(tmp_path, good(4), good(1), good(2))
    said = ask(tmp_path, range(5))
    assert [said[n].text for n in range(5)] == [f"A cup, {n}." for n in range(5)]
    one = said[2]
    assert (one.finish_reason, one.prompt_tokens, one.cached_tokens, one.output_tokens) == ("stop", 9, 5, 4)


def test_of_repeated_answers_the_first_counts_and_a_difference_is_reported_once(tmp_path, caplog):
    ask(tmp_path, range(3))
    results(tmp_path, good(0), good(1), good(0), good(1, "A mug."), good(1, "A jar."), good(2))
    results(tmp_path, good(0), name="results/b-copy")
    with caplog.at_level(logging.WARNING):
        said = ask(tmp_path, range(3))
    assert [said[n].text for n in range(3)] == ["A cup, 0.", "A cup, 1.", "A cup, 2."]
    (record,) = caplog.records
    assert "lvis/val/1/1" in record.getMessage()
    assert "lvis/val/1/0" not in record.getMessage()


def test_a_request_that_its_batch_left_out_is_written_again_alone(tmp_path):
    ask(tmp_path, range(4), {"requests_per_file": 2})
    assert len(requests(tmp_path)) == 2
    first, second = ([int(line["custom_id"].split("/")[-1]) for line in lines] for lines in requests(tmp_path).values())
    results(tmp_path, good(first[0]))
    said = ask(tmp_path, range(4))
    assert said[first[0]].text
    assert written(tmp_path) == sorted([*range(4), first[1]]), "only the one whose file was run"
    ask(tmp_path, range(4))
    assert written(tmp_path) == sorted([*range(4), first[1]]), "it waits again"
    results(tmp_path, *(good(n) for n in (first[1], *second)))
    assert all(one.text for one in ask(tmp_path, range(4)).values())


def test_a_refused_request_fails_and_a_fault_that_may_pass_is_written_again(tmp_path):
    ask(tmp_path, range(4))
    error = {"code": "batch_expired", "message": "it was not run in time"}
    inner = {"status_code": 400, "body": {"error": {"message": "the prompt is too long"}}}
    results(
        tmp_path, bad(0, 400, "too long"), bad(1, 500), good(2, response=None, error=error), good(3, response=inner)
    )
    said = ask(tmp_path, range(4))
    assert (said[0].fault, said[0].message) == ("request_refused", "the batch answered 400: too long")
    assert said[3].fault == "request_refused"
    assert said[3].message.startswith("the batch answered 400: the prompt is too long (the limit is on tokens")
    assert [type(said[n]) for n in (1, 2)] == [Postponed, Postponed]
    assert written(tmp_path) == [0, 1, 1, 2, 2, 3]
    results(tmp_path, good(1), good(2))
    said = ask(tmp_path, [1, 2])
    assert [said[n].text for n in (1, 2)] == ["A cup, 1.", "A cup, 2."]


def test_a_fault_that_stays_fails_after_as_many_tries_as_asked_for(tmp_path):
    for attempt in range(1, 4):
        (said,) = ask(tmp_path, [7], {"tries": 3}).values()
        assert isinstance(said, Postponed)
        assert written(tmp_path) == [7] * attempt
        results(tmp_path, bad(7, 503, attempt=attempt))
    (said,) = ask(tmp_path, [7], {"tries": 3}).values()
    assert said.fault == "engine_failed"
    assert "503: on purpose (asked 3 times)" in said.message
    assert written(tmp_path) == [7] * 3


@pytest.mark.parametrize("change", [{"words": "What colour is it?"}, {"temperature": 0.5}])
def test_answers_to_another_run_are_not_taken(tmp_path, change):
    """Same keys, another prompt or sampling: the folder belongs to the other run."""
    ask(tmp_path, range(2))
    results(tmp_path, good(0), good(1))
    for said in ask(tmp_path, range(2), **change).values():
        assert isinstance(said, UserError)
        assert "as asked by another run" in str(said)
    assert written(tmp_path) == [0, 1]


def test_an_answer_to_a_request_that_was_never_written_does_not_count(tmp_path):
    ask(tmp_path, [0])
    results(tmp_path, good(1))
    assert isinstance(ask(tmp_path, [1])[1], Postponed)


def test_lines_that_are_no_output_are_counted_and_harm_nobody(tmp_path, caplog):
    ask(tmp_path, range(2))
    results(tmp_path, "{", "", "[1]", '"x"', good(0), json.dumps(good(1))[:-30])
    said = ask(tmp_path, range(2))
    assert said[0].text == "A cup, 0."
    assert isinstance(said[1], Postponed)
    assert "4 lines" in caplog.text


def test_an_answer_without_a_choice_is_a_fault_that_may_pass(tmp_path):
    ask(tmp_path, [0])
    results(tmp_path, good(0, response={"status_code": 200, "body": {"choices": []}}))
    assert isinstance(ask(tmp_path, [0])[0], Postponed)
    assert written(tmp_path) == [0, 0]


def test_a_half_written_file_is_as_if_never_written(tmp_path):
    """A kill leaves a part; its requests are written again, and no runner sees it."""

    async def killed():
        session = await Batchfile(folder=str(tmp_path)).start(context())
        with pytest.raises(Postponed):
            await session.answer(view(1))

    asyncio.run(killed())
    assert not requests(tmp_path)
    ask(tmp_path, [1])
    assert written(tmp_path) == [1]


def test_files_are_ended_at_their_size(tmp_path):
    ask(tmp_path, range(7), {"requests_per_file": 3})
    assert [len(lines) for lines in requests(tmp_path).values()] == [3, 3, 1]


def test_without_a_folder_the_runs_own_is_used_and_without_a_run_it_must_be_given(tmp_path):
    async def start(out):
        session = await Batchfile().start(EngineContext(ModelSettings(id="m"), SamplingSettings(), out=out))
        return session.folder

    assert asyncio.run(start(tmp_path)) == (tmp_path / "batch").resolve()
    with pytest.raises(UserError, match=r"needs a folder.*engine\.options\.folder"):
        asyncio.run(start(None))
    with pytest.raises(UserError, match="tries count from 1"):
        build_engine(EngineSettings(name="batchfile", options={"tries": 0}))
