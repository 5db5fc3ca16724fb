import json
import os

import pytest

from capgen.dataset.lock import exclusive
from capgen.errors import UserError
from capgen.pipeline.releasing.verify import verify
from capgen.pipeline.running.driver import RunFailed
from capgen.pipeline.running.status import run_status
from tests.pipeline.runs import echo_settings, manifests, released, session


def test_every_object_is_accounted_for(lvis_root, tmp_path):
    out, report = session(echo_settings(lvis_root), tmp_path / "out")
    ledger = verify(out)
    assert ledger.ok
    assert (ledger.planned, ledger.kept) == (15, 15)
    assert (report.planned, report.asked) == (15, 15)


def test_a_finished_run_asks_nothing_again_and_changes_no_byte(lvis_root, tmp_path):
    out, _ = session(echo_settings(lvis_root), tmp_path / "out")
    before = released(out)
    _, report = session(echo_settings(lvis_root), tmp_path / "out")
    assert report.asked == 0
    assert released(out) == before


def test_only_what_is_missing_is_asked_again(lvis_root, tmp_path):
    out, _ = session(echo_settings(lvis_root), tmp_path / "out")
    before = released(out)
    (out / "candidates" / "00001.json").unlink()
    (out / "candidates" / "00000.parquet").write_bytes(b"half")
    _, report = session(echo_settings(lvis_root), tmp_path / "out")
    assert report.asked == sum(entry["rows"] for entry in manifests(out)[:2])
    assert released(out) == before
    assert verify(out).ok


def test_faults_that_pass_are_asked_again_and_those_that_do_not_are_rows_too(lvis_root, tmp_path):
    settings = echo_settings(lvis_root, "engine.options.error_rate=0.6", "run.attempts=2")
    out, report = session(settings, tmp_path / "out")
    ledger = verify(out)
    assert ledger.ok
    assert set(ledger.failed) == {"engine_failed"}
    assert 0 < ledger.failed["engine_failed"] < 15
    assert report.failed == ledger.failed


def test_garbage_is_dropped_with_its_reason_and_kept_in_candidates(lvis_root, tmp_path):
    out, _ = session(echo_settings(lvis_root, "engine.options.garbage_rate=0.9"), tmp_path / "out")
    ledger = verify(out)
    assert ledger.ok
    assert sum(ledger.dropped.values()) >= 8
    assert {"empty", "refusal", "not_stopped"} & set(ledger.dropped)
    assert ledger.planned == ledger.kept + sum(ledger.dropped.values())


def test_a_request_that_never_answers_fails_after_its_strikes_and_takes_no_other_with_it(lvis_root, tmp_path):
    settings = echo_settings(lvis_root, "engine.options.stall_rate=0.2", "run.stall_s=0.4", "run.attempts=2")
    out, report = session(settings, tmp_path / "out")
    ledger = verify(out)
    assert ledger.ok
    assert set(ledger.failed) == {"engine_stalled"}
    assert ledger.kept + ledger.failed["engine_stalled"] == 15
    assert len(report.engine_start_s) > 1


def test_a_picture_that_is_missing_fails_its_own_objects_only(lvis_root, tmp_path):
    (lvis_root / "train2017" / "000000000002.jpg").unlink()
    out, _ = session(echo_settings(lvis_root), tmp_path / "out")
    ledger = verify(out)
    assert ledger.ok
    assert ledger.failed == {"picture_missing": 3}
    assert ledger.kept == 12


def test_an_out_of_another_fingerprint_is_refused_with_the_difference(lvis_root, tmp_path):
    session(echo_settings(lvis_root), tmp_path / "out")
    with pytest.raises(UserError, match=r"sampling\.max_tokens is 96 there and 7 here"):
        session(echo_settings(lvis_root, "sampling.max_tokens=7"), tmp_path / "out")


def test_a_fork_starts_beside_it(lvis_root, tmp_path):
    session(echo_settings(lvis_root), tmp_path / "out")
    forked, report = session(echo_settings(lvis_root, "sampling.max_tokens=7"), tmp_path / "out", fork=True)
    assert forked.parent == tmp_path
    assert forked != tmp_path / "out"
    assert report.kept == 15


def test_a_fork_is_held_like_any_other_out(lvis_root, tmp_path):
    session(echo_settings(lvis_root), tmp_path / "out")
    changed = echo_settings(lvis_root, "sampling.max_tokens=7")
    forked, _ = session(changed, tmp_path / "out", fork=True)
    with exclusive(forked), pytest.raises(UserError, match=f"{forked.name} is in use"):
        session(changed, tmp_path / "out", fork=True)


def test_speed_settings_do_not_change_the_fingerprint(lvis_root, tmp_path):
    session(echo_settings(lvis_root), tmp_path / "out")
    _, report = session(echo_settings(lvis_root, "engine.options.concurrency=2", "run.stall_s=5"), tmp_path / "out")
    assert report.asked == 0


def test_the_limit_plans_exactly_so_many_objects(lvis_root, tmp_path):
    _, report = session(echo_settings(lvis_root, "source.limit=4"), tmp_path / "out")
    assert report.planned == report.kept == 4


def test_an_engine_that_keeps_dying_ends_the_run_with_one_line_and_the_run_can_be_resumed(lvis_root, tmp_path):
    settings = echo_settings(lvis_root, "engine.name=tests.pipeline.engines.deadly:Deadly", "run.attempts=1")
    with pytest.raises(RunFailed, match=r"shard 00000.*again to resume"):
        session(settings, tmp_path / "out")
    assert run_status(tmp_path / "out").left < 15, "what it did answer is kept"


def test_the_report_says_what_was_measured(lvis_root, tmp_path):
    out, report = session(echo_settings(lvis_root, "engine.options.latency_s=0.01"), tmp_path / "out")
    saved = json.loads((out / "report.json").read_text())
    assert saved["asked"] == report.asked == 15
    assert 0 < saved["requests_per_s"] <= 15 / 0.01
    assert saved["seconds"]["ask"] > 0


def test_the_status_of_a_live_run_names_its_process_and_does_not_say_run_again(lvis_root, tmp_path):
    out, _ = session(echo_settings(lvis_root), tmp_path / "out")
    (out / "candidates" / "00001.json").unlink()
    assert "run` command again" in run_status(out).text()
    with exclusive(out):
        state = run_status(out)
    assert state.running.startswith(f"process {os.getpid()} on ")
    assert f"running: {state.running}" in state.text()
    assert "again" not in state.text()
