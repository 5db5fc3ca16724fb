"""How much of what the model says is true, attribute by attribute."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from experiments.embedded.config import Config
from experiments.embedded.data import MAX_CAPTION
from experiments.embedded.model import Heads
from experiments.embedded.packing import Pack, hidden, object_ids
from experiments.embedded.pool import Batch
from experiments.embedded.tokenizer import EOS


def looks_accuracy(heads: Heads, z_BPW: Tensor, batch: Batch) -> dict[str, float]:
    """The heads' accuracy on close-ups."""
    logits, _ = heads(z_BPW)
    looks = batch.looks.to(z_BPW.device)
    names = ("category", "colour", "texture", "turned")
    return {
        name: float((out.argmax(1) == looks[:, i]).float().mean())
        for i, (name, out) in enumerate(zip(names, logits, strict=True))
    }


def greedy(model: Any, config: Config, fixed: Tensor, pack: Pack, assistant: list[int]) -> list[list[int]]:
    """The most likely tokens of each object's caption, the end token left out."""
    said: list[list[int]] = [[] for _ in pack.scene]
    for _ in range(MAX_CAPTION):
        given = torch.full((len(said), MAX_CAPTION), -1)
        for row, tokens in enumerate(said):
            given[row, : len(tokens) + 1] = torch.tensor([*tokens, EOS])  # the last one is never an input
        asked = Pack(pack.clean, pack.close, pack.scene, pack.text, given)
        ids, labels = object_ids(config, asked, assistant)
        ends = (labels != -100).cumsum(1).argmax(1)
        states = hidden(model, config, fixed, asked, ids)
        best = model.lm_head(states[torch.arange(len(said)), ends]).argmax(1).tolist()
        open_ = 0
        for tokens, token in zip(said, best, strict=True):
            if not tokens or tokens[-1] != EOS:
                tokens.append(token)
                open_ += token != EOS
        if not open_:
            break
    return [tokens[:-1] if tokens[-1] == EOS else tokens for tokens in said]


def caption_accuracy(model: Any, config: Config, fixed: Tensor, pack: Pack, assistant: list[int]) -> dict[str, float]:
    """The share of greedy captions that are wholly true, and of their words by place in the sentence.

    The sentence is always ``A <size> <texture> <colour> <category> [<motion>].``
    """
    truth = [[i for i in row if i >= 0 and i != EOS] for row in pack.caption.tolist()]
    said = greedy(model, config, fixed, pack, assistant)
    pairs = list(zip(truth, said, strict=True))
    names = ("size", "texture", "colour")
    found = {name: _mean([t[i] == (s[i] if len(s) > i else -1) for t, s in pairs]) for i, name in enumerate(names, 1)}
    found["rest"] = _mean([t[4:] == s[4:] for t, s in pairs])
    return found | {"whole": _mean([t == s for t, s in pairs])}


def _mean(values: list[bool]) -> float:
    return sum(values) / max(len(values), 1)
