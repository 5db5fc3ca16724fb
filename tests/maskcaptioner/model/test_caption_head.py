from __future__ import annotations

import pytest
import torch
from transformers import Blip2QFormerConfig

from capgen.maskcaptioner.model.captioning.geometry import mask_geometry
from capgen.maskcaptioner.model.captioning.qformer import QFormer
from capgen.maskcaptioner.model.captioning.tokenizer import word_tokenizer
from capgen.maskcaptioner.model.captioning.visual_tokens import on_grid, visible_tokens
from capgen.maskcaptioner.model.clip import ClipOutput
from tests.maskcaptioner.tinymodel import CAPTION, CAPTIONS, FLOAT32, clip, target, tiny_model

GRID = (2, 8, 12)


def _logits(boxes: list[tuple[int, int, int, int]]) -> torch.Tensor:
    """Mask logits [1, N, 2, 16, 24] that are inside (top, bottom, left, right), places of stride 4, on both frames."""
    logits = torch.full((1, len(boxes), 2, 16, 24), -5.0)
    for n, (top, bottom, left, right) in enumerate(boxes):
        logits[:, n, :, top:bottom, left:right] = 5.0
    return logits


def _inside(boxes: list[tuple[int, int, int, int]]) -> torch.Tensor:
    """The tokens of stride 8 under them, in the order (frame, row, column), made by hand."""
    inside = torch.zeros(1, len(boxes), *GRID, dtype=torch.bool)
    for n, (top, bottom, left, right) in enumerate(boxes):
        inside[:, n, :, top // 2 : bottom // 2, left // 2 : right // 2] = True
    return inside.flatten(2)


BOXES = [(4, 10, 2, 12), (0, 4, 16, 24)]


def test_attention_outside_the_predicted_mask_is_exactly_zero_and_inside_it_is_not():
    head = tiny_model().caption_head
    queries, visible = head.inputs(torch.randn(1, 2, 32), _logits(BOXES), GRID)
    inside = _inside(BOXES)
    assert torch.equal(visible, inside)
    tokens = torch.randn(1, inside.shape[-1], 32, requires_grad=True)
    states = head.qformer(queries, tokens, visible)
    for n in range(2):
        # a weight of exactly 0 gives a gradient of exactly 0, whatever the order of sums
        (gradient,) = torch.autograd.grad(states[0, n].square().sum(), tokens, retain_graph=True)
        assert (gradient[0, ~inside[0, n]] == 0).all()
        assert (gradient[0, inside[0, n]] != 0).any(-1).all()


def test_what_lies_outside_the_mask_changes_nothing_and_what_lies_inside_does():
    head = tiny_model().caption_head
    tokens = torch.randn(1, _inside(BOXES).shape[-1], 32)
    queries, visible = head.inputs(torch.randn(1, 2, 32), _logits(BOXES), GRID)
    before = head.qformer(queries, tokens, visible)
    outside_first = ~_inside(BOXES)[0, 0]
    changed = torch.where(outside_first[:, None], torch.full_like(tokens, 1e3), tokens)
    after = head.qformer(queries, changed, visible)
    torch.testing.assert_close(before[:, 0], after[:, 0], **FLOAT32)
    assert not torch.allclose(before[:, 1], after[:, 1])
    touched = tokens + 1.0 * ~outside_first[:, None] * torch.randn(32)
    assert not torch.allclose(before[:, 0], head.qformer(queries, touched, visible)[:, 0])


@pytest.mark.parametrize("corner", [(0, 0), (7, 11)])
def test_no_token_is_shifted(corner):
    """The first and the last token are seen where the mask is on just their corner of the picture."""
    row, column = corner
    logits = _logits([(2 * row, 2 * row + 2, 2 * column, 2 * column + 2)])
    logits[:, :, 1] = -5
    visible = visible_tokens(on_grid(logits, GRID), "right")
    assert visible.flatten().nonzero().flatten().tolist() == [row * 12 + column]


def test_inverted_and_absent_masks_are_what_they_say():
    logits = on_grid(_logits(BOXES), GRID)
    assert torch.equal(visible_tokens(logits, "inverted"), ~_inside(BOXES))
    assert visible_tokens(logits, "absent").all()


def test_an_empty_mask_falls_back_to_its_likeliest_token():
    logits = torch.full((1, 1, 10), -3.0)
    logits[..., 7] = -1.0
    assert visible_tokens(logits, "right").flatten().nonzero().item() == 7
    assert visible_tokens(-logits, "inverted").flatten().nonzero().item() == 7


def test_the_qformer_computes_what_blip2s_does():
    torch.manual_seed(0)
    config = Blip2QFormerConfig(
        hidden_size=32, encoder_hidden_size=24, num_hidden_layers=3, num_attention_heads=4, intermediate_size=48
    )
    ours = QFormer(config).eval()
    for parameter in ours.parameters():
        parameter.data.add_(0.2 * torch.randn_like(parameter))
    queries, tokens = torch.randn(2, 3, 5, 32), torch.randn(2, 11, 24)
    allowed = torch.rand(2, 3, 11) > 0.5
    allowed[..., 0] = True
    with torch.no_grad():
        expected = ours.blip2(
            query_embeds=queries.flatten(0, 1),
            encoder_hidden_states=tokens.repeat_interleave(3, 0),
            encoder_attention_mask=allowed.flatten(0, 1).long(),
        ).last_hidden_state
        found = ours(queries, tokens, allowed).flatten(0, 1)
    torch.testing.assert_close(found, expected, **FLOAT32)


def test_objects_of_a_batch_do_not_change_each_others_answers():
    model = tiny_model()
    output = model.detect(clip(2))
    together = model.caption_states(output, [torch.tensor([0, 1, 2]), torch.tensor([4])])
    alone = model.caption_states(output, [torch.tensor([1]), torch.tensor([], dtype=torch.long)])
    torch.testing.assert_close(together[0][1:2], alone[0], **FLOAT32)
    assert alone[1].shape == (0, 4, 32)


def test_the_same_clip_always_gets_the_same_caption():
    model = tiny_model()
    chosen = [torch.arange(6)]
    first, second = (model.describe(model.caption_states(model.detect(clip()), chosen)[0]) for _ in range(2))
    assert first == second
    assert len(first) == 6
    assert model.describe(torch.zeros(0, 4, 32)) == []


def test_captions_learnt_by_heart_come_back_with_punctuation_in_place():
    model = tiny_model().train()
    optimizer = torch.optim.AdamW(model.caption_head.parameters(), lr=5e-3)
    states = torch.randn(3, 4, 32)
    for _ in range(60):
        loss = model.caption_head.language.losses(states, CAPTIONS, model.tokenizer).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert model.eval().describe(states) == CAPTIONS


@pytest.mark.parametrize("detach", [False, True])
def test_the_caption_loss_reaches_the_segmenter_unless_detached(detach):
    model = tiny_model(caption={**CAPTION, "detach": detach}).train()
    output = model(clip(), targets=[target()])
    output.losses["lm"].backward()
    assert all(
        (p.grad is None or not p.grad.any()) == detach
        for p in [model.segmenter.mask2former.transformer_module.queries_features.weight]
    )


def test_a_frozen_language_model_gets_no_gradient_and_lets_it_through(tmp_path):
    model = tiny_model(caption={**CAPTION, "freeze_language_model": True, "frozen_dtype": "bfloat16"}).train()
    model(clip(), targets=[target()]).losses["lm"].backward()
    causal = model.caption_head.language.causal
    assert all(p.grad is None and p.dtype == torch.bfloat16 for p in causal.parameters())
    assert model.caption_head.learned_LE.grad.abs().sum() > 0
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path)
    assert {p.dtype for p in again.caption_head.language.causal.parameters()} == {torch.bfloat16}
    assert not any(p.requires_grad for p in again.caption_head.language.causal.parameters())
    assert {p.dtype for p in again.segmenter.parameters()} == {torch.float32}
    before, after = model.state_dict(), again.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_vision_tower_keeps_its_patches_in_place(tmp_path):
    vision = {
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 56,
    }
    model = tiny_model(caption={**CAPTION, "vision": vision, "vision_side": 84})
    output = model.detect(clip())
    assert output.token_grid == (2, 6, 6)
    assert output.tokens_BMD.shape == (1, 72, 32)
    states = model.caption_states(output, [torch.tensor([2])])
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path).eval()
    found = again.caption_states(again.detect(clip()), [torch.tensor([2])])[0]
    torch.testing.assert_close(found, states[0], **FLOAT32)


