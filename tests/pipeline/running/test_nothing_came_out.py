"""A run in which nothing came out is no success, and one with many failures says so."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from capgen.dataset.release_record import read_release
from capgen.pipeline.asking.first_requests import LEAST
from capgen.pipeline.releasing.verify import verify
from capgen.pipeline.running.run_progress import FirstRequestsFailed
from capgen.pipeline.running.session import NothingKept
from capgen.pipeline.running.status import run_status
from tests.conftest import write_lvis
from tests.pipeline.runs import echo_settings, manifests, released, session

REPOSITORY = Path(__file__).resolve().parents[3]
ONE_BY_ONE = "engine.options.concurrency=1"  # so that LEAST failures are enough
REFUSALS = "tests.pipeline.engines.refusals:Refusals"


@pytest.fixture
def root(tmp_path):
    """8 pictures, about 24 objects."""
    return write_lvis(tmp_path / "lvis", images=8)


def command_line(root, out, *assignments):
    command = [sys.executable, "-m", "tests.pipeline.inprocess", "run", "--dataset", "lvis", "--root", str(root)]
    command += ["--out", str(out), "--engine", "echo", "--model", "none", "--gpus", "0"]
    for assignment in assignments:
        command += ["--set", assignment]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False)


def test_a_run_whose_first_requests_all_fail_alike_stops_and_says_the_message(root, tmp_path):
    settings = echo_settings(root, ONE_BY_ONE, "engine.options.error_rate=1", "run.shard_objects=100")
    with pytest.raises(FirstRequestsFailed, match=r"the first 8 objects .*engine_failed.*an error on purpose"):
        session(settings, tmp_path / "out")
    assert not (tmp_path / "out" / "release.json").exists()
    assert run_status(tmp_path / "out").settled == 0, "the failures are forgotten"


def test_once_the_cause_is_mended_the_same_command_releases_what_an_undisturbed_run_does(root, tmp_path):
    broken = echo_settings(root, ONE_BY_ONE, "engine.options.error_rate=1", "run.shard_objects=3")
    with pytest.raises(FirstRequestsFailed):
        session(broken, tmp_path / "out")
    mended = echo_settings(root, ONE_BY_ONE, "run.shard_objects=3")
    out, _ = session(mended, tmp_path / "out")
    assert released(out) == released(session(mended, tmp_path / "undisturbed")[0])


def test_missing_pictures_stop_a_run_like_a_server_that_refuses(root, tmp_path):
    for picture in root.rglob("*.jpg"):
        picture.unlink()
    with pytest.raises(FirstRequestsFailed, match=r"\.jpg"):
        session(echo_settings(root, ONE_BY_ONE), tmp_path / "out")


def test_a_run_with_fewer_objects_than_that_ends_without_a_release_too(tmp_path):
    root = write_lvis(tmp_path / "lvis", images=2)
    settings = echo_settings(root, "engine.options.error_rate=1")
    with pytest.raises(NothingKept, match=r"failed: engine_failed \d \(such as: .*on purpose"):
        session(settings, tmp_path / "out")
    assert not (tmp_path / "out" / "release.json").exists()
    assert sum(one["rows"] for one in manifests(tmp_path / "out")) < LEAST


def test_failures_of_a_run_that_has_answers_stop_nothing(root, tmp_path):
    pictures = sorted(root.rglob("*.jpg"))
    for picture in pictures[1:]:
        picture.unlink()
    _, report = session(echo_settings(root, ONE_BY_ONE), tmp_path / "out")
    assert report.kept > 0
    assert sum(report.failed.values()) > LEAST


def test_a_user_can_have_a_run_go_on_whatever_fails(root, tmp_path):
    settings = echo_settings(root, ONE_BY_ONE, "engine.options.error_rate=1", "run.max_failed=1")
    with pytest.raises(NothingKept):
        session(settings, tmp_path / "out")
    assert run_status(tmp_path / "out").left == 0


def test_a_run_of_refusals_alone_keeps_nothing_and_shows_one(root, tmp_path):
    settings = echo_settings(root, f"engine.name={REFUSALS}")
    with pytest.raises(NothingKept, match=r"dropped: refusal \d+ \(such as: .*I'm sorry.*--reason refusal"):
        session(settings, tmp_path / "out")
    ledger = verify(tmp_path / "out")
    assert not ledger.ok
    assert "nothing was kept, so nothing is released" in ledger.text()
    assert "I'm sorry" in ledger.text()
    assert "nothing was kept, so nothing is released" in run_status(tmp_path / "out").text()
    assert "I'm sorry" in run_status(tmp_path / "out").text()


def test_many_failures_are_released_marked_and_end_with_exit_code_1(root, tmp_path):
    gone = sorted(root.rglob("*.jpg"))[-3:]
    for picture in gone:
        picture.unlink()
    done = command_line(root, tmp_path / "out")
    assert done.returncode == 1
    warning = done.stderr.splitlines()[-1]
    assert "objects failed" in warning
    assert "where 10.0% may" in warning
    assert gone[0].name in warning, "an example"
    assert "release: " in done.stdout
    release = read_release(tmp_path / "out")
    assert release.warning in warning
    assert "**Many objects failed:**" in (tmp_path / "out" / "README.md").read_text()
    ledger = verify(tmp_path / "out")
    assert ledger.ok
    assert ledger.warning == release.warning
    assert "released, with a warning" in run_status(tmp_path / "out").text()
    assert gone[0].name in run_status(tmp_path / "out").text()
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["warning"], set(report["examples"])) == (release.warning, set(report["failed"]))


def test_a_limit_that_is_not_reached_marks_nothing(root, tmp_path):
    sorted(root.rglob("*.jpg"))[-1].unlink()
    done = command_line(root, tmp_path / "out", "run.max_failed=0.9")
    assert (done.returncode, done.stderr) == (0, "")
    assert read_release(tmp_path / "out").warning is None
    assert "Many objects failed" not in (tmp_path / "out" / "README.md").read_text()


def test_one_line_and_exit_code_1_where_nothing_came_out(root, tmp_path):
    done = command_line(root, tmp_path / "out", ONE_BY_ONE, "engine.options.error_rate=1")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert "the first 8 objects all failed alike" in done.stderr
    assert "release:" not in done.stdout


def test_masks_outside_their_pictures_do_not_stop_a_run_that_begins_with_them(root, tmp_path):
    file = root / "lvis_v1_train.json"
    body = json.loads(file.read_text())
    first = sorted(annotation["id"] for annotation in body["annotations"])[: LEAST + 4]
    for annotation in body["annotations"]:
        if annotation["id"] in first:
            annotation["segmentation"] = []
    file.write_text(json.dumps(body))
    _, report = session(echo_settings(root, ONE_BY_ONE), tmp_path / "out")
    assert report.failed == {"empty_mask": len(first)}
    assert report.kept == report.planned - len(first)
