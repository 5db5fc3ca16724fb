"""What the fingerprint covers of an engine's options: what decides answers, and nothing else."""

import pytest

from capgen.dataset.plan import ModelName
from capgen.pipeline.planning.fingerprint import deciding_options, differences
from capgen.pipeline.planning.job import Job
from capgen.pipeline.planning.prepare import prepare
from capgen.pipeline.settings import EngineSettings
from tests.pipeline.runs import echo_settings


def parts_of(**options):
    name = options.pop("engine")
    return deciding_options(EngineSettings(name=name, options=options))


@pytest.mark.parametrize(
    ("engine", "option", "value"),
    [
        ("openai", "image_format", "png"),
        ("openai", "jpeg_quality", 60),
        ("openai", "extra_body", {"top_k": 1}),
        ("batchfile", "image_format", "png"),
        ("batchfile", "extra_body", {"top_k": 1}),
        ("transformers", "dtype", "float16"),
        ("vllm", "dtype", "float16"),
    ],
)
def test_an_option_that_decides_answers_is_in(engine, option, value):
    assert parts_of(engine=engine, **{option: value}) == {option: value}


@pytest.mark.parametrize(
    ("engine", "option", "value"),
    [
        ("openai", "concurrency", 3),
        ("openai", "base_urls", ["http://elsewhere/v1"]),
        ("openai", "timeout_s", 3.0),
        ("batchfile", "requests_per_file", 3),
        ("transformers", "batch_size", 3),
        ("vllm", "max_num_seqs", 3),
        ("vllm", "args", {"gpu_memory_utilization": 0.5}),
        ("echo", "latency_s", 3.0),
    ],
)
def test_an_option_of_speed_is_not(engine, option, value):
    assert parts_of(engine=engine, **{option: value}) == {}


def test_of_vllms_arguments_those_count_that_change_the_model():
    args = {"quantization": "fp8", "gpu_memory_utilization": 0.5}
    assert parts_of(engine="vllm", args=args) == {"args.quantization": "fp8"}


def test_a_default_that_is_written_out_is_no_difference():
    assert parts_of(engine="openai", image_format="jpeg", extra_body={}) == {}


def test_a_run_with_other_options_is_another_run_and_another_request(lvis_root, tmp_path):
    def job(name, *assignments):
        settings = echo_settings(lvis_root, "engine.name=openai", *assignments)
        return prepare(settings, tmp_path / name, gpus=0, model=ModelName("none", None))[0]

    usual: Job = job("usual")
    lossless: Job = job("lossless", "engine.options.image_format=png")
    assert usual.fingerprint != lossless.fingerprint
    assert usual.salt != lossless.salt


def test_the_difference_is_told_by_its_name():
    found = differences({}, {"engine_options": {"image_format": "png"}})
    assert found == 'engine_options.image_format is not set there and "png" here'


def test_many_differences_are_three_short_ones_and_a_number():
    old = {"dataset": "lvis", "model": {"id": "a"}, "prompt": {"sha256": "0" * 64}, "seed": 1, "limit": 4}
    new = {"dataset": "lv-vis", "model": {"id": "b" * 99}, "prompt": {"sha256": "1" * 64}, "seed": 2}
    assert differences(old, new) == (
        'dataset is "lvis" there and "lv-vis" here; model.id is "a" there and something else here; '
        "prompt.sha256 has changed and 1 more"
    )
