"""The caption head: [projected object query | learned queries] attend to the object's tokens, a language
model generates the caption.

B clips, N chosen objects of a clip, T frames, L query tokens, M vision tokens, D width of the segmenter, E of the
Q-Former.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from capgen.maskcaptioner.model.captioning.geometry import FACTS, mask_geometry
from capgen.maskcaptioner.model.captioning.language import LanguageModel, config_of, without_dropout
from capgen.maskcaptioner.model.captioning.qformer import QFormer
from capgen.maskcaptioner.model.captioning.visual_tokens import Grid, MapTokens, TowerTokens, on_grid, visible_tokens
from capgen.maskcaptioner.model.clip import ClipOutput
from capgen.maskcaptioner.model.segmentation.losses import count_of_all
from capgen.maskcaptioner.model.segmentation.segmenter import Features


def _frozen_dtype(config: dict[str, Any], key: str) -> torch.dtype | None:
    """The type of a frozen part's weights; None where it learns."""
    if not config[key]:
        return None
    dtype: torch.dtype = getattr(torch, config["frozen_dtype"] or "float32")
    return dtype


class CaptionHead(nn.Module):  # type: ignore[misc]
    """Q-Former and language model.

    All frames of a clip are seen, each with its place in time: what moves can be told from what stands still, and the
    same clip always gives the same caption. (The official code looks at one random frame.) With ``geometry`` the
    object query also carries where the predicted mask lies and how it moves.

    Args:
        config: ``MaskCaptionerConfig.caption`` with configs, not names, in it.
        picture: ``MaskCaptionerConfig.picture``.
        widths: of the segmenter's queries, its backbone's first stage and its pixel decoder's levels.
        object_mask: which tokens the queries see, see ``visible_tokens``.
    """

    def __init__(
        self, config: dict[str, Any], picture: dict[str, Any], widths: tuple[int, int, int], object_mask: str
    ) -> None:
        super().__init__()
        self.object_mask = object_mask
        self.max_objects, self.detach = int(config["max_objects"]), bool(config["detach"])
        qformer = config_of({"model_type": "blip_2_qformer", **config["qformer"]})
        width = qformer.hidden_size
        self.tokens = self._vision(config, picture, widths, qformer.encoder_hidden_size)
        self.qformer = QFormer(qformer)
        self.project_query = nn.Linear(widths[0], width)
        self.geometry = nn.Linear(FACTS, width) if config["geometry"] else None
        self.learned_LE = nn.Parameter(torch.empty(int(config["learned_queries"]), width))
        language = config_of(config["language_model"])
        dtype = _frozen_dtype(config, "freeze_language_model")
        self.language = LanguageModel(
            language if dtype is None else without_dropout(language),
            width,
            int(config["max_tokens"]),
            int(config["beams"]),
            dtype or torch.float32,
        )
        self.freeze(config)

    @staticmethod
    def _vision(config: dict[str, Any], picture: dict[str, Any], widths: tuple[int, int, int], width: int) -> nn.Module:
        if config["vision"] is None:
            return MapTokens(widths[1], widths[2], width, int(config["stride"]))
        tower = config_of({"model_type": "blip_2_vision_model", **config["vision"]})
        dtype = _frozen_dtype(config, "freeze_vision")
        tower = tower if dtype is None else without_dropout(tower)
        return TowerTokens(tower, int(config["vision_side"]), picture["mean"], picture["std"], dtype)

    def freeze(self, config: dict[str, Any]) -> None:
        """Take the frozen parts out of training and give them their type."""
        parts = {"freeze_language_model": self.language.causal}
        if config["vision"] is not None:
            parts["freeze_vision"] = self.tokens.tower
        for key, part in parts.items():
            dtype = _frozen_dtype(config, key)
            if dtype is not None:
                part.requires_grad_(False)
                part.to(dtype)

    def encode(self, pixels_BTCHW: torch.Tensor, features: Features) -> tuple[torch.Tensor, Grid]:
        """Tokens [B, M, E] and their grid; once a clip, whatever the number of objects."""
        if self.detach:
            features = Features(
                features.embeddings_FDhw.detach(),
                tuple(level.detach() for level in features.levels),
                tuple(stage.detach() for stage in features.stages),
            )
        tokens: torch.Tensor
        tokens, grid = self.tokens(pixels_BTCHW, features)
        return tokens, grid

    def inputs(
        self, queries_BND: torch.Tensor, logits_BNThw: torch.Tensor, grid: Grid
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What the Q-Former starts from, [B, N, L, E], and what it may see, bool [B, N, M]."""
        query = self.project_query(queries_BND.detach() if self.detach else queries_BND)
        if self.geometry is not None:
            query = query + self.geometry(mask_geometry(logits_BNThw).to(query.dtype))
        learned = self.learned_LE.to(query.dtype).expand(*query.shape[:2], -1, -1)
        visible = visible_tokens(on_grid(logits_BNThw, grid), self.object_mask)
        return torch.cat((query[:, :, None], learned), 2), visible

    def states(self, output: ClipOutput, chosen: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """The Q-Former's answers for chosen queries of each clip, [n, L, E] each.

        Args:
            chosen: for each clip, indices of queries.
        """
        if output.queries_BQD is None or output.mask_logits_BQThw is None or output.tokens_BMD is None:
            raise ValueError("captions need queries, masks and tokens")
        longest = max(1, *(len(index) for index in chosen))
        padded_BN = torch.stack([nn.functional.pad(index, (0, longest - len(index))) for index in chosen])
        clip = torch.arange(len(chosen), device=padded_BN.device)[:, None]
        grid = output.token_grid
        assert grid is not None
        queries, visible = self.inputs(
            output.queries_BQD[clip, padded_BN], output.mask_logits_BQThw[clip, padded_BN], grid
        )
        answers = self.qformer(queries, output.tokens_BMD, visible)
        return [answer[: len(index)] for answer, index in zip(answers, chosen, strict=True)]

    def loss(self, output: ClipOutput, captions: Sequence[Sequence[str | None]], tokenizer: Any) -> torch.Tensor:
        """Cross-entropy, averaged over the captions of matched objects in all processes; 0 where none has one.

        Args:
            captions: of all objects of each clip.
        """
        chosen, texts = self._captioned(output, captions)
        number = count_of_all(len(texts), self.learned_LE.device)
        if not texts:
            return self.zero_loss()
        states = torch.cat(self.states(output, chosen))
        return self.language.losses(states, texts, tokenizer).sum() / number

    def _captioned(
        self, output: ClipOutput, captions: Sequence[Sequence[str | None]]
    ) -> tuple[list[torch.Tensor], list[str]]:
        """Matched queries whose object has a caption, and the captions, in the order of the clips."""
        chosen: list[torch.Tensor] = []
        texts: list[str] = []
        for (queries, objects), sentences in zip(output.matches or [], captions, strict=True):
            told = [i for i, n in enumerate(objects.tolist()) if n < len(sentences) and sentences[n]]
            if self.max_objects and len(told) > self.max_objects:
                told = [told[i] for i in sorted(torch.randperm(len(told))[: self.max_objects].tolist())]
            chosen.append(queries[told])
            texts.extend(str(sentences[int(objects[i])]) for i in told)
        return chosen, texts

    def zero_loss(self) -> torch.Tensor:
        """0 with a gradient of 0 for everything that is trained, so that processes without captions keep in step."""
        return sum((0.0 * p.flatten()[0].float() for p in self.parameters() if p.requires_grad), torch.zeros(()))
