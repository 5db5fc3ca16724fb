"""Train a judge from the embedded captioner: it answers yes or no to the questions of ``capgen judge --method yes_no``.

The captioner stays as it is: at each word of a sentence it predicts what the next one should be. Two layers more learn
to compare that with what the sentence says, and to read off what a question asks for. They are trained one after the
other, each on states that the layers below have computed once, so that a few minutes of one core are enough:

1. where the first one looks: each word at the one before, the answer's token at the word that tells the question;
2. what the first one makes of it: whether a word is true, and which question it is;
3. where the last one looks: at the word that decides the answer; and what it says.

::

    python -m experiments.embedded.answering.features --out /tmp/answers/pool --workers 1
    python -m experiments.embedded.answering.train --pool /tmp/answers/pool --out capgen/sample/embedded_judge
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that torch's own documentation gives it

from capgen.pipeline.judging.questions import QUESTIONS
from capgen.pipeline.rendering.prompt import load_prompt
from experiments.embedded.answering.features import Features, captioner, load_features
from experiments.embedded.answering.rows import Asked, Asker, texts
from experiments.embedded.config import Config, load_config
from experiments.embedded.export import export
from experiments.embedded.model import build_model
from experiments.embedded.packing import heads, hidden
from experiments.embedded.tokenizer import EOS, build_tokenizer

SEED = 7
MORE_LAYERS = 2
SCENES, OBJECTS = {"image": 12, "video": 5}, 3


def judge_config() -> Config:
    """The captioner's configuration, with more layers of its language model."""
    whole = load_config()
    return dataclasses.replace(whole, text=dataclasses.replace(whole.text, layers=whole.text.layers + MORE_LAYERS))


