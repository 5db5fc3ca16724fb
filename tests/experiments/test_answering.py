"""Questions in training are those that ``capgen judge`` asks, token for token, and their answers are true."""

from __future__ import annotations

import numpy as np
import pytest

from capgen.pipeline.judging.questions import QUESTIONS, asked
from capgen.pipeline.rendering.prompt import load_prompt
from capgen.sample.scene import image_scene
from experiments.embedded.answering.features import Features
from experiments.embedded.answering.rows import Asker, answer, draw, right, sentence, texts
from experiments.embedded.config import load_config
from experiments.embedded.data import IGNORE, Requests, make_chunk, media_of
from experiments.embedded.export import processor
from experiments.embedded.tokenizer import UNK, build_tokenizer, vocabulary

SEED = 990_001
TRUTH = (3, 2, 1, 0, IGNORE)


@pytest.mark.parametrize(
    ("said", "no"),
    [
        (TRUTH, []),
        ((4, 2, 1, 0, IGNORE), ["kind", "this one"]),
        ((3, 0, 1, 0, IGNORE), ["colour", "this one"]),
        ((3, 2, 0, 0, IGNORE), ["parts", "this one"]),
        ((3, 2, 1, 2, IGNORE), ["this one"]),
        ((3, 2, 1, 0, 5), ["action", "this one"]),
    ],
)
def test_a_question_is_answered_by_what_it_asks_for_alone(said, no):
    assert [name for name in QUESTIONS if not answer(name, said, TRUTH)] == no


def test_true_changed_and_swapped_sentences_are_drawn():
    rng, other = np.random.default_rng(0), (5, 2, 1, 1, IGNORE)
    drawn = [draw(rng, TRUTH, [TRUTH, other]) for _ in range(400)]
    assert 0.25 < sum(all(right(said, TRUTH)) for said in drawn) / 400 < 0.45
    assert sum(said == other for said in drawn) > 80
    assert {sum(not true for true in right(said, TRUTH)) for said in drawn} >= {0, 1, 2}


def test_rows_have_the_tokens_of_the_prompt_that_the_judge_sends():
    config = load_config()
    prompt = load_prompt(config.data.prompt, category=True)
    tokenizer = build_tokenizer(prompt, texts())
    assert vocabulary(prompt, texts())[: len(vocabulary(prompt))] == vocabulary(prompt)
    chunk = make_chunk(config, "image", SEED, 1)
    none = np.zeros((len(chunk.scene), config.tokens, 2), np.float16)
    rows = Asker(config, tokenizer).rows(
        Features(none[:1], none, chunk.scene, chunk.text, chunk.labels), [0], 2, 6, np.random.default_rng(1)
    )
    stock = processor(config, tokenizer)
    scene = image_scene(SEED, 0)
    tell = np.random.default_rng((SEED, 17)).random(len(scene.objects)) < config.data.category_share
    views = {view.parts[-1]: view for view in Requests.of(config).views(scene, media_of(scene, "image", "k"), tell)}
    pictures = next(iter(views.values())).pictures
    for number, name in enumerate(rows.names):
        ids = rows.ids[number, : int(rows.ends[number]) + 1].tolist()
        text = tokenizer.decode(ids)
        view = next(view for part, view in views.items() if part in text)
        said = text.partition('wrote: "')[2].partition('"')[0]
        parts = [
            {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"}
            for part in asked(view, said, name).parts
        ]
        given = stock.apply_chat_template([{"role": "user", "content": parts}], add_generation_prompt=True)
        whole = stock(text=[given], images=[[one.pixels for one in pictures]], add_special_tokens=False)
        assert whole["input_ids"][0][-len(ids) :] == ids
        assert UNK not in ids
        true = [value == 1 for value in rows.true[number].tolist() if value >= 0]
        words = [tokenizer.decode([ids[place]]).strip(" ,") for place in rows.words[number].tolist() if place]
        assert len(true) == len(words) >= 4
        assert all(word in said for word in words)
        assert rows.whole[number] == all(true)


def test_a_sentence_says_what_it_is_made_of():
    assert sentence((0, 0, 0, 0, IGNORE)).split()[1] == "small"
