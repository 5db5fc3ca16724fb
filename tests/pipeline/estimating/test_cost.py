"""What ``capgen plan`` says, beside what a run of the same settings does."""

import json
import re
import subprocess
import sys

import pytest

from benchmarks.gpu.check import photographs
from capgen.cli.models import estimate_text
from capgen.errors import UserError
from capgen.pipeline.estimating.cost import ASSUMED_RATE, EstimateRequest, estimate_run
from capgen.pipeline.estimating.dataset_scan import DatasetCounts, count_dataset
from capgen.pipeline.planning.config import load_settings
from capgen.pipeline.planning.open_source import build_source
from capgen.pipeline.planning.plan import write_plan
from capgen.sample.embedded_model import model_dir
from tests.conftest import write_lvis

ECHO = {"engine.name": "echo", "model.id": "echo"}


@pytest.fixture
def settings(tmp_path):
    """Eleven pictures with three objects and one without any."""
    root = write_lvis(tmp_path / "lvis", images=12, scale=4)
    return load_settings("lvis", {"source.root": root, **ECHO}, ["run.shard_objects=7"])


def test_counts_are_those_of_the_plan_that_a_run_writes(settings, tmp_path):
    table = write_plan(build_source(settings), tmp_path / "out", shard_objects=7)
    counts = count_dataset(settings)
    assert (counts.media, counts.objects, counts.shards) == (table.media, table.objects, len(table.shards))
    assert (counts.requests, counts.later_objects(1), counts.later_objects(2)) == (33, 22, 11)


def test_a_limit_counts_as_the_plan_does(settings, tmp_path):
    few = settings.model_copy(update={"source": settings.source.model_copy(update={"limit": 10})})
    table = write_plan(build_source(few), tmp_path / "out", shard_objects=7, limit=10)
    counts = count_dataset(few)
    assert (counts.media, counts.objects, counts.shards) == (table.media, 10, len(table.shards))


def test_prompts_are_counted_by_the_models_own_processor(tmp_path):
    """The embedded captioner's prompts, one by one, with the processor that transformers loads."""
    pytest.importorskip("transformers")
    from capgen.pipeline.engines.base import EngineContext
    from capgen.pipeline.engines.transformers import Transformers, load_model
    from capgen.pipeline.estimating.measure import real_requests

    root = write_lvis(tmp_path / "lvis", images=3, scale=4)
    settings = load_settings("lvis", {"source.root": root, "model.id": str(model_dir()), "engine.name": "transformers"})
    found = estimate_run(settings, EstimateRequest(gpus=0))
    assert any("own processor" in text for text in found.assumptions)
    model = load_model(Transformers(dtype="float32"), EngineContext(settings.model, settings.sampling))
    views = real_requests(settings, list(build_source(settings).scan()), 100)
    assert found.requests == len(views) == 6
    assert found.prompt_tokens == sum(model.inputs([view])["input_ids"].shape[1] for view in views)
    assert 0 <= found.cached_tokens < found.prompt_tokens


def test_the_default_computes_little_more_than_half_of_the_tokens_of_marked_pictures(tmp_path):
    """At 12 objects a picture of 640 x 480, for Qwen3-VL's visual tokens; layout_tokens measures it closely."""
    root = photographs(tmp_path / "lvis", 24, 12)

    def computed(prompt: str) -> float:
        chosen = load_settings("lvis", {"source.root": root, "prompt.name": prompt})
        return estimate_run(chosen, EstimateRequest(gpus=1)).computed_tokens

    assert computed("shared-crop_v1") <= 0.55 * computed("marked_v1")


def test_without_the_models_files_tokens_come_from_its_profile_and_that_is_said(settings):
    told = settings.model_copy(update={"model": settings.model.model_copy(update={"profile": "qwen3-vl"})})
    found = estimate_run(told, EstimateRequest(gpus=8, price=2.5))
    assert any("visual tokens by the profile qwen3-vl" in text for text in found.assumptions)
    assert found.objects_per_s == 8 * ASSUMED_RATE
    assert found.price == pytest.approx(8 * found.hours * 2.5)
    assert found.pictures == 11 + 33  # a clean one of each picture with objects, a close-up of each object
    assert found.computed_tokens == found.prompt_tokens - found.cached_tokens


def test_a_probe_measures_and_replaces_what_was_assumed(settings):
    found = estimate_run(settings, EstimateRequest(gpus=0, probe=20))
    assert found.assumptions[0].startswith("20 objects were asked here")
    assert found.hours == pytest.approx(33 / found.objects_per_s / 3600)
    assert found.prompt_tokens > 0


def test_nothing_is_said_of_time_on_a_cpu_that_was_not_measured(settings):
    found = estimate_run(settings, EstimateRequest(gpus=0))
    assert (found.hours, found.price) == (None, None)
    assert "--probe" in found.assumptions[0]


def test_a_rate_measured_elsewhere_is_taken(settings):
    found = estimate_run(settings, EstimateRequest(gpus=4, tensor_parallel=2, rate=50.0))
    assert (found.engines, found.objects_per_s) == (2, 100.0)


def test_a_dataset_without_objects_is_refused(tmp_path):
    root = write_lvis(tmp_path / "lvis", images=1)  # its only picture has no object
    with pytest.raises(UserError, match="no object"):
        estimate_run(load_settings("lvis", {"source.root": root, **ECHO}), EstimateRequest(gpus=1))


def test_the_command_prints_the_estimate_and_writes_nothing(settings, tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    command = [sys.executable, "-m", "capgen.cli", "plan", "--dataset", "lvis", "--root", str(settings.source.root)]
    command += ["--gpus", "8", "--price", "2", "--engine", "echo", "--model", "a/b"]
    done = subprocess.run([*command, "--json"], cwd=folder, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert (found["requests"], found["gpus"], found["model"]) == (33, 8, "a/b")
    text = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    assert "33" in text
    assert "assumed:" in text
    assert not list(folder.iterdir())
    wrong = subprocess.run(
        [*command, "--tensor-parallel", "3"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 2


def test_what_a_small_run_takes_is_told_in_small_units(settings):
    text = estimate_text(estimate_run(settings, EstimateRequest(gpus=1, rate=2.0, price=2.5)), "m")
    assert "16 s on 1 GPU (16 s of GPUs), 2 objects/s" in text
    assert re.search(r"price: +0\.011\n", text)
    assert re.search(r"disk: +0\.\d\d MiB\n", text)


def test_objects_that_come_later_are_counted_by_medium():
    counts = DatasetCounts()
    counts.objects_by_medium.update({0: 5, 1: 4, 3: 2})
    assert (counts.later_objects(1), counts.later_objects(2)) == (4, 2)
