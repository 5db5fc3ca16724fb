"""The engine over Hugging Face transformers, on a random model of the embedded captioner's form."""

import asyncio
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from capgen.errors import UserError
from capgen.pipeline.asking.ask import Asker
from capgen.pipeline.engines.base import EngineContext, EngineDead, EngineFault, RequestRefused
from capgen.pipeline.engines.token_logprobs import LogprobRecord
from capgen.pipeline.engines.transformers import Transformers, load_model
from capgen.pipeline.settings import ModelSettings, SamplingSettings
from capgen.pipeline.template_limit import limited
from capgen.pipeline.view import Picture, View


def pictures(count, side=96):
    rng = np.random.default_rng(3)
    return [Picture(rng.integers(0, 255, (side, side, 3), dtype=np.uint8), str(number)) for number in range(count)]


PICTURES = pictures(8)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with random weights, tokenizer, processor and chat template."""
    torch = pytest.importorskip("torch")
    from capgen.pipeline.rendering.prompt import load_prompt
    from experiments.embedded.config import load_config
    from experiments.embedded.export import export
    from experiments.embedded.model import build_model
    from experiments.embedded.tokenizer import build_tokenizer

    torch.manual_seed(0)
    config = load_config()
    words = len(build_tokenizer(load_prompt(config.data.prompt, category=True)))
    folder = tmp_path_factory.mktemp("model")
    export(config, build_model(config, words).state_dict(), folder)
    return folder


def view(number, shown=2):
    parts = (*PICTURES[number : number + shown], f"Place: left {number}0, top 20. Caption:")
    return View(f"lvis/val/{number}/1", "Say what it is.", (), ("Look.", *parts), "cup")


def ask(folder, views, max_tokens=6, temperature=0.0, **options):
    context = EngineContext(
        ModelSettings(id=str(folder)), SamplingSettings(max_tokens=max_tokens, temperature=temperature)
    )

    async def run():
        session = await Transformers(**{"dtype": "float32"} | options).start(context)
        asker = Asker(session, 1)
        said = await asyncio.gather(*(asker.ask(one, "r") for one in views))
        await session.stop()
        return said

    return asyncio.run(run())


@pytest.fixture(scope="module")
def alone(model):
    """What each view is answered when it is asked alone."""
    return ask(model, [view(n, 1 + n % 2) for n in range(6)], batch_size=1)


def test_a_batch_says_what_its_requests_say_alone(model, alone):
    """Views with one and with two pictures, of prompts that differ in length, in batches of four."""
    together = ask(model, [view(n, 1 + n % 2) for n in range(6)], batch_size=4)
    assert together == alone
    assert len({one.text for one in together}) > 1
    assert {one.finish_reason for one in together} == {"length"}
    assert {one.output_tokens for one in together} == {6}
    assert len({one.prompt_tokens for one in together}) > 1


def changed(model, folder, **generation):
    """A copy of the model with other generation settings."""
    shutil.copytree(model, folder)
    file = folder / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | generation))
    return folder


def test_an_end_token_is_a_stop_and_ends_the_text(model, alone, tmp_path):
    """The second token of an answer is made an end token."""
    from transformers import AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(model)(alone[0].text, add_special_tokens=False)["input_ids"]
    ending = changed(model, tmp_path / "ending", eos_token_id=[tokens[1]])
    (said,) = ask(ending, [view(0, 1)])
    assert (said.finish_reason, said.output_tokens) == ("stop", 2)
    assert alone[0].text.startswith(said.text)
    assert len(said.text) < len(alone[0].text)


def test_the_models_own_generation_settings_do_not_count(model, alone, tmp_path):
    """vLLM takes sampling from the pipeline alone; a model's own repetition penalty would change every caption."""
    own = {"do_sample": True, "temperature": 3.0, "top_k": 50, "repetition_penalty": 9.0, "max_new_tokens": 2}
    other = changed(model, tmp_path / "other", **own)
    assert ask(other, [view(0, 1), view(1, 2)]) == alone[:2]


def test_a_request_that_is_too_long_fails_alone(model, alone):
    limit = alone[0].prompt_tokens + 6
    short, long = ask(model, [view(0, 1), view(1, 2)], max_model_len=limit, batch_size=2)
    assert short == alone[0]
    assert long.fault == "request_refused"
    assert f"maximum of {limit}" in long.message


def test_sampled_answers_depend_on_the_seed_and_not_on_luck(model):
    first, second = (ask(model, [view(0)], temperature=1.5) for _ in range(2))
    assert first == second
    assert first != ask(model, [view(0)])