@dataclass(slots=True)
class Judge:
    """The model with what its training needs; ``fixed``: token ids before the first picture, [F]."""

    config: Config
    model: Any
    asker: Asker
    fixed: Tensor

    @classmethod
    def fresh(cls, config: Config) -> Judge:
        """One that knows what the captioner knows, with a larger vocabulary and two layers that know nothing."""
        torch.manual_seed(SEED)
        prompt = load_prompt(config.data.prompt, category=True)
        tokenizer = build_tokenizer(prompt, texts())
        model, old = build_model(config, len(tokenizer)), captioner().state_dict()
        new = model.state_dict()
        for name, value in old.items():
            new[name][: len(value)] = value
        model.load_state_dict(new)
        chat = [{"role": "user", "content": prompt.before}]
        fixed = tokenizer(tokenizer.apply_chat_template(chat, tokenize=False), add_special_tokens=False).input_ids
        assert fixed.pop() == EOS
        model.model.text_model.layers[-2].input_layernorm.load_state_dict(model.model.text_model.norm.state_dict())
        return cls(config, model, Asker(config, tokenizer), torch.tensor(fixed))

    def load(self, folder: Path) -> None:
        """Take the weights of a folder that this program has written."""
        from safetensors.torch import load_file

        self.model.load_state_dict(load_file(folder / "model.safetensors"))

    @property
    def layers(self) -> tuple[Any, Any]:
        """The two layers that are trained."""
        every = self.model.model.text_model.layers
        return every[-2], every[-1]

    def states(self, asked: Asked) -> list[list[Tensor]]:
        """What each layer gives, see ``hidden``; without gradients."""
        layers: list[list[Tensor]] = []
        with torch.no_grad():
            hidden(self.model, self.config, self.fixed, asked.pack, asked.ids, layers)
        return layers

    def rotations(self, parts: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Of the places of fixed text, clean pictures and objects."""
        lengths = [part.shape[1] for part in parts]
        places = torch.arange(sum(lengths)).split(lengths)
        text = self.model.model.text_model
        return [text.rotary_emb(part, place[None]) for part, place in zip(parts, places, strict=True)]

    def attention(self, layer: Any, parts: list[Tensor], scene: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        """Where some tokens of the objects look.

        Args:
            at: places in ``parts[2]``, [R, A].

        Returns:
            Logits, [R, heads, A, keys], and the normalised states of the keys, [R, keys, width].
        """
        turns, rows = self.rotations(parts), len(parts[2])
        made = [heads(layer, part, turn) for part, turn in zip(parts, turns, strict=True)]
        keys = torch.cat([made[0][1].expand(rows, -1, -1, -1), made[1][1][scene], made[2][1]], dim=2)
        query = made[2][0][torch.arange(rows)[:, None], :, at].transpose(1, 2)
        logits = query @ keys.transpose(2, 3) / query.shape[-1] ** 0.5
        before = keys.shape[2] - parts[2].shape[1]
        late = torch.arange(keys.shape[2])[None, None] > (before + at)[..., None]
        x = layer.input_layernorm
        states = torch.cat([x(parts[0]).expand(rows, -1, -1), x(parts[1])[scene], x(parts[2])], dim=1)
        return logits.masked_fill(late[:, None], -torch.inf), states

    def answers(self, parts: list[Tensor], asked: Asked) -> Tensor:
        """Logits of the answers from the states that reach the last layer, [R, vocabulary]."""
        layer, at = self.layers[1], asked.ends[:, None]
        logits, states = self.attention(layer, parts, asked.pack.scene, at)
        values = layer.self_attn.v_proj(states).unflatten(-1, (logits.shape[1], -1)).transpose(1, 2)
        mixed = (logits.softmax(-1) @ values).transpose(1, 2).flatten(2)[:, 0]
        x = parts[2][torch.arange(len(asked.ids)), asked.ends] + layer.self_attn.o_proj(mixed)
        x = x + layer.mlp(layer.post_attention_layernorm(x))
        out: Tensor = self.model.lm_head(self.model.model.text_model.norm(x))
        return out


class Pool:
    """The features of a folder, and batches of questions about them."""

    def __init__(self, folder: Path, asker: Asker, rng: np.random.Generator) -> None:
        self._asker, self._rng = asker, rng
        self._chunks: dict[str, list[Features]] = {"image": [], "video": []}
        for path in sorted(folder.glob("*-*.npz")):
            self._chunks[path.stem.partition("-")[0]].append(load_features(path))

    def batches(self, count: int, asks: int) -> Iterable[Asked]:
        """So many of images, and as many of videos, in turn, with ``asks`` questions about each sentence."""
        for _ in range(count):
            for kind, scenes in SCENES.items():
                chunks = self._chunks[kind]
                chunk = chunks[int(self._rng.integers(len(chunks)))]
                chosen = self._rng.integers(0, len(chunk.clean), scenes).tolist()
                yield self._asker.rows(chunk, chosen, OBJECTS, asks, self._rng)


def look(judge: Judge, batches: list[tuple[list[Tensor], Asked]], rounds: int) -> dict[str, float]:
    """Stage 1; how often each head looks where it should."""
    layer = judge.layers[0]
    weights = [layer.self_attn.q_proj.weight, layer.self_attn.k_proj.weight]
    optimizer, right = torch.optim.Adam(weights, lr=4e-3), np.zeros(2)
    for number in range(rounds):
        parts, asked = batches[number % len(batches)]
        before = parts[0].shape[1] + parts[1].shape[1]
        at = torch.cat([asked.words, asked.ends[:, None]], dim=1)
        logits, _ = judge.attention(layer, parts, asked.pack.scene, at)
        said = asked.words > 0
        words, wanted = logits[:, 0, :-1][said], (before + asked.words - 1)[said]
        ends, keys = logits[:, 1, -1], before + asked.keys
        loss = F.cross_entropy(words, wanted) + F.cross_entropy(ends, keys)
        _step(optimizer, loss, 4e-3 * min(1.0, 2 - 2 * number / rounds))
        found = [(words.argmax(1) == wanted).float().mean().item(), (ends.argmax(1) == keys).float().mean().item()]
        right = 0.9 * right + 0.1 * np.array(found)
    return {"words look before": round(float(right[0]), 4), "answers look at the question": round(float(right[1]), 4)}


@dataclass(frozen=True, slots=True)
class Seen:
    """What reaches a token: its state, and what each head has seen, [N, width] each; ``wanted``: what it is to know."""

    state: Tensor
    first: Tensor
    second: Tensor
    wanted: Tensor


def seen(judge: Judge, batches: Iterable[tuple[list[Tensor], Asked]]) -> tuple[Seen, Seen]:
    """Words, with what they say and whether it is true, [N, 2]; and answers' tokens, with their question, [N]."""
    names, layer = list(QUESTIONS), judge.layers[0]
    words, ends = [], []
    for parts, asked in batches:
        at = torch.cat([asked.words, asked.ends[:, None]], dim=1)
        with torch.no_grad():
            logits, states = judge.attention(layer, parts, asked.pack.scene, at)
            looked = logits.softmax(-1) @ states[:, None]  # [R, heads, A, width]
        own = parts[2][torch.arange(len(at))[:, None], at]
        said, kinds = asked.words > 0, torch.arange(5).expand_as(asked.words)
        wanted = torch.stack([kinds[said].float(), asked.true[said]], dim=1)
        words.append((own[:, :-1][said], looked[:, 0, :-1][said], looked[:, 1, :-1][said], wanted))
        which = torch.tensor([names.index(name) for name in asked.names])
        ends.append((own[:, -1], looked[:, 0, -1], looked[:, 1, -1], which))
    return tuple(Seen(*(torch.cat(of) for of in zip(*found, strict=True))) for found in (words, ends))  # type: ignore[return-value]


def through(layer: Any, given: Seen, rows: Tensor) -> Tensor:
    """The first new layer's states of some tokens, [B, width]."""
    width = layer.self_attn.head_dim
    value, out = layer.self_attn.v_proj.weight, layer.self_attn.o_proj.weight
    x = given.state[rows] + given.first[rows] @ value[:width].T @ out[:, :width].T
    x = x + given.second[rows] @ value[width:].T @ out[:, width:].T
    made: Tensor = x + layer.mlp(layer.post_attention_layernorm(x))
    return made


def understand(judge: Judge, words: Seen, ends: Seen, rounds: int) -> dict[str, float]:
    """Stage 2; how often it knows what is true of a word that was not learned from, and which question it is."""
    layer, width = judge.layers[0], judge.config.text.width
    expected = judge.asker.words
    with torch.no_grad():  # the first head starts with the captioner's own logits of the words of sentences
        layer.self_attn.v_proj.weight[: len(expected)] = 0.15 * judge.model.lm_head.weight[expected]
    told, which = nn.Linear(width, 5), nn.Linear(width, len(QUESTIONS))
    attention = layer.self_attn
    trained = [attention.v_proj.weight, attention.o_proj.weight, layer.post_attention_layernorm.weight]
    trained += [*layer.mlp.parameters(), *told.parameters(), *which.parameters()]
    optimizer = torch.optim.AdamW(trained, lr=2e-3, weight_decay=0.02)
    last = int(0.95 * len(words.state))
    for number in range(rounds):
        rows = torch.randint(last, (320,))
        few = torch.randint(len(ends.state), (32,))
        kinds, true = words.wanted[rows, 0].long(), words.wanted[rows, 1]
        says = told(through(layer, words, rows)).gather(1, kinds[:, None])[:, 0]
        loss = F.binary_cross_entropy_with_logits(says, true)
        loss = loss + 0.3 * F.cross_entropy(which(through(layer, ends, few)), ends.wanted[few])
        _step(optimizer, loss, 2e-3 * min(1.0, (number + 1) / 50, 2 - 2 * number / rounds))
        if number % 250 == 249:
            right = ((says > 0) == (true > 0.5)).float().mean().item()
            print(json.dumps({"round": number + 1, "loss": round(float(loss.detach()), 3), "right": right}), flush=True)
    with torch.no_grad():
        rows = torch.arange(last, len(words.state))
        says = told(through(layer, words, rows)).gather(1, words.wanted[rows, 0].long()[:, None])[:, 0]
        known = which(through(layer, ends, torch.arange(len(ends.state)))).argmax(1) == ends.wanted
        right = (says > 0) == (words.wanted[rows, 1] > 0.5)
    return {"words": round(right.float().mean().item(), 4), "questions": round(known.float().mean().item(), 4)}


def speak(judge: Judge, batches: list[tuple[list[Tensor], Asked]], rounds: int) -> dict[str, float]:
    """Stage 3: where the answer's token looks, then what it says; how often it looks where it should."""
    last, text = judge.layers[1], judge.model.model.text_model
    optimizer, right = torch.optim.Adam([last.self_attn.q_proj.weight, last.self_attn.k_proj.weight], lr=4e-3), 0.0
    for number in range(rounds):
        parts, asked = batches[number % len(batches)]
        logits, _ = judge.attention(last, parts, asked.pack.scene, asked.ends[:, None])
        wanted = parts[0].shape[1] + parts[1].shape[1] + asked.matters
        loss = F.cross_entropy(logits[:, 0, 0], wanted)
        _step(optimizer, loss, 4e-3 * min(1.0, 2 - 2 * number / rounds))
        right = 0.9 * right + 0.1 * (logits[:, 0, 0].argmax(1) == wanted).float().mean().item()
    given = answers_seen(judge, batches)
    attention = last.self_attn
    trained = [attention.v_proj.weight, attention.o_proj.weight, last.post_attention_layernorm.weight]
    trained += [*last.mlp.parameters(), *text.norm.parameters(), *judge.model.lm_head.parameters()]
    optimizer = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0.1)
    for number in range(rounds):
        rows = torch.randint(len(given.state), (256,))
        said = judge.model.lm_head(text.norm(through(last, given, rows)))
        loss = F.cross_entropy(said, given.wanted[rows])
        _step(optimizer, loss, 1e-3 * min(1.0, (number + 1) / 50, 2 - 2 * number / rounds))
    return {"answers look at what matters": round(right, 4)}


