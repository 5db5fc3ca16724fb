"""Which query answers for which object: one Hungarian assignment a clip and decoder layer, over all frames at once.

L decoder layers, B clips, T frames, Q queries, N objects of a clip, P points of a frame, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch.nn.functional import softplus

from capgen.maskcaptioner.model.clip import Target
from capgen.maskcaptioner.model.segmentation.boxes import giou
from capgen.maskcaptioner.model.segmentation.points import points_per_frame, read_logits, read_masks

Pairs = tuple[torch.Tensor, torch.Tensor]
"""Matched queries and objects, int64, of one length."""


@dataclass(frozen=True, slots=True)
class LayerOutputs:
    """The predictions of all layers that are trained."""

    masks_LBQThw: torch.Tensor | None
    boxes_LBQT4: torch.Tensor | None
    classes_LBQC: torch.Tensor | None
    objects_LBQ2: torch.Tensor


def mask_costs(logits_RP: torch.Tensor, truth_NP: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Binary cross-entropy and dice of every prediction with every object, [R, N] each."""
    logits_RP = logits_RP.float()
    bce = (softplus(logits_RP).sum(1)[:, None] - logits_RP @ truth_NP.T) / logits_RP.shape[1]
    inside = logits_RP.sigmoid()
    dice = 1 - (2 * inside @ truth_NP.T + 1) / (inside.sum(1)[:, None] + truth_NP.sum(1) + 1)
    return bce, dice


def box_costs(
    boxes_RT4: torch.Tensor, truth_NT4: torch.Tensor, visible_NT: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """L1 and 1 - GIoU, averaged over the frames on which the object is visible, [R, N] each."""
    weight = visible_NT.float() / visible_NT.sum(1, keepdim=True).clamp(min=1)
    l1 = ((boxes_RT4[:, None] - truth_NT4).abs().sum(-1) * weight).sum(-1)
    return l1, ((1 - giou(boxes_RT4[:, None], truth_NT4)) * weight).sum(-1)


def _costs(
    outputs: LayerOutputs,
    b: int,
    target: Target,
    truth_NT4: torch.Tensor | None,
    points: tuple[torch.Tensor, torch.Tensor] | None,
    weights: Mapping[str, float],
) -> torch.Tensor:
    """The cost of every pair of one clip, [L, Q, N]."""
    layers, queries = outputs.objects_LBQ2.shape[0], outputs.objects_LBQ2.shape[2]
    cost = -weights["obj"] * outputs.objects_LBQ2[:, b].float().softmax(-1)[..., 1:].expand(-1, -1, len(target))
    if outputs.classes_LBQC is not None:
        known = (target.class_ids_N >= 0).float()
        probabilities = outputs.classes_LBQC[:, b].float().sigmoid()
        cost = cost - weights["cls"] * probabilities[..., target.class_ids_N.clamp(min=0)] * known
    if points is not None and target.masks_NTHW is not None:
        bce, dice = mask_costs(*points)
        cost = cost + (weights["bce"] * bce + weights["dice"] * dice).view(layers, queries, -1)
    if outputs.boxes_LBQT4 is not None and truth_NT4 is not None:
        l1, giou_cost = box_costs(outputs.boxes_LBQT4[:, b].flatten(0, 1), truth_NT4, target.visible_NT)
        cost = cost + (weights["l1"] * l1 + weights["giou"] * giou_cost).view(layers, queries, -1)
    return cost


def _assign(cost_QN: np.ndarray, device: torch.device) -> Pairs:
    rows, columns = linear_sum_assignment(cost_QN)
    return torch.as_tensor(rows, device=device), torch.as_tensor(columns, device=device)


def match(
    outputs: LayerOutputs,
    targets: Sequence[Target],
    boxes: Sequence[torch.Tensor | None],
    size: tuple[int, int],
    weights: Mapping[str, float],
) -> list[list[Pairs]]:
    """For each layer, for each clip: the matched queries and objects; objects beyond the number of queries have none.

    Args:
        boxes: of each target, [N, T, 4] or None.
        size: (height, width) of the padded picture, pixels.
        weights: the losses' weights are those of the costs; costs are not differentiated.
    """
    with torch.no_grad():
        sampled, places = _sample(outputs, targets, weights)
        costs = []
        for b, target in enumerate(targets):
            points = None
            if sampled is not None and places is not None and target.masks_NTHW is not None and len(target):
                n = torch.arange(len(target), device=sampled.device)
                shown = places[b].expand(len(target), -1, -1, -1)
                points = sampled[b], read_masks(target.masks_NTHW, n, shown, size).flatten(1)
            costs.append(_costs(outputs, b, target, boxes[b], points, weights).nan_to_num(1e6, 1e6, -1e6).cpu().numpy())
    device = outputs.objects_LBQ2.device
    return [[_assign(cost[layer], device) for cost in costs] for layer in range(outputs.objects_LBQ2.shape[0])]


def _sample(
    outputs: LayerOutputs, targets: Sequence[Target], weights: Mapping[str, float]
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Logits of each clip at random points, [B, L * Q, T * P], and the points, [B, T, P, 2]."""
    if outputs.masks_LBQThw is None or not any(len(target) for target in targets):
        return None, None
    _, batch, _, frames = outputs.masks_LBQThw.shape[:4]
    count = points_per_frame(weights["points"], frames)
    places = torch.rand(batch, frames, count, 2, device=outputs.masks_LBQThw.device)
    maps = outputs.masks_LBQThw.permute(1, 3, 0, 2, 4, 5).flatten(2, 3).flatten(0, 1)
    read = read_logits(maps.float(), places.flatten(0, 1)).unflatten(0, (batch, frames))
    return read.transpose(1, 2).flatten(2), places