def test_who_waits_when_the_engine_ends_is_told(model):
    async def run():
        context = EngineContext(ModelSettings(id=str(model)), SamplingSettings(max_tokens=64))
        session = await Transformers(batch_size=1).start(context)
        waiting = [asyncio.create_task(session.answer(view(n))) for n in range(3)]
        await asyncio.sleep(0.05)
        await session.stop()
        said = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 10)
        assert {type(one) for one in said} == {EngineDead}
        with pytest.raises(EngineDead):
            await session.answer(view(0))

    asyncio.run(run())


def test_a_model_that_cannot_be_loaded_is_named(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="cannot load model"):
        ask(tmp_path, [])
    with pytest.raises(UserError, match="torch has no type 'float7'"):
        ask(tmp_path, [], dtype="float7")


def test_a_model_that_brings_code_says_how_that_is_allowed(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "nobody"}))
    own = {"processor_class": "Own", "auto_map": {"AutoProcessor": "own.Own"}}
    (tmp_path / "processor_config.json").write_text(json.dumps(own))
    with pytest.raises(UserError, match=r"cannot load model .*code.*--set model\.trust_remote_code=true"):
        ask(tmp_path, [])


def test_log_probabilities_are_those_of_the_models_own_logits(model):
    torch = pytest.importorskip("torch")
    context = EngineContext(ModelSettings(id=str(model)), SamplingSettings(max_tokens=6))
    loaded = load_model(Transformers(dtype="float32"), context)
    views = [view(0), view(1)]
    inputs = loaded.inputs(views)
    record = LogprobRecord()
    with torch.inference_mode():
        told = loaded.weights.generate(
            **inputs, logits_processor=[record], return_dict_in_generate=True, output_logits=True
        )
    width = inputs["input_ids"].shape[1]
    steps = torch.stack(told.logits, 1).log_softmax(-1)
    expected = steps.gather(2, told.sequences[:, width:, None]).squeeze(2)
    assert np.allclose(record.of(told.sequences), expected.numpy(), atol=1e-5)


def test_answers_have_a_confidence_unless_it_is_switched_off(model):
    (sure,) = ask(model, [view(0)])
    (unsure,) = ask(model, [view(0)], logprobs=False)
    assert sure.logprob_min <= sure.logprob_mean <= 0
    assert (unsure.text, unsure.logprob_min, unsure.logprob_mean) == (sure.text, None, None)


def test_a_request_may_have_its_own_temperature_and_seed(model):
    def said(**own):
        wanted = [replace(view(number), **own) for number in range(3)]
        return [one.text for one in ask(model, wanted, max_tokens=12)]

    greedy, hot, other = said(), said(temperature=3.0, seed=1), said(temperature=3.0, seed=2)
    assert said(temperature=0.0, seed=5) == greedy
    assert len({tuple(greedy), tuple(hot), tuple(other)}) == 3


def test_a_template_that_loops_for_ever_fails_its_request_alone(model, tmp_path):
    """It loops for the second request alone, as the template of a stranger may."""
    folder = shutil.copytree(model, tmp_path / "model")
    file = folder / "chat_template.jinja"
    endless = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    file.write_text("{% if 'left 10' in messages|string %}" + endless + "{% endif %}" + file.read_text())
    context = EngineContext(ModelSettings(id=str(folder)), SamplingSettings(max_tokens=2))
    loaded = load_model(Transformers(dtype="float32"), context)
    loaded.processor.apply_chat_template = limited(loaded.processor.apply_chat_template.__wrapped__, "m", 0.2)
    said = loaded.say([view(number) for number in range(3)])
    assert [isinstance(one, RequestRefused) for one in said] == [False, True, False]
    assert "the chat template of model 'm' was not done after" in str(said[1])


def test_somebody_elses_sentence_has_a_log_probability_for_each_token(model):
    from capgen.pipeline.engines.scoring.base import scorer_of

    views = [view(0), view(4)]
    context = EngineContext(ModelSettings(id=str(model)), SamplingSettings(max_tokens=6))

    async def run():
        session = await Transformers(dtype="float32").start(context)
        scorer = scorer_of(session)
        tokenizer = session.model.processor.tokenizer
        said = tokenizer.decode(tokenizer.encode("red cup", add_special_tokens=False))
        found = [await scorer.sentence(one, said) for one in views]
        first = await scorer.first_word(views[0])
        with pytest.raises(EngineFault, match="no token"):
            await scorer.sentence(views[0], "")
        await session.stop()
        return found, first, len(tokenizer.encode(said, add_special_tokens=False))

    (one, other), first, count = asyncio.run(run())
    assert len(one.logprobs) == len(other.logprobs) == count
    assert all(value < 0 for value in one.logprobs)
    assert one.logprobs != other.logprobs, "the pictures count"
    assert 0 < sum(first.choices.values()) <= 1 + 1e-5
    assert one.prompt_tokens == first.prompt_tokens + count