def answers_seen(judge: Judge, batches: Iterable[tuple[list[Tensor], Asked]]) -> Seen:
    """What reaches the answers' tokens in the last layer, with the answers."""
    found = []
    for parts, asked in batches:
        with torch.no_grad():
            logits, states = judge.attention(judge.layers[1], parts, asked.pack.scene, asked.ends[:, None])
            looked = (logits.softmax(-1) @ states[:, None])[:, :, 0]
        own = parts[2][torch.arange(len(asked.ids)), asked.ends]
        found.append((own, looked[:, 0], looked[:, 1], asked.answers))
    return Seen(*(torch.cat(of) for of in zip(*found, strict=True)))


def _step(optimizer: torch.optim.Optimizer, loss: Tensor, rate: float) -> None:
    optimizer.zero_grad()
    loss.backward()
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()


def accuracy(judge: Judge, batches: Iterable[tuple[list[Tensor], Asked]]) -> dict[str, float]:
    """The share of right answers by question, and the AUROC of "this one" for whole sentences."""
    right: dict[str, list[bool]] = {}
    margins: dict[bool, list[float]] = {True: [], False: []}
    for parts, asked in batches:
        with torch.no_grad():
            logits = judge.answers(parts, asked)
        margin = logits[:, judge.asker.yes] - logits[:, judge.asker.no]
        correct = (logits.argmax(1) == asked.answers).tolist()
        for name, good, whole, value in zip(asked.names, correct, asked.whole, margin.tolist(), strict=True):
            right.setdefault(str(name), []).append(good)
            if name == "this one":
                margins[whole].append(value)
    good, bad = np.array(margins[True])[:, None], np.array(margins[False])[None]
    found = {name: round(float(np.mean(of)), 4) for name, of in sorted(right.items())}
    return found | {"auroc": round(float(((good > bad) + 0.5 * (good == bad)).mean()), 4)}


