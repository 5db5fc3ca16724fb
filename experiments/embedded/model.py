"""The captioner: a stock Idefics3 (vision tower, connector, Llama), its heads for training, and how it is initialised.

Heads and initialisation matter only to training; what is exported loads in transformers and vLLM without own code.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name that torch's own documentation gives it

from experiments.embedded.config import Config
from experiments.embedded.data import CLASSES
from experiments.embedded.tokenizer import BOS, EOS, IMAGE, PAD


def build_model(config: Config, tokens: int) -> Any:
    """A fresh ``Idefics3ForConditionalGeneration`` in float32 with a vocabulary of ``tokens``."""
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration

    vision, text = config.vision, config.text
    ids = {"pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS}
    settings = Idefics3Config(
        vision_config={
            "hidden_size": vision.width,
            "num_hidden_layers": vision.layers,
            "num_attention_heads": vision.heads,
            "intermediate_size": vision.mlp,
            "image_size": config.render.side,
            "patch_size": vision.patch,
            "hidden_act": "relu",  # a quarter faster to train on a CPU than the tanh form of GELU
        },
        text_config={
            "model_type": "llama",
            "vocab_size": tokens,
            "hidden_size": text.width,
            "num_hidden_layers": text.layers,
            "num_attention_heads": text.heads,
            "num_key_value_heads": text.heads,
            "intermediate_size": text.mlp,
            "max_position_embeddings": 1024,
            "tie_word_embeddings": False,
            **ids,
        },
        scale_factor=vision.merge,
        image_token_id=IMAGE,
        tie_word_embeddings=False,
        **ids,
    )
    model = Idefics3ForConditionalGeneration(settings)
    initialise(model, config)
    return model


def initialise(model: Any, config: Config) -> None:
    """Weights scaled to their fan-in, smooth codes for places on the grid and for the whole numbers."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.7 / math.sqrt(module.in_features))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    tower, text = model.model.vision_model, model.model.text_model
    with torch.no_grad():
        for layer in tower.encoder.layers:
            layer.self_attn.out_proj.weight.mul_(0.5)
            layer.mlp.fc2.weight.mul_(0.5)
        for layer in text.layers:
            layer.self_attn.o_proj.weight.mul_(0.5)
            layer.mlp.down_proj.weight.mul_(0.5)
        patch = tower.embeddings.patch_embedding
        nn.init.normal_(patch.weight, std=1 / math.sqrt(patch.weight[0].numel()))
        nn.init.zeros_(patch.bias)
        tower.embeddings.position_embedding.weight.copy_(0.2 * grid_codes(config.grid, config.vision.width))
        nn.init.normal_(text.embed_tokens.weight, std=0.5)
        nn.init.normal_(model.lm_head.weight, std=0.02)


def grid_codes(grid: int, width: int) -> Tensor:
    """Cosines and sines of row and column, float32 [grid * grid, width]."""
    row, column = torch.meshgrid(torch.arange(grid) + 0.5, torch.arange(grid) + 0.5, indexing="ij")
    waves = math.pi * torch.arange(1, width // 4 + 1) / (width // 4)
    angles = [place.reshape(-1, 1) * waves for place in (row, column)]
    return torch.cat([wave(angle) for angle in angles for wave in (torch.cos, torch.sin)], dim=1)


def number_codes(width: int) -> Tensor:
    """Smooth codes of the numbers 0 to 100, float32 [101, width]: neighbours are alike, distances can be read off."""
    n = torch.arange(101).float()[:, None]
    waves = 2 * math.pi / torch.logspace(math.log10(4), math.log10(400), width // 2)
    return torch.cat([torch.cos(n * waves), torch.sin(n * waves)], dim=1)


_TURNED = 8.0  # how much more a turned object counts: one close-up in forty shows one


class Heads(nn.Module):  # type: ignore[misc]
    """What stage A asks of every close-up: category, colour, texture, whether it is turned, and the target's mask."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width, self.grid = config.vision.width, config.grid
        self.cells = config.data.mask_cells // config.grid
        self.pool = nn.Linear(width, width)
        self.out = nn.ModuleList([nn.Linear(width, n) for n in (*CLASSES[:3], 2)])
        self.mask = nn.Linear(width, self.cells**2)

    def forward(self, z_BPW: Tensor) -> tuple[list[Tensor], Tensor]:
        """Logits by attribute, [B, classes] each, and of the mask, [B, P, cells a patch]."""
        pooled = F.relu(self.pool(z_BPW)).mean(1)
        return [out(pooled) for out in self.out], self.mask(z_BPW)

    def loss(self, z_BPW: Tensor, labels_BL: Tensor, cover_BCC: Tensor, mask_weight: float) -> Tensor:
        """Cross-entropies of the attributes and of the mask.

        Args:
            labels_BL: class numbers [B, 4] (category, colour, texture, turned), -100 where unknown.
            cover_BCC: float [B, cells, cells] in 0..1.
        """
        logits, mask = self(z_BPW)
        weights = (1.0, 0.5, 0.5, 0.5)
        rare = torch.tensor([1.0, _TURNED], device=z_BPW.device)
        said = [
            w * F.cross_entropy(out, labels_BL[:, i], weight=rare if i == len(weights) - 1 else None)
            for i, (out, w) in enumerate(zip(logits, weights, strict=True))
        ]
        g, c = self.grid, self.cells
        target = cover_BCC.view(-1, g, c, g, c).permute(0, 1, 3, 2, 4).reshape(len(cover_BCC), g * g, c * c)
        return sum(said, torch.zeros(())) + mask_weight * F.binary_cross_entropy_with_logits(mask, target)
