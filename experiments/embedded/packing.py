"""Captions of many objects in one forward pass, with everything that they share computed once.

The fixed text is the same for all scenes and a scene's clean pictures are the same for its objects, so they are run
once and the objects attend to their keys and values: what a prefix cache does in serving, with gradients. The numbers
are those of the plain forward pass of each whole prompt (tests/experiments/test_packing.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name that torch's own documentation gives it

from experiments.embedded.config import Config
from experiments.embedded.data import IGNORE
from experiments.embedded.tokenizer import EOS, FAKE, GLOBAL, IMAGE, PAD


def pixels(pictures_PHWC: Tensor) -> Tensor:
    """uint8 [P, H, W, 3] as the exported processor normalises it: float32 [P, 3, H, W] in -1..1."""
    return pictures_PHWC.permute(0, 3, 1, 2).float().mul_(2 / 255).sub_(1)


def encode(model: Any, x_PCHW: Tensor, layers: list[Tensor] | None = None) -> Tensor:
    """The vision tower's output for pictures of its one size, [P, patches, width]; ``layers`` gets those between."""
    tower = model.model.vision_model
    patch = tower.patch_size
    count, channels, height, _ = x_PCHW.shape
    grid = height // patch
    x = x_PCHW.view(count, channels, grid, patch, grid, patch).permute(0, 2, 4, 1, 3, 5).reshape(count, grid * grid, -1)
    embed = tower.embeddings
    x = (
        F.linear(x, embed.patch_embedding.weight.flatten(1), embed.patch_embedding.bias)
        + embed.position_embedding.weight
    )
    for layer in tower.encoder.layers:
        attention = layer.self_attn
        y = layer.layer_norm1(x)
        q, k, v = (
            project(y).view(count, grid * grid, attention.num_heads, -1).transpose(1, 2)
            for project in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(count, grid * grid, -1)
        x = x + attention.out_proj(y)
        x = x + layer.mlp(layer.layer_norm2(x))
        if layers is not None:
            layers.append(x)
    return tower.post_layernorm(x)


def picture_ids(config: Config, count: int) -> list[int]:
    """The tokens that stand for ``count`` pictures in a row."""
    return [FAKE, GLOBAL, *[IMAGE] * config.tokens, FAKE] * count


@dataclass(frozen=True, slots=True)
class Pack:
    """Objects of scenes of one kind.

    Args:
        clean: visual tokens of the scenes' clean pictures, float [S, C * tokens, width].
        close: of the objects' close-ups, float [R, K * tokens, width].
        scene: of each object, [R].
        text: token ids of the objects' texts, padded with -1, [R, T].
        caption: likewise, with the end token, [R, Q].
    """

    clean: Tensor
    close: Tensor
    scene: Tensor
    text: Tensor
    caption: Tensor


def joined(packs: list[Pack]) -> Pack:
    """Packs of the same kind as one, cut off from the vision tower that made them."""
    starts = [0, *torch.tensor([len(pack.clean) for pack in packs]).cumsum(0).tolist()]
    return Pack(
        clean=torch.cat([pack.clean for pack in packs]).detach(),
        close=torch.cat([pack.close for pack in packs]).detach(),
        scene=torch.cat([pack.scene + start for pack, start in zip(packs, starts, strict=False)]),
        text=torch.cat([pack.text for pack in packs]),
        caption=torch.cat([pack.caption for pack in packs]),
    )


def object_ids(config: Config, pack: Pack, assistant: list[int]) -> tuple[Tensor, Tensor]:
    """Ids after the clean pictures, padded on the right, and the labels of the next token, both [R, L]."""
    pictures = picture_ids(config, pack.close.shape[1] // config.tokens)
    rows, marks = [], []
    for text, said in zip(pack.text.tolist(), pack.caption.tolist(), strict=True):
        asked = [*pictures, *(i for i in text if i >= 0), EOS, *assistant]
        answer = [i for i in said if i >= 0]
        rows.append([*asked, *answer[:-1]])
        marks.append([IGNORE] * (len(asked) - 1) + answer)
    length = max(map(len, rows))
    ids = torch.tensor([row + [PAD] * (length - len(row)) for row in rows])
    labels = torch.tensor([row + [IGNORE] * (length - len(row)) for row in marks])
    return ids.to(pack.close.device), labels.to(pack.close.device)


def embed(model: Any, ids: Tensor, visual: Tensor | None) -> Tensor:
    """Token embeddings, [.., L, width], with ``visual`` in the places of the image tokens."""
    table: Tensor = model.model.text_model.embed_tokens(ids)
    if visual is None:
        return table
    places = (ids == IMAGE).unsqueeze(-1).expand_as(table)
    return table.masked_scatter(places, visual)


def hidden(
    model: Any, config: Config, fixed: Tensor, pack: Pack, ids: Tensor, layers: list[list[Tensor]] | None = None
) -> Tensor:
    """The language model's last hidden states of the objects' tokens, [R, L, width].

    Args:
        fixed: ids of the text before the first picture, [F].
        ids: from ``object_ids``.
        layers: gets those after each layer: of the fixed text, the clean pictures and the objects; after the last one
            of the objects alone.
    """
    text = model.model.text_model
    scenes, device = len(pack.clean), ids.device
    clean_ids = torch.tensor(picture_ids(config, pack.clean.shape[1] // config.tokens), device=device)
    parts = [
        embed(model, fixed[None], None),
        embed(model, clean_ids.expand(scenes, -1), pack.clean),
        embed(model, ids, pack.close),
    ]
    lengths = [part.shape[1] for part in parts]
    places = torch.arange(sum(lengths), device=device).split(lengths)
    turns = [text.rotary_emb(part, place[None]) for part, place in zip(parts, places, strict=True)]
    last = len(text.layers) - 1
    for number, layer in enumerate(text.layers):
        parts = _layer(layer, parts, turns, pack.scene, only_objects=number == last)
        if layers is not None:
            layers.append(parts)
    out: Tensor = text.norm(parts[2])
    return out


def _layer(
    layer: Any, parts: list[Tensor], turns: list[tuple[Tensor, Tensor]], scene: Tensor, *, only_objects: bool
) -> list[Tensor]:
    """One decoder layer over fixed text, clean pictures and objects; of the last one only the objects are read."""
    made = [heads(layer, part, turn) for part, turn in zip(parts, turns, strict=True)]
    (_, k_fixed, v_fixed), (_, k_clean, v_clean) = made[0], made[1]
    scenes, rows = len(parts[1]), len(parts[2])
    before = [
        [],
        [(k_fixed.expand(scenes, -1, -1, -1), v_fixed.expand(scenes, -1, -1, -1))],
        [(k_fixed.expand(rows, -1, -1, -1), v_fixed.expand(rows, -1, -1, -1)), (k_clean[scene], v_clean[scene])],
    ]
    first = 2 if only_objects else 0
    out = list(parts)
    for i in range(first, 3):
        q, k, v = made[i]
        keys = torch.cat([*(pair[0] for pair in before[i]), k], dim=2)
        values = torch.cat([*(pair[1] for pair in before[i]), v], dim=2)
        length = q.shape[2]
        mask = torch.ones(length, keys.shape[2], dtype=torch.bool, device=q.device).tril(keys.shape[2] - length)
        mixed = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask)
        x = parts[i] + layer.self_attn.o_proj(mixed.transpose(1, 2).reshape(parts[i].shape))
        out[i] = x + layer.mlp(layer.post_attention_layernorm(x))
    return out


def heads(layer: Any, x: Tensor, turn: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of a decoder layer, [.., heads, L, head width] each, the first two rotated."""
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    attention = layer.self_attn
    y = layer.input_layernorm(x)
    q, k, v = (
        project(y).view(*x.shape[:-1], -1, attention.head_dim).transpose(1, 2)
        for project in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    q, k = apply_rotary_pos_emb(q, k, *turn)
    return q, k, v


def caption_loss(model: Any, config: Config, fixed: Tensor, pack: Pack, assistant: list[int]) -> Tensor:
    """Mean cross-entropy of the caption tokens."""
    ids, labels = object_ids(config, pack, assistant)
    states = hidden(model, config, fixed, pack, ids)
    said = labels != IGNORE
    return F.cross_entropy(model.lm_head(states[said]), labels[said])
