"""What training computes at once is what serving computes one prompt at a time."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from experiments.embedded.config import load_config
from experiments.embedded.data import Requests, make_chunk, media_of
from experiments.embedded.export import export, processor
from experiments.embedded.packing import hidden, object_ids
from experiments.embedded.pool import batch_of
from experiments.embedded.scoring.evaluate import chat
from experiments.embedded.scoring.score import greedy
from experiments.embedded.teacher import Guide, Teacher
from experiments.embedded.train import Learner

SEED = 990_001


@pytest.fixture(scope="module")
def config():
    """The committed configuration, of which nothing about the model's layout is changed."""
    whole = load_config()
    return dataclasses.replace(whole, text=dataclasses.replace(whole.text, layers=2))


@pytest.fixture(scope="module")
def learner(config):
    return Learner.fresh(config, "cpu")


def views_of(config, kind, scenes):
    from capgen.sample.scene import image_scene, video_scene

    requests, rng = Requests.of(config), np.random.default_rng((SEED, 17))
    for index in range(scenes):
        scene = (image_scene if kind == "image" else video_scene)(SEED, index)
        media = media_of(scene, kind, f"{SEED}-{index}")
        tell = rng.random(len(media.objects)) < config.data.category_share
        yield from requests.views(scene, media, tell)


@pytest.mark.parametrize(("kind", "scenes"), [("image", 3), ("video", 2)])
def test_packed_training_gives_the_numbers_of_the_exported_model(config, learner, tmp_path, kind, scenes):
    """Tokens and logits of every object, through the saved model and the stock processor with its chat template."""
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    chunk = make_chunk(config, kind, SEED, scenes)
    rng = np.random.default_rng(0)
    batch = batch_of(chunk, list(range(scenes)), 100, rng)
    with torch.no_grad():
        _, pack = learner.pack(batch)
        ids, labels = object_ids(config, pack, learner.assistant)
        states = hidden(learner.model, config, learner.fixed, pack, ids)
        packed = learner.model.lm_head(states)

    export(config, learner.model.state_dict(), tmp_path)
    model = AutoModelForImageTextToText.from_pretrained(tmp_path, dtype=torch.float32).eval()
    stock = AutoProcessor.from_pretrained(tmp_path)
    views = {
        tuple(stock.tokenizer(f" {v.parts[-1]}", add_special_tokens=False).input_ids): v
        for v in views_of(config, kind, scenes)
    }
    clean = len(chunk.clean[0]) * (config.tokens + 3)
    for row in range(len(ids)):
        text = tuple(i for i in batch.text[row].tolist() if i >= 0)
        view = views[text]
        prompt = stock.apply_chat_template(chat(view), add_generation_prompt=True)
        pictures = [Image.fromarray(p.pixels) for p in view.pictures]
        inputs = stock(text=[prompt], images=[pictures], add_special_tokens=False, return_tensors="pt")
        asked = inputs["input_ids"][0].tolist()
        first = int((labels[row] != -100).nonzero()[0]) + 1
        assert asked[: len(learner.fixed)] == learner.fixed.tolist()
        assert asked[len(learner.fixed) + clean :] == ids[row, :first].tolist()
        with torch.no_grad():
            plain = model(**inputs).logits[0, -1]
        torch.testing.assert_close(packed[row, first - 1], plain, atol=2e-4, rtol=1e-3)


def test_greedy_captions_of_training_are_those_of_generate(config, learner):
    """The accuracy that training logs is that of the captions which the model writes when it is served."""
    from PIL import Image

    chunk = make_chunk(config, "image", SEED, 1)
    batch = batch_of(chunk, [0], 100, np.random.default_rng(0))
    stock = processor(config, _tokenizer(config))
    views = {
        tuple(stock.tokenizer(f" {v.parts[-1]}", add_special_tokens=False).input_ids): v
        for v in views_of(config, "image", 1)
    }
    with torch.no_grad():
        _, pack = learner.pack(batch)
        said = greedy(learner.model, config, learner.fixed, pack, learner.assistant)
        for row, tokens in enumerate(said):
            view = views[tuple(i for i in batch.text[row].tolist() if i >= 0)]
            prompt = stock.apply_chat_template(chat(view), add_generation_prompt=True)
            pictures = [Image.fromarray(p.pixels) for p in view.pictures]
            inputs = stock(text=[prompt], images=[pictures], add_special_tokens=False, return_tensors="pt")
            out = learner.model.generate(**inputs, do_sample=False, max_new_tokens=len(tokens))
            assert out[0, inputs["input_ids"].shape[1] :].tolist()[: len(tokens)] == tokens


def _tokenizer(config):
    from capgen.pipeline.rendering.prompt import load_prompt
    from experiments.embedded.tokenizer import build_tokenizer

    return build_tokenizer(load_prompt(config.data.prompt, category=True))


def test_guidance_falls_to_nothing_where_the_layers_hold_what_the_teacher_holds(config):
    """The loss is the share of variance that is left unexplained."""
    torch.manual_seed(0)
    teacher, guide = Teacher(config).eval(), Guide(config)
    near, far = teacher(torch.randn(2, 3, config.render.side, config.render.side))
    assert near.shape == (2, config.grid**2, 256)
    assert far.shape == (2, config.grid**2, config.vision.width)
    layers = [torch.randn(2, config.grid**2, config.vision.width) for _ in range(5)]
    begin = guide.loss(layers, near.detach(), far.detach())
    optimizer = torch.optim.Adam([*guide.parameters(), *(x.requires_grad_() for x in layers)], lr=0.05)
    for _ in range(150):
        loss = guide.loss(layers, near.detach(), far.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.3 * begin
