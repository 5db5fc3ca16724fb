"""One request about several objects: each object gets its own caption, missing ones fail, invented ones are counted."""

import asyncio
import json

import pytest

from capgen.dataset.reader import read_rows
from capgen.dataset.shards import candidates_path
from capgen.pipeline.asking.shared_requests import SharedRequests, own_answer, read_captions
from capgen.pipeline.engines.base import EngineFault, NotInAnswer
from capgen.pipeline.view import Answer, Numbered, View
from tests.conftest import write_lvis
from tests.pipeline.runs import echo_settings, manifests, released, session


def said(text: str) -> dict[int, str]:
    return {number: one.text for number, one in read_captions(text).items()}


@pytest.mark.parametrize(
    "text",
    [
        '{"1": "A red cup.", "2": "A dog."}',
        '```json\n{"1": "A red cup.", "2": "A dog."}\n```',
        '{"1": {"caption": "A red cup."}, "2": {"caption": "A dog."}}',
        '{"captions": [{"number": 1, "caption": "A red cup."}, {"number": "2", "caption": "A dog."}]}',
        '[{"number": 1, "caption": "A red cup."}, {"number": 2, "caption": "A dog."}, {"number": 2, "caption": "No."}]',
        '{"1": "A red cup.", "2": "A dog.", "3": "A caption that is cut o',
        'Here: {"1": "A red cup.", "2": "A dog.",}',
    ],
)
def test_captions_are_read_by_number_from_what_models_write(text):
    assert said(text) == {1: "A red cup.", 2: "A dog."}


@pytest.mark.parametrize(
    "text", ["", "A red cup.", "[1, 2]", '{"one": "A cup."}', '{"1": 7}', '{"1": " "}', "[" * 9999]
)
def test_what_is_no_answer_by_number_has_no_captions(text):
    assert said(text) == {}


def test_a_missing_number_fails_its_object_alone_and_an_invented_one_is_counted_once():
    answer = Answer('{"1": "A cup.", "3": "A dog.", "9": "A cat."}', "stop", 100, 31, 9)
    parts = [Numbered(number, 3, "k") for number in (1, 2, 3)]
    first, last = own_answer(answer, parts[0]), own_answer(answer, parts[2])
    assert (first.text, last.text) == ("A cup.", "A dog.")
    with pytest.raises(NotInAnswer, match="3 objects has no caption for number 2") as missing:
        own_answer(answer, parts[1])
    shares = [first, missing.value.answer, last]
    assert [one.invented for one in shares] == [1, 0, 0]
    for name in ("prompt_tokens", "cached_tokens", "output_tokens"):
        assert sum(getattr(one, name) for one in shares) == getattr(answer, name)


def test_each_caption_has_the_confidence_of_its_own_words():
    pieces = ['{"', "1", '":"', "A", " red", " cup", '","', "2", '":"', "A", " big", " dog", '"}']
    values = {" red": -0.5, " cup": -0.1, " big": -0.2, " dog": -2.0}
    answer = Answer("".join(pieces), "stop", tokens=tuple((piece, values.get(piece, 0.0)) for piece in pieces))
    found = [own_answer(answer, Numbered(number, 2, "k")).logprob_min for number in (1, 2)]
    assert found == [-0.1, -2.0]


class Counting:
    """A session that fails at first and notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def answer(self, view):
        self.asked.append(view.key)
        await asyncio.sleep(0)
        if len(self.asked) == 1:
            raise EngineFault("not now")
        return Answer(json.dumps({"1": "A cup.", "2": "A dog."}), "stop")

    async def stop(self):
        """Nothing to do."""


def test_objects_of_one_request_are_asked_once_and_again_after_a_fault():
    async def ask():
        inner = Counting()
        shared = SharedRequests(inner)
        views = [View(f"k{n}", "s", (), ("same",), None, numbered=Numbered(n, 2, "k1")) for n in (1, 2)]
        failed = await asyncio.gather(*map(shared.answer, views), return_exceptions=True)
        answers = [await shared.answer(view) for view in (views[1], views[0], views[1])]
        return inner.asked, failed, [one.text for one in answers]

    asked, failed, texts = asyncio.run(ask())
    assert [str(fault) for fault in failed] == ["not now", "not now"]
    assert texts == ["A dog.", "A cup.", "A dog."]
    assert asked == ["k1", "k1"]


def test_a_run_asks_once_a_picture_and_resumes_to_the_same_bytes(tmp_path):
    """Five pictures of three objects each: five requests; their tokens are shared out among the objects."""
    root = write_lvis(tmp_path / "lvis", scale=4)
    settings = echo_settings(root, "prompt.name=numbered_v1", "distinct.enabled=false", "tries.again=[]")
    session(settings, tmp_path / "out")
    rows = [row for index in range(3) for row in read_rows(candidates_path(tmp_path / "out", index))]
    assert [row.status for row in rows] == ["kept"] * 15
    assert len({row.request_sha256 for row in rows}) == 5
    assert {row.highlight for row in rows} == {"box+number"}
    assert sum(one["extra"]["invented"] for one in manifests(tmp_path / "out")) == 0
    again = tmp_path / "again"
    session(settings, again)
    assert released(again) == released(tmp_path / "out")