def test_captions_need_tokens():
    model = tiny_model()
    with pytest.raises(ValueError, match="tokens"):
        model.caption_states(model.detect(clip(), tokens=False), [torch.tensor([0])])
    with pytest.raises(ValueError, match="caption head"):
        tiny_model(caption=None).describe(torch.zeros(1, 4, 32))


def test_geometry_tells_direction_and_growth():
    logits = torch.full((1, 3, 3, 16, 24), -5.0)
    for t in range(3):
        logits[0, 0, t, 4:8, 2 + 6 * t : 6 + 6 * t] = 5
        logits[0, 1, t, 8 - 2 * t : 9 + 2 * t, 8 - 2 * t : 9 + 2 * t] = 5
    right, growing, nothing = mask_geometry(logits)[0]
    assert right[8] == pytest.approx(50 * 6 / 24, abs=1e-3)  # centre x moves 6 of 24 places a frame
    assert right[9] == pytest.approx(0, abs=1e-3)
    assert growing[13] > 0.5
    assert growing[8] == pytest.approx(0, abs=1e-3)
    assert not nothing.any()


def test_a_tokenizer_gives_captions_back():
    tokenizer = word_tokenizer(CAPTIONS)
    for caption in CAPTIONS:
        ids = tokenizer(caption, add_special_tokens=False).input_ids
        assert tokenizer.decode(ids, skip_special_tokens=True).strip() == caption
        assert tokenizer.unk_token_id not in ids
    assert {tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id} == {
        0,
        1,
        2,
        3,
    }


def test_the_output_without_objectness_has_no_scores():
    with pytest.raises(ValueError, match="objectness"):
        _ = ClipOutput().scores_BQ
