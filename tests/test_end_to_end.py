"""What a newcomer's first command does, smaller: sample world, real Ray, real vLLM, embedded captioner, dataset."""

import json
import subprocess
import sys

import pytest
from datasets import load_dataset

from capgen.evaluation.sample_facts import score_release
from capgen.pipeline.releasing.verify import verify

pytestmark = pytest.mark.vllm


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """The release of `capgen run --dataset sample-images` over a world of its own."""
    folder = tmp_path_factory.mktemp("newcomer")
    command = [sys.executable, "-m", "capgen.cli", "run", "--dataset", "sample-images", "--gpus", "0"]
    command += ["--out", str(folder / "out"), "--set", "source.world={images=24, videos=0, seed=77}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False, cwd=folder)
    log = folder / "out" / "logs" / "engine-00.log"
    assert done.returncode == 0, done.stderr + (log.read_text()[-3000:] if log.is_file() else "")
    for label in ("engine start", "requests", "rendering", "cached"):
        assert label in done.stdout, "the report says how fast it was, and how much was cached"
    return folder / "out"


def test_the_ledger_closes_and_nothing_failed(out):
    ledger = verify(out)
    assert ledger.ok
    assert ledger.planned > 80
    assert not ledger.failed


def test_the_captions_say_what_is_true_although_the_prompt_does_not(out):
    """Far above chance (1 in 20 categories, 1 in 8 colours); the model card has the real figures."""
    result = score_release(out, out / "world" / "facts.json").as_json()
    assert result["category"]["rate"] > 0.6
    assert result["colour"]["rate"] > 0.6


def test_datasets_loads_what_was_made(out, tmp_path):
    captions = load_dataset(str(out), cache_dir=str(tmp_path))
    media = load_dataset(str(out), "media", cache_dir=str(tmp_path))
    assert set(captions) == {"train", "val"}
    assert sum(len(split) for split in media.values()) == 24
    assert sum(len(split) for split in captions.values()) == verify(out).kept
    row = captions["train"][0]
    assert row["caption"].endswith(".")
    assert (row["model"], row["engine"], row["finish_reason"]) == ("embedded", "vllm", "stop")


def test_later_objects_of_a_picture_find_its_tokens_cached(out):
    report = json.loads((out / "report.json").read_text())
    assert report["cached_tokens"] > 0.3 * report["prompt_tokens"]
