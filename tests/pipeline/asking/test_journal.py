import pytest

from capgen.pipeline.asking.journal import ShardJournal, Strike, count_settled
from capgen.pipeline.view import Settled


def settled(key, text="A cup."):
    return Settled(key=key, request="r", text=text, finish_reason="stop")


def test_what_was_added_is_there_after_the_worker_is_gone(tmp_path):
    first = ShardJournal(tmp_path / "0")
    first.add(settled("a"))
    first.add(settled("b"))
    first.flush()
    # not closed: a killed worker never closes
    assert set(ShardJournal(tmp_path / "0").settled) == {"a", "b"}


def test_a_line_torn_by_a_kill_is_as_if_never_written(tmp_path):
    journal = ShardJournal(tmp_path / "0")
    journal.add(settled("a"))
    journal.add(settled("b"))
    journal.close()
    (file,) = (tmp_path / "0").iterdir()
    whole = file.read_bytes()
    for cut in range(len(whole) - 1, len(whole) // 2, -7):
        file.write_bytes(whole[:cut])
        assert set(ShardJournal(tmp_path / "0").settled) == {"a"}


@pytest.mark.parametrize(
    "line",
    [
        b'{"key":"b","request":"r","text":"x","finish_reason":"stop","prompt_tokens":2147483648}',
        b'{"key":"b","request":"r","text":"x","finish_reason":"stop","prompt_tokens":-1}',
        b'{"key":"b","request":"r","text":"x","finish_reason":"stop","output_tokens":1.5}',
        b'{"key":"b","request":"r","text":"x","finish_reason":"stop","attempts":-2147483649}',
        b'{"key":"b","request":"r","x":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"key":"b","request":"r","text":"\xff"}',
        b'{"strike":7}',
    ],
)
def test_a_poisoned_line_is_as_if_never_written_and_takes_no_other_with_it(tmp_path, line):
    """Its object is asked again; a number that no row can hold would end the shard on every resume."""
    good = b'{"key":"a","request":"r","text":"A cup.","finish_reason":"stop"}'
    (tmp_path / "0001-0123abcd.jsonl").write_bytes(good + b"\n" + line + b"\n" + good.replace(b'"a"', b'"c"') + b"\n")
    with ShardJournal(tmp_path) as journal:
        assert sorted(journal.settled) == ["a", "c"]
        assert not journal.strikes


def test_workers_that_had_the_same_shard_never_share_a_file(tmp_path):
    old, new = ShardJournal(tmp_path / "0"), ShardJournal(tmp_path / "0")
    old.add(settled("a", "from the old worker"))
    new.add(settled("a", "from the new worker"))
    new.add(settled("b"))
    old.flush()
    new.flush()
    assert len(list((tmp_path / "0").iterdir())) == 2
    assert set(ShardJournal(tmp_path / "0").settled) == {"a", "b"}


def test_the_earlier_workers_answer_counts(tmp_path):
    old = ShardJournal(tmp_path / "0")
    old.add(settled("a", "first"))
    old.flush()
    new = ShardJournal(tmp_path / "0")
    new.add(settled("a", "second"))
    new.flush()
    assert ShardJournal(tmp_path / "0").settled["a"].text == "first"


def test_strikes_are_counted_over_workers(tmp_path):
    for _ in range(2):
        with ShardJournal(tmp_path / "0") as journal:
            journal.add(Strike(strike="a"))
    journal = ShardJournal(tmp_path / "0")
    assert journal.strikes == {"a": 2}
    assert not journal.settled


def test_a_committed_shard_leaves_no_journal(tmp_path):
    journal = ShardJournal(tmp_path / "0")
    journal.add(settled("a"))
    journal.flush()
    assert count_settled(tmp_path / "0") == 1
    journal.remove()
    assert count_settled(tmp_path / "0") == 0
