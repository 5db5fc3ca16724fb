from __future__ import annotations

import pytest
import torch
from torch import nn

from capgen.errors import UnknownName, UserError
from capgen.maskcaptioner.settings import OptimizerSettings, ScheduleSettings, StageSettings
from capgen.maskcaptioner.training.optim import freeze, optimizer_of, parameter_groups, place, rate, set_rate


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.segmenter = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout())
        self.caption_head = nn.ModuleDict({"language": nn.Linear(3, 3), "tokens": nn.Embedding(4, 3)})


def learning(model):
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_tuning_the_caption_head_freezes_the_segmenter_and_its_statistics():
    model = Model()
    freeze(model, StageSettings(train=("caption_head",)))
    assert {name.split(".")[0] for name in learning(model)} == {"caption_head"}
    assert not model.segmenter[1].training
    before = model.segmenter[1].running_mean.clone()
    model.segmenter(torch.randn(5, 3))
    assert torch.equal(before, model.segmenter[1].running_mean)


def test_the_next_stage_thaws_what_the_last_one_froze_but_not_what_the_model_did():
    model = Model()
    model.caption_head["language"].requires_grad_(False)
    freeze(model, StageSettings(freeze=("segmenter",)))
    freeze(model, StageSettings())
    assert learning(model) == {n for n, _ in model.named_parameters() if "language" not in n}
    assert model.segmenter[1].training


def test_names_of_modules_are_checked():
    with pytest.raises(UnknownName, match="caption_head"):
        freeze(Model(), StageSettings(freeze=("captionhead",)))
    with pytest.raises(UserError, match="frozen"):
        freeze(Model(), StageSettings(freeze=("segmenter", "caption_head")))


def test_biases_norms_and_embeddings_do_not_decay_and_the_longest_prefix_sets_the_rate():
    model = Model()
    stage = StageSettings(lr=1.0, lr_factors={"caption_head": 0.5, "caption_head.language": 0.1})
    freeze(model, stage)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = parameter_groups(model, stage, OptimizerSettings(weight_decay=0.05))
    found = {names[id(p)]: (g["factor"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert found["segmenter.0.weight"] == (1.0, 0.05)
    assert found["segmenter.0.bias"] == (1.0, 0.0)
    assert found["segmenter.1.weight"] == (1.0, 0.0)
    assert found["caption_head.tokens.weight"] == (0.5, 0.0)
    assert found["caption_head.language.weight"] == (0.1, 0.05)
    optimizer = optimizer_of(model, stage, OptimizerSettings())
    now = set_rate(optimizer, stage, 500)
    assert {round(g["lr"] / now, 6) for g in optimizer.param_groups} == {1.0, 0.5, 0.1}


def test_the_rate_warms_up_and_goes_down():
    cosine = [rate(ScheduleSettings(warmup=10, floor=0.1), step, 100) for step in range(100)]
    assert cosine[:10] == sorted(cosine[:10])
    assert cosine[10] == 1.0
    assert cosine[10:] == sorted(cosine[10:], reverse=True)
    assert cosine[-1] == pytest.approx(0.1, abs=0.01)
    step = ScheduleSettings(name="step", warmup=0, drops=(0.5, 0.75), factor=0.1)
    assert [rate(step, i, 4) for i in range(4)] == pytest.approx([1, 1, 0.1, 0.01])
    assert rate(ScheduleSettings(name="constant", warmup=0), 99, 100) == 1.0


def test_a_step_of_the_whole_is_found_in_its_stage():
    stages = [StageSettings(steps=3), StageSettings(steps=2)]
    assert [place(stages, step) for step in range(6)] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0)]
