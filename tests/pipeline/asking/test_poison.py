"""Requests that kill the engine, or hang it for everybody: they alone fail, every other request is answered."""

import pytest

from capgen.dataset.reader import read_rows
from capgen.dataset.shards import candidates_path
from capgen.pipeline.asking.journal import Flight, Lost, ShardJournal, Strike, count_settled, note_lost
from capgen.pipeline.engines.echo import Echo
from capgen.pipeline.releasing.verify import verify
from capgen.pipeline.running.driver import RunFailed
from capgen.pipeline.running.session import Devices
from capgen.pipeline.view import Settled
from tests.pipeline.runs import asked_once, echo_settings, manifests, session

POISON = "engine.name=tests.pipeline.engines.poison:Poison"


def failed_rows(out):
    rows = [row for index in range(len(manifests(out))) for row in read_rows(candidates_path(out, index))]
    return {row.key: row for row in rows if row.status == "failed"}


def poisoned(root, *assignments):
    """Two requests of different shards are poison."""
    return echo_settings(root, POISON, "engine.options.keys=['/101', '/402']", *assignments)


@pytest.mark.parametrize("attempts", [1, 2, 3])
def test_requests_that_kill_the_engine_fail_alone(lvis_root, tmp_path, attempts):
    out, report = session(poisoned(lvis_root, f"run.attempts={attempts}"), tmp_path / "out")
    ledger = verify(out)
    assert ledger.ok
    assert (ledger.kept, ledger.failed) == (13, {"engine_killed": 2})
    failed = failed_rows(out)
    assert {key.rsplit("/")[-1] for key in failed} == {"101", "402"}
    for row in failed.values():
        assert row.attempts >= attempts
        assert len(row.request_sha256) == 64
        assert row.message.startswith("the engine died of this request")
    assert len(report.engine_start_s) <= 2 * (2 * attempts) + 1


def test_a_request_that_hangs_the_whole_engine_fails_alone(lvis_root, tmp_path):
    settings = poisoned(lvis_root, "engine.options.how=hangs", "run.stall_s=0.6", "run.attempts=2")
    out, _ = session(settings, tmp_path / "out")
    ledger = verify(out)
    assert ledger.ok
    assert (ledger.kept, ledger.failed) == (13, {"engine_stalled": 2})


def test_poison_that_is_the_very_first_request_fails_alone(lvis_root, tmp_path):
    settings = echo_settings(lvis_root, POISON, "engine.options.keys=['/100']", "run.attempts=1")
    ledger = verify(session(settings, tmp_path / "out")[0])
    assert (ledger.ok, ledger.kept, ledger.failed) == (True, 14, {"engine_killed": 1})


@pytest.mark.ray
def test_a_request_that_kills_the_workers_process_fails_alone(lvis_root, tmp_path):
    settings = echo_settings(
        lvis_root, POISON, "engine.options.keys=['/201']", "engine.options.how=exits", "run.attempts=2"
    )
    out, _ = session(settings, tmp_path / "out", Devices(workers=1))
    ledger = verify(out)
    assert ledger.ok
    assert (ledger.kept, ledger.failed) == (14, {"engine_killed": 1})
    assert [key.rsplit("/")[-1] for key in failed_rows(out)] == ["201"]


def test_an_engine_that_answers_nothing_at_all_blames_no_request(lvis_root, tmp_path):
    every = "engine.options.keys=['0', '1', '2']"
    with pytest.raises(RunFailed, match="engines died in a row"):
        session(echo_settings(lvis_root, POISON, every, "run.attempts=1"), tmp_path / "out")
    assert not list((tmp_path / "out" / "candidates").glob("*.json"))


def test_flights_are_strikes_only_where_the_process_was_lost(tmp_path):
    folder = tmp_path / "0"
    with ShardJournal(folder) as journal:
        journal.add(Flight(flight="a"))
    assert ShardJournal(folder).strikes == {}, "the whole run was killed: nobody is to blame"
    with ShardJournal(folder) as journal:
        journal.add(Flight(flight="a", alone=True, request="r"))
        journal.add(Flight(flight="b"))
        journal.add(Settled(key="b", request="s", text="A cup."))
    note_lost(folder)
    journal = ShardJournal(folder)
    assert journal.careful
    assert journal.strikes == {"a": 1}
    assert journal.alone == {"a": [Strike(strike="a", why="killed", alone=True, request="r")]}
    assert count_settled(folder) == 1


def test_a_request_that_happened_to_be_in_flight_at_kills_from_outside_is_not_to_blame(tmp_path):
    with ShardJournal(tmp_path / "0") as journal:
        for alone in (False, False, False, True, True):
            journal.add(Strike(strike="a", why="killed", alone=alone))
    assert ShardJournal(tmp_path / "0").proven_faults(3) == []
    with ShardJournal(tmp_path / "0") as journal:
        journal.add(Strike(strike="a", why="killed", alone=True))
    assert [fault.fault for fault in ShardJournal(tmp_path / "0").proven_faults(3)] == ["engine_killed"]


def test_a_worker_that_told_its_strikes_has_no_flights_beside_them(tmp_path):
    folder = tmp_path / "0"
    with ShardJournal(folder) as journal:
        journal.add(Flight(flight="a"))
        journal.add(Strike(strike="a"))
    with ShardJournal(folder) as journal:
        journal.add(Lost())
    assert ShardJournal(folder).strikes == {"a": 1}


def test_garbage_empty_and_cut_off_answers_take_no_other_with_them(lvis_root, tmp_path):
    clean, _ = session(asked_once(lvis_root), tmp_path / "clean")
    spoilt, _ = session(asked_once(lvis_root, "engine.options.garbage_rate=0.7"), tmp_path / "spoilt")
    sound = {row.key: row for index in range(len(manifests(clean))) for row in read_rows(candidates_path(clean, index))}
    rows = [row for index in range(len(manifests(spoilt))) for row in read_rows(candidates_path(spoilt, index))]
    assert {row.status for row in rows} == {"kept", "dropped"}
    assert Echo().in_flight > len(rows), "they were in flight together"
    for row in rows:
        assert row == sound[row.key] if row.status == "kept" else row.reasons
    assert {"empty", "not_stopped"} <= {row.reasons[0] for row in rows if row.reasons}
