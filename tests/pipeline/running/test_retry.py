"""Dead letters: what a failed or dropped row keeps, and asking again for just those."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from capgen.dataset.plan import ModelName
from capgen.dataset.reader import read_plan, read_rows
from capgen.dataset.shards import candidates_path
from capgen.errors import UserError
from capgen.pipeline.planning.prepare import prepare
from capgen.pipeline.releasing.verify import verify
from capgen.pipeline.running.retry import ask_again, recorded
from capgen.pipeline.running.status import run_status
from tests.pipeline.runs import asked_once, manifests, released, session

REPOSITORY = Path(__file__).resolve().parents[3]
GARBAGE = ("engine.options.garbage_rate=0.7", "engine.options.seed=3")


def rows_of(out):
    return {row.key: row for index in range(len(manifests(out))) for row in read_rows(candidates_path(out, index))}


def again(out, root, *assignments, codes=()):
    return session(asked_once(root, *assignments), out, again=codes)


@pytest.fixture
def garbage(lvis_root, tmp_path):
    """A finished run of which many captions were dropped."""
    out, _ = session(asked_once(lvis_root, *GARBAGE), tmp_path / "out")
    return out


def test_a_dropped_row_keeps_what_was_said_why_it_was_dropped_and_what_was_asked(garbage):
    dropped = [row for row in rows_of(garbage).values() if row.status == "dropped"]
    assert dropped
    for row in dropped:
        assert row.key.startswith("lvis/train/")
        assert row.caption is not None
        assert row.reasons
        assert row.message
        assert row.attempts == 1
        assert len(row.request_sha256) == 64


def test_a_failed_row_keeps_the_engines_message_the_attempts_and_what_was_asked(lvis_root, tmp_path):
    settings = asked_once(lvis_root, "engine.options.error_rate=0.6", "run.attempts=2")
    out, _ = session(settings, tmp_path / "out")
    failed = [row for row in rows_of(out).values() if row.status == "failed"]
    assert failed
    asked = {row.request_sha256 for row in rows_of(out).values()}
    assert len(asked) == 15, "a digest tells requests apart"
    for row in failed:
        assert (row.reasons, row.attempts, row.caption) == (("engine_failed",), 2, None)
        assert "error_rate=0.6" in row.message


def test_a_picture_that_is_missing_was_never_asked_about(lvis_root, tmp_path):
    (lvis_root / "train2017" / "000000000002.jpg").unlink()
    out, _ = session(asked_once(lvis_root), tmp_path / "out")
    failed = [row for row in rows_of(out).values() if row.status == "failed"]
    assert [(row.reasons, row.attempts, row.request_sha256) for row in failed] == [(("picture_missing",), 0, None)] * 3
    assert all("000000000002.jpg" in row.message for row in failed)


def test_only_the_rows_of_the_reason_are_asked_again_and_no_other_row_changes(garbage, lvis_root):
    before = rows_of(garbage)
    codes = {row.reasons[0] for row in before.values() if row.reasons}
    assert len(codes) > 1
    code = sorted(codes)[0]
    asked = {key for key, row in before.items() if row.reasons[:1] == (code,)}
    out, report = again(garbage, lvis_root, codes=(code,))  # this echo says no garbage
    after = rows_of(out)
    assert report.asked == len(asked)
    assert report.retried == {code: {"rounds": 1, "asked": len(asked), "changed": len(asked), "kept": len(asked)}}
    assert {key for key in after if after[key] != before[key]} == asked
    assert all(after[key].status == "kept" for key in asked)
    assert verify(out).ok
    assert code not in verify(out).dropped
    assert list(before) == list(after), "in the order of the plan"


def test_what_was_retried_to_the_end_is_released_as_if_it_had_never_failed(garbage, lvis_root, tmp_path):
    whole, _ = session(asked_once(lvis_root), tmp_path / "whole")
    codes = tuple({row.reasons[0] for row in rows_of(garbage).values() if row.reasons})
    out, _ = again(garbage, lvis_root, codes=codes)
    assert released(out) == released(whole)


def test_a_retry_that_changes_nothing_changes_no_byte_and_says_so(garbage, lvis_root):
    before = released(garbage)
    code = next(row.reasons[0] for row in rows_of(garbage).values() if row.reasons)
    out, report = again(garbage, lvis_root, *GARBAGE, codes=(code,))
    assert released(out) == before
    assert report.retried[code]["asked"] > 0
    assert report.retried[code]["changed"] == report.retried[code]["kept"] == 0
    assert any("nothing changed" in value for _, value in report.lines())


def test_without_a_reason_all_that_failed_is_asked_again_and_nothing_that_was_dropped(lvis_root, tmp_path):
    picture = lvis_root / "train2017" / "000000000002.jpg"
    picture.rename(tmp_path / "kept.jpg")
    out, _ = session(asked_once(lvis_root, *GARBAGE), tmp_path / "out")
    dropped = verify(out).dropped
    (tmp_path / "kept.jpg").rename(picture)
    out, report = again(out, lvis_root)
    assert set(report.retried) == {"picture_missing"}
    assert report.asked == 3
    assert verify(out).failed == {}
    assert verify(out).dropped == dropped


def test_status_counts_the_rounds_by_reason(garbage, lvis_root):
    code = next(row.reasons[0] for row in rows_of(garbage).values() if row.reasons)
    count = verify(garbage).dropped[code]
    for _ in range(2):
        again(garbage, lvis_root, *GARBAGE, codes=(code,))
    state = run_status(garbage)
    assert state.retried[code] == {"rounds": 2, "asked": 2 * count, "changed": 0, "kept": 0}
    assert f"{code} {count} (retried 2 times: {2 * count} asked again, 0 of them kept)" in state.text()
    again(garbage, lvis_root, codes=(code,))
    assert f"no longer: {code} (retried 3 times" in run_status(garbage).text()


def test_a_retry_that_is_cut_off_anywhere_is_finished_by_the_next_run(garbage, lvis_root, tmp_path):
    """Every state that a kill can leave: shards reopened, some of them done again, the release not yet made."""
    whole = released(session(asked_once(lvis_root), tmp_path / "whole")[0])
    settings = asked_once(lvis_root)
    codes = tuple({row.reasons[0] for row in rows_of(garbage).values() if row.reasons})
    job, table = prepare(settings, garbage, gpus=0, model=ModelName("none", None))
    asked = ask_again(job, table, codes)
    state = run_status(garbage)
    assert (state.left, state.settled) == (asked.total(), 15 - asked.total())
    assert not state.released
    assert not verify(garbage).ok
    out, report = session(settings, garbage)
    assert report.asked == asked.total()
    assert released(out) == whole
    assert verify(out).ok
    assert run_status(out).released


def test_a_kill_before_the_rename_leaves_the_shard_as_it_was(garbage, lvis_root):
    before = released(garbage)
    folder = garbage / "journal" / "00000"
    folder.mkdir(parents=True)
    (folder / "carried.json").write_text('{"sha256": "0", "rows": 5, "again": {}}')
    out, report = session(asked_once(lvis_root), garbage)
    assert report.asked == 0
    assert released(out) == before


def test_a_manifest_that_a_kill_left_behind_commits_nothing(garbage, lvis_root):
    settings = asked_once(lvis_root)
    left = {file: file.read_bytes() for file in (garbage / "candidates").glob("*.json")}
    job, table = prepare(settings, garbage, gpus=0, model=ModelName("none", None))
    codes = tuple({row.reasons[0] for row in rows_of(garbage).values() if row.reasons})
    asked = ask_again(job, table, codes)
    for file, data in left.items():
        file.write_bytes(data)
    out, report = session(settings, garbage)
    assert report.asked == asked.total()
    assert verify(out).ok
    assert verify(out).dropped == {}


def test_what_a_finished_retry_left_in_the_journal_is_not_taken_for_news(garbage, lvis_root):
    settings = asked_once(lvis_root, *GARBAGE)
    job, table = prepare(settings, garbage, gpus=0, model=ModelName("none", None))
    codes = tuple({row.reasons[0] for row in rows_of(garbage).values() if row.reasons})
    ask_again(job, table, codes)
    shutil.copytree(garbage / "journal", garbage.parent / "left")
    session(settings, garbage)
    before = released(garbage)
    shutil.copytree(garbage.parent / "left", garbage / "journal", dirs_exist_ok=True)
    _, report = session(settings, garbage)
    assert report.asked == 0
    out, report = again(garbage, lvis_root, codes=codes)
    assert report.asked > 0
    assert verify(out).dropped == {}
    assert verify(out).ok
    assert released(out) != before


def test_a_retry_that_is_killed_is_finished_by_retry_or_run(garbage, lvis_root, tmp_path):
    whole = released(session(asked_once(lvis_root), tmp_path / "whole")[0])
    codes = sorted({row.reasons[0] for row in rows_of(garbage).values() if row.reasons})
    command = [sys.executable, "-m", "tests.pipeline.inprocess", "retry", garbage, "--trust-out", "--gpus", "0"]
    command += ["--set", "engine.options.garbage_rate=0", "--set", "engine.options.concurrency=1"]
    command += ["--set", "engine.options.latency_s=1"]
    for code in codes:
        command += ["--reason", code]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 90
    while not list((garbage / "journal").glob("*/0001-*.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait(30)
    assert run_status(garbage).left > 0
    assert not verify(garbage).ok
    out, report = again(garbage, lvis_root, codes=tuple(codes))
    assert 0 < report.asked < 15
    assert released(out) == whole
    assert verify(out).ok


def test_carried_rows_that_are_damaged_are_asked_for_again(garbage, lvis_root):
    settings = asked_once(lvis_root)
    job, table = prepare(settings, garbage, gpus=0, model=ModelName("none", None))
    code = next(row.reasons[0] for row in read_rows(candidates_path(garbage, 0)) if row.reasons)
    ask_again(job, table, (code,))
    (garbage / "journal" / "00000" / "carried.parquet").write_bytes(b"not whole")
    out, _ = session(settings, garbage)
    assert verify(out).ok
    assert all(row.status == "kept" for row in read_rows(candidates_path(out, 0)))


@pytest.mark.parametrize(
    ("code", "said"), [("nonsense", "no object of .* has it; there are: "), ("duplicate", "decided when all are there")]
)
def test_a_reason_that_nothing_has_is_answered_with_those_there_are(garbage, lvis_root, code, said):
    before = released(garbage)
    with pytest.raises(UserError, match=said):
        again(garbage, lvis_root, codes=(code,))
    assert released(garbage) == before


def test_the_command_takes_everything_from_out_itself(garbage):
    code = next(row.reasons[0] for row in rows_of(garbage).values() if row.reasons)
    command = [sys.executable, "-m", "tests.pipeline.inprocess", "retry", garbage, "--reason", code, "--trust-out"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    assert "nothing changed" in done.stdout
    assert verify(garbage).ok
    assert json.loads((garbage / "report.json").read_text())["retried"][code]["changed"] == 0


def test_a_folder_without_a_run_has_nothing_to_retry(tmp_path):
    with pytest.raises(UserError, match=r"missing .*plan\.json"):
        recorded(tmp_path, {})


def test_the_plan_names_the_dataset_from_wherever_it_is_called(garbage):
    assert read_plan(garbage).root.startswith("/")


@pytest.mark.parametrize("codes", [(), ("picture_missing",)])
def test_a_run_that_was_never_finished_is_not_retried(lvis_root, tmp_path, codes):
    """Nobody who asks for a few objects again wants the rest of the dataset captioned unawares."""
    (lvis_root / "train2017" / "000000000001.jpg").unlink()
    out, _ = session(asked_once(lvis_root), tmp_path / "out")
    (out / "candidates" / "00001.json").unlink()
    (out / "candidates" / "00001.parquet").unlink()
    before = {path: path.read_bytes() for path in out.rglob("*.*") if path.is_file()}
    with pytest.raises(UserError, match=r"1 of its 3 shards are still to be captioned; run the `capgen run` command"):
        again(out, lvis_root, codes=codes)
    assert before == {path: path.read_bytes() for path in out.rglob("*.*") if path.is_file()}
