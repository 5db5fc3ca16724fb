from capgen.pipeline.asking.journal import Journal, Strike, count_settled
from capgen.pipeline.view import Settled


def settled(key, text="A cup."):
    return Settled(key=key, request="r", text=text, finish_reason="stop")


def test_what_was_added_is_there_after_the_worker_is_gone(tmp_path):
    first = Journal(tmp_path / "0")
    first.add(settled("a"))
    first.add(settled("b"))
    first.flush()
    # not closed: a killed worker never closes
    assert set(Journal(tmp_path / "0").settled) == {"a", "b"}


def test_a_line_torn_by_a_kill_is_as_if_never_written(tmp_path):
    journal = Journal(tmp_path / "0")
    journal.add(settled("a"))
    journal.add(settled("b"))
    journal.close()
    (file,) = (tmp_path / "0").iterdir()
    whole = file.read_bytes()
    for cut in range(len(whole) - 1, len(whole) // 2, -7):
        file.write_bytes(whole[:cut])
        assert set(Journal(tmp_path / "0").settled) == {"a"}


def test_workers_that_had_the_same_shard_never_share_a_file(tmp_path):
    old, new = Journal(tmp_path / "0"), Journal(tmp_path / "0")
    old.add(settled("a", "from the old worker"))
    new.add(settled("a", "from the new worker"))
    new.add(settled("b"))
    old.flush()
    new.flush()
    assert len(list((tmp_path / "0").iterdir())) == 2
    assert set(Journal(tmp_path / "0").settled) == {"a", "b"}


def test_the_earlier_workers_answer_counts(tmp_path):
    old = Journal(tmp_path / "0")
    old.add(settled("a", "first"))
    old.flush()
    new = Journal(tmp_path / "0")
    new.add(settled("a", "second"))
    new.flush()
    assert Journal(tmp_path / "0").settled["a"].text == "first"


def test_strikes_are_counted_over_workers(tmp_path):
    for _ in range(2):
        with Journal(tmp_path / "0") as journal:
            journal.add(Strike(strike="a"))
    journal = Journal(tmp_path / "0")
    assert journal.strikes == {"a": 2}
    assert not journal.settled


def test_a_committed_shard_leaves_no_journal(tmp_path):
    journal = Journal(tmp_path / "0")
    journal.add(settled("a"))
    journal.flush()
    assert count_settled(tmp_path / "0") == 1
    journal.remove()
    assert count_settled(tmp_path / "0") == 0
