from __future__ import annotations

import pytest
import torch
from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation

from capgen.errors import UserError
from capgen.maskcaptioner.model.captioning.tokenizer import word_tokenizer
from capgen.maskcaptioner.model.maskcaptioner import MaskCaptioner, Target
from tests.maskcaptioner.tinymodel import CAPTIONS, FLOAT32, SEGMENTER, clip, target, tiny_config, tiny_model


@pytest.mark.parametrize("feature_size", [32, 64])  # unlike the decoder's width: transformers projects them
def test_a_saved_model_has_the_very_weights_and_says_the_same_when_loaded(tmp_path, feature_size):
    model = tiny_model(box_head=True, segmenter=SEGMENTER | {"feature_size": feature_size})
    model.save_pretrained(tmp_path)
    again = MaskCaptioner.from_pretrained(tmp_path).eval()
    assert (tmp_path / "model.safetensors").is_file()
    weights = again.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    ours, theirs = model.detect(clip(2)), again.detect(clip(2))
    for name in (
        "mask_logits_BQThw",
        "boxes_BQT4",
        "class_logits_BQC",
        "object_logits_BQ2",
        "queries_BQD",
        "tokens_BMD",
    ):
        torch.testing.assert_close(ours[name], theirs[name], **FLOAT32)
    chosen = [torch.tensor([0, 3]), torch.tensor([1])]
    first, second = model.caption_states(ours, chosen), again.caption_states(theirs, chosen)
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(a, b, **FLOAT32)
    assert model.describe(torch.cat(first)) == again.describe(torch.cat(second))


def test_a_model_without_its_tokenizer_says_what_is_missing(tmp_path):
    tiny_model().save_pretrained(tmp_path)
    for file in tmp_path.glob("token*"):
        file.unlink()
    with pytest.raises(UserError, match="tokenizer"):
        MaskCaptioner.from_pretrained(tmp_path)


@pytest.mark.parametrize("pre_norm", [False, True])
def test_any_mask2former_loads_by_name_and_images_give_its_own_masks(tmp_path, pre_norm):
    torch.manual_seed(0)
    theirs = Mask2FormerForUniversalSegmentation(Mask2FormerConfig(**SEGMENTER, pre_norm=pre_norm)).eval()
    for parameter in theirs.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    theirs.save_pretrained(tmp_path)
    ours = MaskCaptioner.create(tiny_config(segmenter={}), word_tokenizer(CAPTIONS), segmenter=str(tmp_path)).eval()
    pixels = clip(2, 1)
    with torch.no_grad():
        expected = theirs(pixels[:, 0], output_hidden_states=True)
    found = ours.detect(pixels)
    torch.testing.assert_close(found.mask_logits_BQThw[:, :, 0], expected.masks_queries_logits, atol=1e-4, rtol=1e-4)
    norm = theirs.model.transformer_module.decoder.layernorm
    expected_queries = norm(expected.transformer_decoder_last_hidden_state)
    torch.testing.assert_close(found.queries_BQD, expected_queries, atol=1e-4, rtol=1e-4)


def test_a_segmenter_of_another_kind_is_refused(tmp_path):
    tiny_model().config.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="segmenter"):
        MaskCaptioner.create(tiny_config(), word_tokenizer(CAPTIONS), segmenter=str(tmp_path))


def test_queries_are_joint_over_the_frames_of_a_clip():
    model = tiny_model()
    pixels = clip(1, 3)
    changed = pixels.clone()
    changed[:, 2] += 1
    before, after = model.detect(pixels), model.detect(changed)
    assert before.mask_logits_BQThw.shape == (1, 6, 3, 16, 24)
    assert not torch.allclose(before.mask_logits_BQThw[:, :, 0], after.mask_logits_BQThw[:, :, 0])


def test_the_order_of_frames_matters():
    model = tiny_model()
    forwards, backwards = model.detect(clip(1, 3)), model.detect(clip(1, 3).flip(1))
    assert not torch.allclose(forwards.queries_BQD, backwards.queries_BQD, atol=1e-4)


@pytest.mark.parametrize("heads", [{"box_head": True}, {"box_head": True, "mask_head": False}, {}])
def test_every_loss_of_the_heads_reaches_the_weights(heads):
    model = tiny_model(**heads).train()
    output = model(clip(2), targets=[target(), target(captions=("An orange star.",))])
    expected = {"obj", "cls", "lm"}
    expected |= {"bce", "dice"} if heads.get("mask_head", True) else set()
    expected |= {"l1", "giou"} if heads.get("box_head") else set()
    assert set(output.losses) == expected
    torch.testing.assert_close(output.loss, sum(output.losses.values()))
    output.loss.backward()
    silent = {name for name, p in model.named_parameters() if p.requires_grad and p.grad is None}
    # without masks nothing needs the mask embedding, nor the maps that only it reads
    assert all("mask" in name or "layer_1" in name or "adapter_1" in name for name in silent), silent
    assert heads.get("mask_head", True) is False or not silent


