"""What learns in a stage, and how fast: freezing, parameter groups, the learning rate's schedule."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from capgen.errors import UnknownName, UserError
from capgen.maskcaptioner.settings import OptimizerSettings, ScheduleSettings, StageSettings

_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._BatchNorm, nn.Embedding)


def freeze(model: nn.Module, stage: StageSettings) -> int:
    """Set what learns in a stage, and frozen modules to evaluation mode; how many parameters learn.

    Args:
        stage: ``freeze`` names modules that do not learn; ``train`` names the only ones that do. A parameter that the
            model itself has frozen for good (``_capgen_frozen``) stays so.

    Raises:
        UnknownName: a name is no module's.
        UserError: nothing would learn.
    """
    known = {name for name, _ in model.named_modules() if name}
    for name in (*stage.freeze, *stage.train, *stage.lr_factors):
        if name not in known:
            raise UnknownName("module of the model", name, (one for one in known if one.count(".") < 2))
    remember_frozen(model)
    model.train()
    learning = 0
    for name, parameter in model.named_parameters():
        wanted = not stage.train or _under(name, stage.train)
        learns = wanted and not _under(name, stage.freeze) and not getattr(parameter, "_capgen_frozen", False)
        parameter.requires_grad_(learns)
        learning += parameter.numel() if learns else 0
    if not learning:
        raise UserError("nothing learns in this stage: every module is frozen", "shorten its freeze")
    for module in model.modules():
        own = list(module.parameters())
        if own and not any(parameter.requires_grad for parameter in own):
            module.eval()
    return learning


def remember_frozen(model: nn.Module) -> None:
    """Mark the parameters that the model froze when it was made, so that no stage thaws them."""
    if getattr(model, "_capgen_remembered", False):
        return
    for parameter in model.parameters():
        parameter._capgen_frozen = not parameter.requires_grad
    model._capgen_remembered = True


def _under(name: str, prefixes: Iterable[str]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def parameter_groups(model: nn.Module, stage: StageSettings, settings: OptimizerSettings) -> list[dict[str, Any]]:
    """AdamW's groups: by multiplier of the learning rate, and by whether they decay; ``factor`` is the multiplier."""
    spared = {
        id(p) for module in model.modules() if isinstance(module, _NORMS) for p in module.parameters(recurse=False)
    }
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decays = parameter.ndim > 1 and id(parameter) not in spared
            groups.setdefault((_factor(name, stage.lr_factors), decays), []).append(parameter)
    return [
        {"params": params, "weight_decay": settings.weight_decay if decays else 0.0, "factor": factor, "lr": stage.lr}
        for (factor, decays), params in groups.items()
    ]


def _factor(name: str, factors: Mapping[str, float]) -> float:
    prefixes = [prefix for prefix in factors if _under(name, (prefix,))]
    return factors[max(prefixes, key=len)] if prefixes else 1.0


def optimizer_of(model: nn.Module, stage: StageSettings, settings: OptimizerSettings) -> torch.optim.Optimizer:
    """AdamW over what learns."""
    return torch.optim.AdamW(parameter_groups(model, stage, settings), lr=stage.lr, betas=settings.betas)


def rate(schedule: ScheduleSettings, step: int, steps: int) -> float:
    """The multiplier of the learning rate at a step, counted from 0, of a stage of ``steps`` steps."""
    warmup = min(schedule.warmup, steps // 2)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if schedule.name == "constant":
        return 1.0
    if schedule.name == "step":
        return float(schedule.factor ** sum(step >= drop * steps for drop in schedule.drops))
    done = (step - warmup) / max(1, steps - warmup)
    return schedule.floor + (1 - schedule.floor) * 0.5 * (1 + math.cos(math.pi * done))


def set_rate(optimizer: torch.optim.Optimizer, stage: StageSettings, step: int) -> float:
    """Give every group its learning rate of this step; the stage's own is returned."""
    now = stage.lr * rate(stage.schedule, step, stage.steps)
    for group in optimizer.param_groups:
        group["lr"] = now * group["factor"]
    return now


def place(stages: Sequence[StageSettings], step: int) -> tuple[int, int]:
    """Which stage a step of the whole training falls into, and which step of that stage it is."""
    for number, stage in enumerate(stages):
        if step < stage.steps:
            return number, step
        step -= stage.steps
    return len(stages), 0