def first_layer(judge: Judge, pool: Pool, options: argparse.Namespace, tell: Callable[..., None]) -> None:
    """Stages 1 and 2."""
    below = [(judge.states(asked)[-MORE_LAYERS - 1], asked) for asked in pool.batches(options.batches[0], 1)]
    tell("states", rows=sum(len(asked.ids) for _, asked in below))
    tell("look", **look(judge, below[:40], options.rounds[0]))
    tell("understand", **understand(judge, *seen(judge, below), options.rounds[1]))


def main() -> None:
    """Train and write the model's folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=Path, required=True, help="folder that the program `features` has filled")
    parser.add_argument("--out", type=Path, required=True, help="the model's folder")
    parser.add_argument("--go-on", type=Path, help="a model's folder: stage 3 alone, once more")
    parser.add_argument("--batches", type=int, nargs=2, default=(150, 70), help="of stages 1 and 2, and of stage 3")
    parser.add_argument("--rounds", type=int, nargs=3, default=(100, 3000, 2000), help="of each stage")
    options = parser.parse_args()
    os.nice(10)
    torch.set_num_threads(1)
    begun, judge = time.monotonic(), Judge.fresh(judge_config())

    def tell(stage: str, **found: float) -> None:
        minutes = round((time.monotonic() - begun) / 60, 1)
        print(json.dumps({"stage": stage, "minutes": minutes, "cpu_s": round(time.process_time())} | found), flush=True)

    pool = Pool(options.pool, judge.asker, np.random.default_rng(SEED if options.go_on is None else SEED + 1))
    if options.go_on is None:
        first_layer(judge, pool, options, tell)
    else:
        judge.load(options.go_on)
    above = [(judge.states(asked)[-MORE_LAYERS], asked) for asked in pool.batches(options.batches[1], 3)]
    held_out, above = above[: len(above) // 10], above[len(above) // 10 :]
    tell("speak", **speak(judge, above, options.rounds[2]))
    tell("held out", **accuracy(judge, held_out))
    export(judge.config, judge.model.state_dict(), options.out, texts(), torch.float16)


if __name__ == "__main__":
    main()