def test_boxes_differ_by_frame():
    boxes = tiny_model(box_head=True).detect(clip(1, 3)).boxes_BQT4
    assert boxes.shape == (1, 6, 3, 4)
    assert not torch.allclose(boxes[:, :, 0], boxes[:, :, 2])


def test_a_batch_without_objects_teaches_objectness_only():
    model = tiny_model(box_head=True).train()
    nothing = target(captions=())
    output = model(clip(2), targets=[nothing, nothing])
    assert {name for name, loss in output.losses.items() if loss != 0} == {"obj"}
    output.loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.caption_head.qformer.parameters())


def test_objects_without_caption_train_masks_only():
    model = tiny_model().train()
    output = model(clip(), targets=[target(captions=(None, ""))])
    assert output.losses["lm"] == 0
    assert output.losses["dice"] > 0


def test_boxes_alone_can_be_the_truth():
    model = tiny_model(box_head=True).train()
    boxes = torch.full((2, 2, 4), 0.3)
    mixed = [target(masks_NTHW=None, boxes_NT4=boxes), target()]
    alone = model(clip(2), targets=[mixed[0], target(captions=())])
    assert alone.losses["bce"] == 0
    assert alone.losses["l1"] > 0
    assert model(clip(2), targets=mixed).loss.isfinite()


def test_more_objects_than_queries_are_trained_as_far_as_queries_go():
    model = tiny_model().train()
    output = model(clip(), targets=[target(captions=("A large red cup.",) * 9)])
    assert len(output.matches[0][0]) == 6
    assert output.loss.isfinite()


def test_the_query_is_the_same_in_training_and_at_inference():
    model = tiny_model()
    trained = model(clip(), targets=[target()])
    found = model.detect(clip())
    torch.testing.assert_close(trained.queries_BQD, found.queries_BQD, **FLOAT32)
    torch.testing.assert_close(trained.tokens_BMD, found.tokens_BMD, **FLOAT32)


def test_detection_leaves_every_module_in_its_mode():
    model = tiny_model().train()
    model.segmenter.mask2former.pixel_level_module.encoder.eval()
    before = [module.training for module in model.modules()]
    model.detect(clip())
    assert [module.training for module in model.modules()] == before


def test_a_small_model_learns_one_clip():
    model = tiny_model().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    torch.manual_seed(0)
    losses = []
    for _ in range(40):
        output = model(clip(), targets=[target()])
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        losses.append({name: loss.item() for name, loss in output.losses.items()})
    for name in ("bce", "dice", "cls", "lm"):
        assert losses[-1][name] < 0.7 * losses[0][name], (name, losses[0][name], losses[-1][name])


def test_gradient_checkpointing_changes_nothing():
    plain, saving = tiny_model().train(), tiny_model().train()
    saving.gradient_checkpointing_enable()
    assert saving.segmenter.gradient_checkpointing
    grads = []
    for model in (plain, saving):
        torch.manual_seed(1)
        loss = model(clip(), targets=[target()]).loss
        loss.backward()
        grads.append(model.segmenter.mask2former.transformer_module.queries_features.weight.grad)
    torch.testing.assert_close(grads[0], grads[1], **FLOAT32)


def test_a_target_knows_its_length():
    assert isinstance(target(), Target)
    assert len(target()) == 2


def test_classes_start_out_unlikely_so_that_masks_are_not_drowned():
    assert tiny_model().detect(clip()).class_logits_BQC.sigmoid().mean().item() == pytest.approx(0.05, abs=0.02)


def test_projections_to_another_width_come_along_with_a_segmenter(tmp_path):
    start = tiny_model(segmenter=SEGMENTER | {"feature_size": 64})
    start.segmenter.mask2former.save_pretrained(tmp_path)
    again = MaskCaptioner.create(tiny_config(segmenter={}), word_tokenizer(CAPTIONS), segmenter=str(tmp_path))
    ours, theirs = (model.segmenter.mask2former.state_dict() for model in (start, again))
    assert any("input_projections" in name for name in ours)
    assert all(torch.equal(weight, theirs[name]) for name, weight in ours.items())
