"""What people say of captions reaches the release, and the ledger closes."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from capgen.dataset.layout import RunLayout
from capgen.dataset.reader import read_rows
from capgen.dataset.release_record import read_release, released_files
from capgen.dataset.shards import candidates_path
from capgen.errors import LedgerError
from capgen.pipeline.releasing.reviewed import FLAGGED, Reviewed, flagged, labels
from capgen.pipeline.releasing.reviews import append_reviews, review
from capgen.pipeline.releasing.verify import verify
from tests.tiny_runs import dropped, failed, said, three_shards


def judged(row):
    """One dropped, one failed, the others kept."""
    return {
        "11": lambda: dropped(said(row, "The image shows a pot."), "meta_talk"),
        "20": lambda: failed(row, "engine_stalled"),
    }.get(row.object_id, lambda: row)()


@pytest.fixture
def run(tmp_path):
    return three_shards(tmp_path / "out").commit(change=judged)


def captions(run):
    rows = (row for index in range(3) for row in read_rows(candidates_path(run.out, index)))
    return {row.object_id: row for row in rows}


def released_rows(out):
    files = released_files(out, "captions")
    return {row["key"]: row for file in files for row in pq.read_table(file).to_pylist()}


def say(run, number, verdict, **more):
    row = captions(run)[number]
    append_reviews(run.out, [review(row.key, verdict, "a tester", **({"said": row.caption} | more))])
    return row.key


def test_people_leave_out_restore_and_rewrite_captions_and_the_ledger_closes(run):
    bad = say(run, "10", "bad", why="it is blue")
    restored = say(run, "11", "good")
    written = say(run, "20", "edit", caption="A blue teapot.")
    run.pack()
    released = released_rows(run.out)
    assert bad not in released
    assert released[restored]["caption"] == "The image shows a pot."
    assert released[restored]["source"] is None
    assert released[written]["caption"] == "A blue teapot."
    assert (released[written]["source"], released[written]["model"]) == ("human", None)
    ledger = verify(run.out)
    assert ledger.ok, ledger.problems
    assert ledger.dropped[FLAGGED] == 1
    assert not ledger.failed
    record = read_release(run.out).reviews
    assert (record.good, record.restored, record.bad, record.edited, record.outdated) == (1, 1, 1, 1, 0)
    card = RunLayout(run.out).card.read_text()
    assert "1 were written anew by a person" in card
    assert "written by people" in card


def test_a_judgement_of_an_earlier_caption_counts_no_more(run):
    key = say(run, "10", "bad", said="Another sentence.")
    run.pack()
    assert key in released_rows(run.out)
    assert read_release(run.out).reviews.outdated == 1
    assert verify(run.out).ok


def test_a_release_is_made_anew_when_somebody_judges_and_verify_reads_what_it_was_made_with(run):
    run.pack()
    first = read_release(run.out).inputs
    say(run, "10", "bad")
    assert verify(run.out).ok, "the release is of before"
    run.pack()
    assert read_release(run.out).inputs != first
    say(run, "21", "bad")
    assert verify(run.out).ok
    file = RunLayout(run.out).reviews
    file.write_bytes(file.read_bytes().replace(b"bad", b"dab", 1))
    ledger = verify(run.out)
    assert not ledger.ok
    assert "reviews.jsonl is not the file that the release was made with" in " ".join(ledger.problems)


def test_a_caption_that_repeats_one_that_people_left_out_is_released(tmp_path):
    def twins(row):
        return replace(said(row, "A red pot."), category="pot") if row.object_id in ("10", "11") else row

    run = three_shards(tmp_path / "out").commit(change=twins)
    run.pack()
    assert verify(run.out).dropped == {"duplicate": 1}
    say(run, "10", "bad")
    run.pack()
    assert verify(run.out).dropped == {FLAGGED: 1}


def test_reviews_are_labels_and_say_what_to_ask_again(run):
    good, bad = say(run, "10", "good"), say(run, "21", "bad")
    edited = say(run, "11", "edit", caption="A pot.")
    own = {row.key: row.caption for row in captions(run).values()}
    assert labels(run.out, own) == {good: True, bad: False, edited: False}
    assert flagged(run.out) == {bad}
    say(run, "21", "none")
    assert flagged(run.out) == set()


def test_a_damaged_line_is_named_by_its_number(run):
    say(run, "10", "good")
    file = RunLayout(run.out).reviews
    file.write_bytes(b'{"key": 5}\n' + file.read_bytes())
    with pytest.raises(LedgerError, match="line 1, is no review"):
        Reviewed.of_run(run.out)
    file.write_bytes(file.read_bytes().split(b"\n", 1)[1] + json.dumps({"key": "cut"}).encode()[:5])
    assert len(labels(run.out, {row.key: row.caption for row in captions(run).values()})) == 1
