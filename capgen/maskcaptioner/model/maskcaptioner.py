"""MaskCaptioner: segments, classifies and captions the objects of a clip with one query for each.

B clips, T frames, Q queries, N objects of a clip, H W pixels, h w places of a map (stride 4), D width, C classes,
L query tokens of the Q-Former, E its width.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from stat import S_IMODE
from typing import Any, Self

import torch
from torch import nn
from transformers import AutoTokenizer, Mask2FormerConfig, PreTrainedModel

from capgen.errors import UserError
from capgen.maskcaptioner.model.captioning.caption_head import CaptionHead
from capgen.maskcaptioner.model.clip import ClipOutput, Federated, Target
from capgen.maskcaptioner.model.config import MaskCaptionerConfig
from capgen.maskcaptioner.model.pretrained_parts import load_parts, load_segmenter, resolved, start_afresh
from capgen.maskcaptioner.model.safe_loading import NO_CODE, SAFE_WEIGHTS, refuse_pickles
from capgen.maskcaptioner.model.segmentation.classes import text_embeddings
from capgen.maskcaptioner.model.segmentation.heads import BoxHead, LinearClasses, Mlp, OpenClasses, box_region
from capgen.maskcaptioner.model.segmentation.losses import ClipLoss
from capgen.maskcaptioner.model.segmentation.matcher import LayerOutputs
from capgen.maskcaptioner.model.segmentation.segmenter import Segmenter

__all__ = ["ClipOutput", "Federated", "MaskCaptioner", "Target"]


class MaskCaptioner(PreTrainedModel):  # type: ignore[misc]
    """Joint detection, segmentation and captioning of the objects of a clip.

    ``MaskCaptioner(config)`` alone builds random weights from a config that names nothing; ``create`` also fetches what
    a config names. ``tokenizer`` is saved and loaded beside the weights.
    Source: arXiv 2510.14904, with the mask of the caption head in its intended polarity, no shift, and one normalised
    query in training and at inference.
    """

    config_class = MaskCaptionerConfig
    base_model_prefix = "maskcaptioner"
    main_input_name = "pixels_BTCHW"
    supports_gradient_checkpointing = True
    _supports_sdpa = True

    def __init__(self, config: MaskCaptionerConfig) -> None:
        super().__init__(config)
        segmenter = Mask2FormerConfig(**config.segmenter)
        width = segmenter.hidden_dim
        self.segmenter = Segmenter(segmenter)
        self.object_head = Mlp(width, width, 2, 3)
        self.box_head = BoxHead(width) if config.box_head else None
        self.class_head: nn.Module | None = None
        if config.classes:
            if config.class_head == "open":
                self.class_head = OpenClasses(width, int(config.text_width or 512))
            else:
                self.class_head = LinearClasses(width, len(config.classes))
        self.caption_head: CaptionHead | None = None
        if config.caption is not None:
            stage = self.segmenter.mask2former.pixel_level_module.encoder.channels[0]
            widths = (width, int(stage), segmenter.feature_size)
            self.caption_head = CaptionHead(config.caption, config.picture, widths, config.object_mask)
        self.tokenizer: Any = None
        self.post_init()
        # transformers looks for tied weights in direct children only; a language model is further down, and would come
        # back from disk with a random output layer
        for name, module in self.named_modules():
            if name and isinstance(module, PreTrainedModel):
                tied = getattr(module, "all_tied_weights_keys", {})
                self.all_tied_weights_keys.update({f"{name}.{key}": f"{name}.{value}" for key, value in tied.items()})

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, CaptionHead):
            nn.init.normal_(module.learned_LE, std=0.5)
        elif isinstance(module, LinearClasses | OpenClasses):
            module.reset()

    @classmethod
    def create(cls, config: MaskCaptionerConfig, tokenizer: Any = None, *, segmenter: str | None = None) -> Self:
        """A new model: random weights where the config has architectures, fetched ones where it has names.

        Args:
            tokenizer: for a language model from scratch; a named one brings its own.
            segmenter: a Mask2Former checkpoint's name or folder; None = the config's, from scratch.

        Raises:
            UserError: a name cannot be loaded, or the tokenizer is missing.
        """
        config, names, tokenizer = resolved(config, tokenizer)
        weights = None
        if segmenter is not None:
            config.segmenter, weights = load_segmenter(segmenter)
        model = cls(config)
        model.tokenizer = tokenizer
        if model.class_head is not None:
            model.class_head.reset()  # transformers sets a layer once, here the general rule came first
        if weights is None:
            start_afresh(model.segmenter.mask2former)
        else:
            model.segmenter.mask2former.load_state_dict(weights)
        if model.caption_head is not None:
            load_parts(model.caption_head, names)
        return model

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> None:
        """Config, weights (safetensors) and tokenizer."""
        super().save_pretrained(save_directory, **kwargs)
        mode = (Path(save_directory) / "config.json").stat().st_mode
        for file in Path(save_directory).glob("*.safetensors"):
            file.chmod(S_IMODE(mode))  # safetensors leaves them to the owner alone, whatever the umask says
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(save_directory)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, *args: Any, **kwargs: Any) -> Any:
        """A saved model; with ``output_loading_info`` also what was loaded. No code of the folder's is run.

        Raises:
            UserError: its tokenizer is missing, or a pickle lies in it.
        """
        refuse_pickles(Path(pretrained_model_name_or_path))
        found = super().from_pretrained(str(pretrained_model_name_or_path), *args, **{**kwargs, **SAFE_WEIGHTS})
        model = found[0] if isinstance(found, tuple) else found
        if model.config.caption is not None:
            model.caption_head.freeze(model.config.caption)
            try:
                model.tokenizer = AutoTokenizer.from_pretrained(str(pretrained_model_name_or_path), **NO_CODE)
            except (OSError, ValueError) as error:
                raise UserError(
                    f"{pretrained_model_name_or_path} has no tokenizer", "save it with save_pretrained"
                ) from error
            model._check_marks(str(pretrained_model_name_or_path))
        return found

    def _check_marks(self, folder: str) -> None:
        """Refuse a tokenizer whose tokens at the ends of a caption the language model does not have."""
        rows = self._captions().language.causal.get_input_embeddings().num_embeddings
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            token = getattr(self.tokenizer, name)
            if token is not None and not 0 <= token < rows:
                what = f"{folder}: the tokenizer's {name} is {token}, and its language model has {rows} tokens"
                raise UserError(what, "the two are of different models: copy the model again")

    def forward(
        self,
        pixels_BTCHW: torch.Tensor,
        *,
        targets: Sequence[Target] | None = None,
        caption_loss: bool = True,
        tokens: bool = True,
    ) -> ClipOutput:
        """Predictions for B clips, and their loss where ``targets`` are given.

        Args:
            pixels_BTCHW: RGB, normalised, padded with zeros to multiples of ``config.picture["divisor"]``.
            targets: one a clip; a clip without objects teaches objectness only.
            caption_loss: off where captions are not trained.
            tokens: whether the output is prepared for captions.
        """
        frames = pixels_BTCHW.shape[1]
        features = self.segmenter.features(pixels_BTCHW)
        region = None if self.config.mask_head else self._region(frames)
        queries, masks = self.segmenter.decode(features, frames, region)
        output = self._read(queries[-1], masks[-1], frames)
        captions = targets is not None and caption_loss
        if self.caption_head is not None and (captions or (tokens and targets is None)):
            output.tokens_BMD, output.token_grid = self.caption_head.encode(pixels_BTCHW, features)
        if targets is not None:
            self._add_losses(
                output, queries, masks, targets, (pixels_BTCHW.shape[-2], pixels_BTCHW.shape[-1]), captions
            )
        return output

    def detect(self, pixels_BTCHW: torch.Tensor, *, tokens: bool = True) -> ClipOutput:
        """``forward`` without gradients, the model in evaluation mode meanwhile."""
        modes = [(module, module.training) for module in self.modules()]
        self.eval()
        try:
            with torch.no_grad():
                output: ClipOutput = self(pixels_BTCHW, tokens=tokens)
                return output
        finally:
            for module, training in modes:
                module.training = training

    def caption_states(self, output: ClipOutput, chosen: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """The Q-Former's answers for chosen queries of each clip, [n, L, E] each; average them over clips by score.

        Raises:
            ValueError: the model has no caption head.
        """
        with torch.no_grad():
            return self._captions().states(output, chosen)

    def describe(self, states_KLE: torch.Tensor) -> list[str]:
        """A caption for each object's answers, always the same for the same answers.

        Raises:
            ValueError: the model has no caption head.
        """
        with torch.no_grad():
            return self._captions().language.generate(states_KLE, self.tokenizer)

    def _captions(self) -> CaptionHead:
        if self.caption_head is None:
            raise ValueError("this model was made without a caption head")
        return self.caption_head

    def _region(self, frames: int) -> Any:
        """Without masks, queries attend to their boxes."""

        def region(queries_BQD: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
            assert self.box_head is not None
            return box_region(self.box_head(queries_BQD, frames), size)

        return region

    def _read(self, queries_BQD: torch.Tensor, masks: torch.Tensor, frames: int) -> ClipOutput:
        return ClipOutput(
            mask_logits_BQThw=masks,
            boxes_BQT4=None if self.box_head is None else self.box_head(queries_BQD, frames),
            class_logits_BQC=None if self.class_head is None else self.class_head(queries_BQD, self._text(queries_BQD)),
            object_logits_BQ2=self.object_head(queries_BQD),
            queries_BQD=queries_BQD,
        )

    def _text(self, like: torch.Tensor) -> torch.Tensor | None:
        if self.config.class_head != "open" or not self.config.classes:
            return None
        return text_embeddings(self.config.text_encoder, self.config.classes).to(like.device)

    def _add_losses(
        self,
        output: ClipOutput,
        queries: list[torch.Tensor],
        masks: list[torch.Tensor],
        targets: Sequence[Target],
        size: tuple[int, int],
        captions: bool,
    ) -> None:
        layers, batch = len(queries), queries[0].shape[0]
        every = self._read(torch.cat(queries), masks[-1], masks[-1].shape[2])

        def by_layer(x: torch.Tensor | None) -> torch.Tensor | None:
            return None if x is None else x.unflatten(0, (layers, batch))

        predictions = LayerOutputs(
            torch.stack(masks) if self.config.mask_head else None,
            by_layer(every.boxes_BQT4),
            by_layer(every.class_logits_BQC),
            self.object_head(torch.stack(queries)),
        )
        criterion = ClipLoss(self.config.losses, self.config.class_counts)
        losses, output.matches = criterion(predictions, targets, size)
        if captions and self.caption_head is not None:
            sentences = [target.captions for target in targets]
            losses["lm"] = self.config.losses["lm"] * self.caption_head.loss(output, sentences, self.tokenizer)
        output.losses = losses
        output.loss = torch.stack([loss.float() for loss in losses.values()]).sum()
