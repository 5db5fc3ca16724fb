from __future__ import annotations

import pytest
import torch
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from capgen.errors import UnknownName, UserError
from capgen.maskcaptioner.model.captioning.tokenizer import word_tokenizer
from capgen.maskcaptioner.model.maskcaptioner import MaskCaptioner
from capgen.maskcaptioner.model.presets import preset
from capgen.maskcaptioner.model.segmentation import classes
from tests.maskcaptioner.tinymodel import CAPTIONS, clip, target, tiny_config, tiny_model
from tests.tiny_models import character_tokenizer


@pytest.fixture(scope="module")
def text_encoder(tmp_path_factory) -> str:
    """A random CLIP text model with its tokenizer."""
    folder = tmp_path_factory.mktemp("clip")
    tokenizer = character_tokenizer(["<pad>"], "<pad>")
    tokenizer.model_max_length = 64
    end = tokenizer.eos_token_id
    torch.manual_seed(0)
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        projection_dim=12,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=64,
        eos_token_id=end,
        bos_token_id=end,
        pad_token_id=end,
    )
    CLIPTextModelWithProjection(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def test_an_open_class_head_takes_any_names(text_encoder, tmp_path):
    model = tiny_model(class_head="open", text_encoder=text_encoder)
    assert model.config.text_width == 12
    assert model.detect(clip()).class_logits_BQC.shape == (1, 6, 3)
    assert model(clip(), targets=[target()]).losses["cls"] > 0
    assert not any("text" in name for name in model.state_dict())
    model.save_pretrained(tmp_path)
    again = MaskCaptioner.from_pretrained(tmp_path).eval()
    before = model.detect(clip()).class_logits_BQC
    again.config.classes = ["star", "rocket", "cup", "hot_air_balloon"]
    after = again.detect(clip()).class_logits_BQC
    torch.testing.assert_close(after[..., [2, 0, 3]], before)


def test_embeddings_are_unit_vectors_computed_once(text_encoder):
    first = classes.text_embeddings(text_encoder, ["cup", "pine_tree"])
    torch.testing.assert_close(first.norm(dim=-1), torch.ones(2))
    assert classes.text_embeddings(text_encoder, ["cup", "pine_tree"]) is first


def test_a_missing_text_encoder_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        classes.text_width(str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="text_encoder"):
        tiny_model(class_head="open")


@pytest.mark.parametrize("change", [{"class_head": "softmax"}, {"object_mask": "off"}, {"losses": {"mask": 1}}])
def test_unknown_settings_are_named(change):
    with pytest.raises(UnknownName):
        tiny_config(**change)
    with pytest.raises(UnknownName):
        preset("huge")


def test_a_model_without_any_head_is_refused():
    with pytest.raises(ValueError, match="predicts nothing"):
        tiny_config(mask_head=False)


def test_the_sample_preset_fits_into_the_package():
    model = MaskCaptioner.create(preset("sample", classes=["cup"] * 20), word_tokenizer(CAPTIONS))
    assert sum(p.numel() for p in model.parameters()) * 4 < 20e6
    assert preset("sample", clip_frames=5).clip_frames == 5
    assert preset("sample", clip_frames=5).losses == preset("sample").losses


def test_the_base_preset_is_the_papers():
    config = preset("base")
    assert config.segmenter["backbone_config"]["depths"] == [2, 2, 18, 2]
    assert config.losses["points"] == 12544
    assert [config.losses[name] for name in ("dice", "bce", "l1", "giou", "cls", "obj", "lm")] == [5, 5, 5, 2, 2, 2, 1]
