"""Tiny models of real architectures with random weights, in folders as the Hub has them."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import (
    Mask2FormerConfig,
    Mask2FormerForUniversalSegmentation,
    Sam2VideoConfig,
    Sam2VideoModel,
    SamConfig,
    SamModel,
    SwinConfig,
)
from transformers.models.sam2_video.configuration_sam2_video import (
    Sam2VideoMaskDecoderConfig,
    Sam2VideoPromptEncoderConfig,
)


def sam(folder: Path) -> Path:
    """SAM on pictures of 64 pixels."""
    torch.manual_seed(0)
    vision = {
        "hidden_size": 16,
        "output_channels": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 64,
        "patch_size": 8,
        "global_attn_indexes": [1],
        "num_pos_feats": 8,
        "mlp_dim": 16,
        "window_size": 4,
    }
    prompt = {"hidden_size": 16, "image_size": 64, "patch_size": 8, "mask_input_channels": 4, "image_embedding_size": 8}
    decoder = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "mlp_dim": 16,
        "iou_head_hidden_dim": 16,
    }
    config = SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder)
    SamModel(config).save_pretrained(folder)
    return folder


def sam2_video(folder: Path) -> Path:
    """SAM 2's video model on pictures of 64 pixels; its memory wants the released widths."""
    torch.manual_seed(0)
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 8,
        "num_attention_heads": 1,
        "patch_kernel_size": [7, 7],
        "patch_stride": [4, 4],
        "patch_padding": [3, 3],
        "image_size": [64, 64],
        "blocks_per_stage": [1, 2, 2, 1],
        "embed_dim_per_stage": [8, 16, 32, 64],
        "num_attention_heads_per_stage": [1, 1, 2, 4],
        "window_size_per_stage": [8, 4, 4, 4],
        "global_attention_blocks": [4],
        "query_stride": [2, 2],
        "window_positional_embedding_background_size": [7, 7],
    }
    vision = {
        "backbone_config": backbone,
        "backbone_channel_list": [64, 32, 16, 8],
        "fpn_hidden_size": 256,
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        "image_size": 64,
    }
    config = Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config=Sam2VideoPromptEncoderConfig(
            hidden_size=256, image_size=64, patch_size=16, mask_input_channels=4
        ),
        mask_decoder_config=Sam2VideoMaskDecoderConfig(
            hidden_size=256, num_attention_heads=2, num_hidden_layers=2, mlp_dim=16, iou_head_hidden_dim=16
        ),
        image_size=64,
        memory_attention_hidden_size=256,
        memory_attention_rope_feat_sizes=[4, 4],
        memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=16,
    )
    Sam2VideoModel(config).save_pretrained(folder)
    return folder


def mask2former(folder: Path) -> Path:
    """Mask2Former with the classes cat and dog."""
    torch.manual_seed(0)
    swin = SwinConfig(
        image_size=32,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 1, 1],
        window_size=2,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    config = Mask2FormerConfig(
        backbone_config=swin,
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=16,
        dim_feedforward=16,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        num_queries=5,
        id2label={0: "cat", 1: "dog"},
    )
    Mask2FormerForUniversalSegmentation(config).save_pretrained(folder)
    about = {"image_processor_type": "Mask2FormerImageProcessor", "size": {"shortest_edge": 32, "longest_edge": 64}}
    (folder / "preprocessor_config.json").write_text(json.dumps(about))
    return folder
