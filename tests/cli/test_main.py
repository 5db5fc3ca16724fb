"""The command line as a user meets it: one line on stderr and an exit code for every mistake, no traceback."""

import json
import subprocess
import sys

import pytest

from tests.conftest import write_lvis


def capgen(*arguments, cwd=None):
    command = [sys.executable, "-m", "capgen.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=cwd)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_lvis(tmp_path_factory.mktemp("cli") / "lvis")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((), "give either --dataset or --pipeline"),
        (("--dataset", "lviss"), "did you mean 'lvis'?"),
        (("--dataset", "lvis"), "--root"),
        (("--dataset", "lvis", "--root", "nowhere"), "nowhere: there is no such folder"),
        (("--dataset", "lvis", "--root", "."), "lvis_v1_train.json"),
        (("--dataset", "lv-vis", "--root", "."), "train_instances.json"),
        (("--dataset", "lvis", "--root", "ROOT", "--split", "test"), "lvis_v1_test.json"),
        (("--dataset", "lvis", "--root", "ROOT", "--gpus", "64"), "this machine has"),
        (("--dataset", "lvis", "--root", "ROOT", "--gpus", "-1"), "negative"),
        (("--dataset", "lvis", "--root", "ROOT", "--limit", "0"), "--limit 0"),
        (("--dataset", "lvis", "--root", "ROOT", "--engine", "ecko", "--gpus", "0"), "did you mean 'echo'?"),
        (("--dataset", "lvis", "--root", "ROOT", "--model", "nothing", "--gpus", "0"), "--model nothing"),
        (("--dataset", "lvis", "--root", "ROOT", "--model", "no/such-model", "--gpus", "0"), "--model no/such-model"),
        (("--dataset", "lvis", "--root", "ROOT", "--model", ".", "--gpus", "0"), "config.json"),
        (("--dataset", "lvis", "--root", "ROOT", "--set", "render.pach=1"), "unknown key 'render.pach'"),
        (("--dataset", "lvis", "--root", "ROOT", "--set", "prompt.name=shared", "--gpus", "0"), "shared-crop_v1"),
        (("--nonsense",), "--nonsense"),
    ],
)
def test_a_mistake_gets_one_line_and_exit_2_before_anything_is_started(root, tmp_path, flags, said):
    flags = [str(root) if flag == "ROOT" else flag for flag in flags]
    done = capgen("run", *flags, "--out", tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("capgen: ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert not (tmp_path / "out" / "plan.json").exists()


@pytest.mark.parametrize("verb", ["verify", "status", "gallery"])
def test_a_folder_without_a_run_is_a_mistake_of_the_users(tmp_path, verb):
    done = capgen(verb, tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_a_broken_ledger_is_exit_3(root, tmp_path):
    from tests.pipeline.runs import echo_settings, session

    out, _ = session(echo_settings(root), tmp_path / "out")
    assert capgen("verify", out).returncode == 0
    (out / "candidates" / "00001.parquet").unlink()
    done = capgen("verify", out, "--json")
    assert done.returncode == 3
    ledger = json.loads(done.stdout)
    assert not ledger["ok"]
    assert ledger["missing_keys"] > 0


def test_the_verbs_say_what_they_do():
    done = capgen("--help")
    assert done.returncode == 0
    for verb in ("run", "retry", "verify", "status", "lint", "preview", "gallery", "sample", "score"):
        assert verb in done.stdout


def test_status_says_how_to_go_on(root, tmp_path):
    from tests.pipeline.runs import echo_settings, session

    out, _ = session(echo_settings(root), tmp_path / "out")
    (out / "candidates" / "00001.json").unlink()
    done = capgen("status", out)
    assert done.returncode == 0
    assert "goes on from here" in done.stdout


def test_lint_gives_every_line_back_with_its_reasons(tmp_path):
    file = tmp_path / "captions.jsonl"
    file.write_text('{"caption": "A red mug on a table.", "id": 7}\n{"caption": "", "id": 8}\n')
    done = capgen("lint", file, "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["reasons"] for line in lines[:2]] == [[], ["empty"]]
    assert [line["id"] for line in lines[:2]] == [7, 8]
