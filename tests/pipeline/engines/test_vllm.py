"""Real vLLM inside a real Ray actor, on small random models of two architectures: a run each on the CPU."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from capgen.pipeline.releasing.verify import verify
from tests.conftest import write_lvis
from tests.families.process import REPOSITORY, environment

pytestmark = pytest.mark.vllm

PATCH = 32
WIDTH, HEIGHT = 512, 384  # of the pictures, and of the clean picture that the model sees
PICTURE_TOKENS = (WIDTH // PATCH) * (HEIGHT // PATCH)
BLOCK = 128  # tokens of a prefix-cache block on the CPU


def run_on(model: str, folder: Path, *assignments: str):
    """A finished run over nine objects, one of them with a prompt that is too long: its OUT, and what was printed."""
    command = [sys.executable, "-m", "tests.tiny_models", model, str(folder / "model")]
    subprocess.run(command, env=environment(), check=True, cwd=REPOSITORY)
    root = write_lvis(folder / "lvis", images=4, scale=8)
    file = root / "lvis_v1_train.json"
    body = json.loads(file.read_text())
    body["categories"].append({"id": 3, "name": "long " * 39, "synonyms": []})
    body["annotations"][-1]["category_id"] = 3
    file.write_text(json.dumps(body))
    command = [sys.executable, "-m", "capgen.cli", "run", "--dataset", "lvis", "--root", str(root), "--gpus", "0"]
    command += ["--model", str(folder / "model"), "--out", str(folder / "out"), "--set", "sampling.max_tokens=12"]
    for assignment in assignments:
        command += ["--set", assignment]
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=500, check=False, cwd=folder
    )
    log = folder / "out" / "logs" / "engine-00.log"
    # weights at random caption nothing: a run that kept nothing ends with 1
    assert done.returncode == 1, done.stderr + (log.read_text()[-3000:] if log.is_file() else "")
    return folder / "out", done.stdout


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on a random Qwen3-VL whose tokens are characters."""
    return run_on(
        "qwen3-vl",
        tmp_path_factory.mktemp("qwen3-vl"),
        f"render.patch={PATCH}",
        f"render.clean_pixels={WIDTH * HEIGHT}",
        "render.marked_pixels=4096",
        "engine.options.max_model_len=1024",
        "engine.options.max_num_seqs=2",
        'engine.options.dtype="float32"',
        "engine.options.args={max_num_batched_tokens=256}",
    )


def test_requests_with_a_seed_whose_prompt_is_read_in_several_steps_end_no_engine(run):
    out, printed = run
    assert "lost" not in printed
    (manifest,) = (json.loads(file.read_text()) for file in (out / "candidates").glob("*.json"))
    assert manifest["extra"]["asked_again"] > 0, "these have a seed and a temperature"
    assert "engine_killed" not in manifest["failed"]


@pytest.fixture(scope="module")
def rows(run):
    (file,) = (run[0] / "candidates").glob("*.parquet")
    return pq.read_table(file).to_pylist()


def accounted(out):
    """Every object has a row, once; nothing was kept, and so nothing released, is all there is to say."""
    ledger = verify(out)
    assert (ledger.planned, ledger.kept, ledger.duplicate_keys, ledger.missing_keys) == (9, 0, 0, 0)
    assert sum(ledger.dropped.values()) + sum(ledger.failed.values()) == 9
    assert len(ledger.problems) == 1
    assert "nothing was kept" in ledger.problems[0]
    return ledger


def test_every_object_is_accounted_for(run):
    accounted(run[0])


def test_the_objects_of_a_picture_share_its_text_and_its_clean_picture(rows):
    """The first object of a later picture finds the fixed text cached, those after it the clean picture as well."""
    pictures = {}
    for row in rows:
        if row["prompt_tokens"]:
            pictures.setdefault(row["media_id"], []).append(row["cached_tokens"])
    fixed = [cached[0] for cached in list(pictures.values())[1:]]
    assert min(fixed) >= BLOCK
    for later in list(pictures.values())[1:]:
        assert later[-1] >= max(fixed) + PICTURE_TOKENS // BLOCK * BLOCK, pictures


def test_an_answer_that_was_cut_off_is_no_caption(rows):
    """Random weights never say the end token by themselves: every answer is as long as it may be."""
    answered = [row for row in rows if row["finish_reason"]]
    assert answered
    for row in answered:
        assert row["output_tokens"] == 12
        assert (row["finish_reason"], row["status"]) == ("length", "dropped")
        assert "not_stopped" in row["reasons"] or "empty" in row["reasons"]


def test_one_request_that_is_too_long_fails_alone(rows):
    failed = [row for row in rows if row["status"] == "failed"]
    assert [row["reasons"] for row in failed] == [["request_refused"]]
    assert "long" in failed[0]["category"]
    assert "maximum" in failed[0]["message"]


@pytest.mark.engines
def test_the_architecture_of_the_embedded_captioner_runs_with_the_profile_of_its_folder(tmp_path):
    """Nothing but the folder is named: picture sizes and engine options come from its capgen.toml."""
    out, _ = run_on("idefics3", tmp_path, "engine.options.max_num_seqs=4")
    accounted(out)
    (file,) = (out / "candidates").glob("*.parquet")
    rows = pq.read_table(file).to_pylist()
    assert len(rows) == 9
    asked = [row for row in rows if row["finish_reason"]]
    assert len(asked) >= 8
    assert any(row["cached_tokens"] >= BLOCK for row in asked)
    assert json.loads((out / "plan.json").read_text())["settings"]["render"]["square"]
