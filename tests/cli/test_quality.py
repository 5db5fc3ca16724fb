"""capgen calibrate, from a run and labels to a threshold, a curve and what the pipeline file then does with it."""

import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from capgen.dataset.layout import RunLayout
from capgen.errors import UserError
from capgen.pipeline.checks.answer.unsure import Unsure
from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.releasing.verify import verify
from tests.cli.test_main import capgen
from tests.pipeline.asking.test_tries import moody, rows_of
from tests.pipeline.runs import session


@pytest.fixture
def run(lvis_root, tmp_path):
    """A run whose objects 1 are asked again, and so are the surer ones (-0.5; the others have -1)."""
    return session(moody(lvis_root, refuses="1"), tmp_path / "out")[0]


def labels(folder, lines):
    file = folder / "labels.jsonl"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return file


def test_labels_from_anybody_give_a_threshold_and_a_curve(run, tmp_path):
    given = labels(tmp_path, [{"key": key, "right": key.endswith("1")} for key in rows_of(run)])
    done = capgen("calibrate", run, "--labels", given, "--precision", "0.9")
    assert done.returncode == 0, done.stderr
    assert "threshold -0.5000 keeps 33.3%, of which 100.0% are right" in done.stdout
    assert "checks.options.unsure.threshold = -0.5000" in done.stdout
    record = json.loads(RunLayout(run).calibration.read_text())
    assert (record["captions"], record["right"], record["model"]) == (15, 5, "none")
    assert [point["kept"] for point in record["curve"]] == [5, 15]
    assert RunLayout(run).calibration_plot.read_bytes().startswith(b"\x89PNG")
    assert verify(run).ok


def test_a_precision_that_is_not_reached_exits_with_1(run, tmp_path):
    given = labels(tmp_path, [{"key": key, "label": "wrong"} for key in rows_of(run)])
    assert capgen("calibrate", run, "--labels", given).returncode == 1


def test_a_table_of_scores_is_calibrated_like_log_probabilities(run, tmp_path):
    keys = list(rows_of(run))
    table = tmp_path / "judge.parquet"
    pq.write_table(pa.table({"key": keys, "score": [float(number) for number in range(15)]}), table)
    given = labels(tmp_path, [{"key": key, "right": number >= 12} for number, key in enumerate(keys)])
    done = capgen("calibrate", run, "--labels", given, "--scores", table, "--json", "--precision", "1")
    assert json.loads(done.stdout)["chosen"]["threshold"] == 12.0


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ([{"key": "a"}], "no `key` with `right`"),
        ([{"key": "a", "right": "perhaps"}], "no `key` with `right`"),
        ([{"key": "a", "right": True}, {"key": "a", "right": False}], "both right and wrong"),
        ([[1]], "no `key` with `right`"),
        ([{"key": "other", "right": True}], "no caption has both a score and a label"),
    ],
)
def test_labels_that_are_none_are_one_line(run, tmp_path, lines, what):
    done = capgen("calibrate", run, "--labels", labels(tmp_path, lines))
    assert done.returncode == 2
    assert what in done.stderr
    assert done.stderr.count("\n") == 1


def test_labels_and_facts_are_one_or_the_other(run):
    assert "one of them" in capgen("calibrate", run).stderr


def test_the_check_unsure_drops_what_lies_below_its_threshold():
    check = Unsure(-0.5)
    assert check(CheckedCaption("A red cup.", logprob_min=-0.7)) == (
        "a word of it has the log-probability -0.70, below -0.5"
    )
    assert check(CheckedCaption("A red cup.", logprob_min=-0.5)) is None
    assert check(CheckedCaption("A red cup.")) is None
    with pytest.raises(ValueError, match="at most 0"):
        Unsure(0.5)


def test_unsure_in_a_pipeline_file_drops_or_asks_again(lvis_root, tmp_path):
    options = "checks.options={unsure={threshold=-0.8}}"
    out, _ = session(moody(lvis_root, "checks.advisory=['unsure']", options), tmp_path / "asked")
    assert {(row.tries, row.logprob_min, row.status) for row in rows_of(out).values()} == {(2, -0.5, "kept")}
    with pytest.raises(UserError, match=r"unsure has no checks\.options\.unsure\.threshold"):
        session(moody(lvis_root, "checks.advisory=['unsure']"), tmp_path / "none")


def test_a_judges_table_has_its_refusals_asked_again(run, tmp_path):
    table = tmp_path / "judge.parquet"
    pq.write_table(pa.table({"key": ["lvis/train/1/100", "lvis/train/1/102"], "verdict": ["wrong", "right"]}), table)
    done = capgen("retry", run, "--refused", table, "--gpus", "0", "--trust-out", module="tests.pipeline.inprocess")
    assert done.returncode == 0, done.stderr
    assert "1 objects are asked again (judged_wrong 1)" in done.stdout
    rows = rows_of(run)
    assert (rows["lvis/train/1/100"].tries, rows["lvis/train/1/102"].tries) == (3, 1)
    assert verify(run).ok


def test_a_table_without_verdicts_is_one_line(run, tmp_path):
    table = tmp_path / "other.parquet"
    pq.write_table(pa.table({"key": ["a"]}), table)
    done = capgen("retry", run, "--refused", table)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_a_judge_is_a_stage_of_a_run_where_the_settings_say_so(lvis_root, tmp_path):
    flags = ("--dataset", "lvis", "--root", lvis_root, "--engine", "echo", "--out", tmp_path / "out")
    command = [sys.executable, "-m", "tests.pipeline.inprocess", "run", *flags, "--set", "judge.method=confidence"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "captions judged by confidence: 0 right, 0 wrong" in done.stdout
    out = RunLayout(tmp_path / "out")
    judged = out.judge.stat().st_mtime_ns
    assert "`capgen judge --method confidence` scored" in out.card.read_text()
    assert all(path.stat().st_mtime_ns < judged for path in out.data_dir.rglob("*")), "only the card is written anew"
    assert "judge.parquet" not in (tmp_path / "out" / "plan.json").read_text()
