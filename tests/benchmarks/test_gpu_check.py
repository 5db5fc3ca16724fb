"""``make gpu-check`` at tiny size on the CPU: its code runs and its result has what it promises; no speed is meant."""

import json
import subprocess
import sys

import pytest

from benchmarks.gpu.check import photographs, warming
from tests.families.process import REPOSITORY, environment


def check(*flags, timeout=500):
    command = [sys.executable, "-m", "benchmarks.gpu.check", *flags]
    return subprocess.run(
        command, env=environment(), cwd=REPOSITORY, capture_output=True, text=True, timeout=timeout, check=False
    )


def test_what_warms_an_engine_up_is_not_measured(tmp_path):
    """Whole pictures before the measured ones, and no layout's pictures are another's."""
    for objects in (20, 500, 5000):
        warm = warming(objects)
        assert warm % 10 == 0
        assert 0 < warm <= objects / 2
    first, second = (photographs(tmp_path / str(seed), 10, seed=seed) / "train2017" for seed in (3, 4))
    assert len({file.read_bytes() for folder in (first, second) for file in folder.iterdir()}) == 2


def test_without_a_gpu_it_says_how_to_try_it_and_nothing_is_published():
    pytest.importorskip("vllm")
    from capgen.pipeline.planning.preflight import local_gpus

    if local_gpus():
        pytest.skip("this machine has a GPU")
    assert "--tiny" in check().stderr
    assert "not published" in check("--tiny").stderr


@pytest.mark.families
def test_three_layouts_are_asked_and_their_facts_written(tmp_path):
    done = check("--tiny", "--objects", "20", "--rounds", "2", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads((tmp_path / "gpu_check.json").read_text())
    layouts, rounds = found["rows"][:3], found["rows"][3:]
    assert [row["layout"] for row in layouts] == ["default", "paper", "one marked picture"]
    assert [row["log-probabilities"] for row in rounds] == ["with", "without"]
    assert all(row["requests_per_s"] > 0 and row["rounds"] == 2 for row in rounds)
    assert "; log-probabilities: cost by the clock " in found["note"]
    for row in layouts:
        assert (row["objects"], row["answered"], row["faults"]) == (20, 20, 0)
        assert row["objects_per_s"] > 0
        assert row["prompt_tokens"] > row["cached_tokens"] >= 0
        assert row["render_share"] > 0
        assert (row["idle_share"], row["memory_gib"]) == (None, None), "there is no GPU to watch"
        assert row["gpus"] == 0
        assert (row["output_tokens"], row["confident"]) == (24, 20), "made-up words are words"
    default, _, single = layouts
    assert default["cached_tokens"] > single["cached_tokens"]
    score = json.loads(found["note"].partition("embedded captioner: ")[2].partition("; all of it took ")[0])
    assert score["objects"] > 0
    assert "layout" in done.stdout.splitlines()[0], "the table"
    assert "transformers" in found["machine"]
