"""The command line as a user meets it: one line on stderr and an exit code for every mistake, no traceback."""

import json
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from capgen.cli.options import dataset_names
from capgen.evaluation.benchmarks import BENCHMARKS
from capgen.pipeline.engines import ENGINES
from tests.conftest import write_lvis


def capgen(*arguments, cwd=None, module="capgen.cli"):
    command = [sys.executable, "-m", module, *map(str, arguments)]
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


VERBS = (
    "segment",
    "calibrate",
    "judge",
    "describe",
    "doctor",
    "import",
    "plan",
    "push",
    "export",
    "run",
    "status",
    "verify",
    "resume",
    "retry",
    "report",
    "lint",
    "preview",
    "gallery",
    "reviews",
    "ablate",
    "models",
    "sample",
    "score",
    "predict",
    "train",
    "eval",
)
PAGES = ((), *((verb,) for verb in VERBS), ("eval", "tracks"), ("eval", "benchmark"), ("eval", "captions"))


@pytest.mark.parametrize("words", PAGES, ids=" ".join)
def test_help_fits_80_columns_and_nothing_is_cut_off(words):
    done = capgen(*words, "--help")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert not [line for line in lines[1:] if "..." in line or "\u2026" in line]
    assert "Usage: capgen" in done.stdout.replace("python -m capgen.cli", "capgen")


def test_the_first_help_fits_a_window_and_names_every_verb():
    lines = capgen("--help").stdout.splitlines()
    assert len(lines) <= 40
    told = {
        line.split()[0]: line.split(maxsplit=1)[1] for line in lines[lines.index("Commands:") + 1 :] if line.strip()
    }
    assert set(told) == set(VERBS)
    assert all(summary.endswith(".") for summary in told.values())


def test_help_starts_at_once_and_loads_no_heavy_library():
    heavy = ("numpy", "pydantic", "torch", "ray", "vllm", "datasets", "transformers", "cv2", "pyarrow")
    code = f"import sys; import capgen.cli.main; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_names_in_help_are_those_of_the_registries():
    said = " ".join(capgen("run", "--help").stdout.split()).replace("- ", "-")  # lines break after a hyphen
    assert all(name in said for name in (*ENGINES, *dataset_names()))
    assert set(dataset_names()) >= {"lvis", "lv-vis", "sample-images", "sample-videos"}
    assert all(name in capgen("eval", "benchmark", "--help").stdout for name in BENCHMARKS)


def test_an_echo_run_names_no_model_that_it_did_not_ask(root, tmp_path):
    flags = ("--dataset", "lvis", "--root", root, "--engine", "echo", "--out", tmp_path / "out")
    command = [sys.executable, "-m", "tests.pipeline.inprocess", "run", *map(str, flags)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    files = [*(tmp_path / "out" / "data" / "captions").rglob("*.parquet")]
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    assert {(row["model"], row["model_revision"], row["engine"]) for row in rows} == {("echo", None, "echo")}
    assert "This is a dry run" in (tmp_path / "out" / "README.md").read_text()
    *captions, report, look = done.stdout.splitlines()[-5:]
    released = {f"  {row['key']}: {row['caption']}" for row in rows}
    assert len(set(captions) & released) == 3, "a run ends with three captions of its release"
    assert report == f"report:  {tmp_path / 'out' / 'report' / 'report.html'}"
    assert look == f"look at: capgen gallery {tmp_path / 'out'}"


@pytest.mark.parametrize("name", ["out [v2]", "x [/b]", "[red]run[/red]", ":smile:"])
def test_brackets_in_a_path_are_text_and_no_markup(root, tmp_path, name):
    where = tmp_path / name
    flags = ("--dataset", "lvis", "--root", root, "--engine", "echo", "--out", where)
    command = [sys.executable, "-m", "tests.pipeline.inprocess", "run", *map(str, flags)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert f"release: {where}  (datasets" in done.stdout
    assert ("cannot open a folder" in done.stdout) == ("[" in name), "datasets reads brackets as a pattern"
    assert f", in {where}" in done.stdout.replace("\n", "")
    page = where / "page [i]"
    assert str(page) in capgen("gallery", where, "--export", page).stdout


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


def test_models_lists_the_families_and_says_what_will_be_used_for_one():
    listed = json.loads(capgen("models", "--json").stdout)
    assert {"qwen3-vl", "qwen3.5", "gemma3", "internvl"} <= {family["name"] for family in listed}
    done = capgen("models", "Qwen/Qwen3.5-9B")
    assert done.returncode == 0
    assert "profile:           qwen3.5 (its name; its config.json is not here)" in done.stdout
    assert "places:            thousand" in done.stdout
    assert "visual tokens:     300 for 640 x 480" in done.stdout
    assert "switched off by {'enable_thinking': False}" in done.stdout
    assert "licence:           Apache-2.0" in done.stdout
    unknown = json.loads(capgen("models", "nobody/x", "--json").stdout)
    assert unknown["profile"].startswith("none (")
