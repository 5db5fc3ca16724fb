"""The paper's loss of a clip, for all decoder layers at once, without captions.

L decoder layers, B clips, T frames, Q queries, N objects of a clip, K matched pairs of all layers and clips,
P points of a frame, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import distributed
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot

from capgen.maskcaptioner.model.clip import Target
from capgen.maskcaptioner.model.segmentation.boxes import giou, mask_boxes
from capgen.maskcaptioner.model.segmentation.matcher import LayerOutputs, Pairs, match
from capgen.maskcaptioner.model.segmentation.points import points_per_frame, read_logits, read_masks, uncertain_points


@dataclass(frozen=True, slots=True)
class Matched:
    """K matched pairs in the order of their clips, so that each clip's are a slice."""

    layer_K: torch.Tensor
    clip_K: torch.Tensor
    query_K: torch.Tensor
    object_K: torch.Tensor
    counts: list[int]

    @property
    def index(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Of predictions that begin with [L, B, Q]."""
        return self.layer_K, self.clip_K, self.query_K


def _matched(layers: Sequence[Sequence[Pairs]], device: torch.device) -> Matched:
    columns: list[list[torch.Tensor]] = [[], [], [], []]
    counts = []
    for b in range(len(layers[0])):
        for layer, clips in enumerate(layers):
            queries, objects = clips[b]
            for column, value in zip(
                columns, (torch.full_like(queries, layer), torch.full_like(queries, b), queries, objects), strict=True
            ):
                column.append(value)
        counts.append(sum(len(clips[b][0]) for clips in layers))
    layer_K, clip_K, query_K, object_K = (torch.cat(column).to(device) for column in columns)
    return Matched(layer_K, clip_K, query_K, object_K, counts)


def mean_over_processes(counts: torch.Tensor) -> torch.Tensor:
    """The mean of float counts over all processes.

    What sums of losses are divided by: averaging the gradients of all processes then gives every object the weight that
    it has in one process with the whole batch. Every process must call it, also one that has nothing to count.
    """
    total = counts.detach().clone()
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(total)
        total = total / distributed.get_world_size()
    return total


def count_of_all(number: int, device: torch.device) -> torch.Tensor:
    """The mean of a number of objects over all processes, at least 1."""
    return mean_over_processes(torch.tensor(float(number), device=device)).clamp(min=1)


class ClipLoss:
    """Losses of matched queries, weighted, summed over the layers and averaged over the objects.

    Args:
        weights: ``MaskCaptionerConfig.losses``.
        class_counts: how often each class occurs in training; its root weights the draw of federated negatives.

    Source: the paper's losses and weights. Dice is over the points of all frames of a clip. Classes are learnt from
    matched queries only; that there is nothing is what objectness learns. Federated classes: Zhou et al.,
    arXiv 2104.08735, with LVIS' own verified negatives first.
    """

    def __init__(self, weights: Mapping[str, float], class_counts: Sequence[int] | None = None) -> None:
        self.weights = weights
        self.class_counts = class_counts

    def __call__(
        self, outputs: LayerOutputs, targets: Sequence[Target], size: tuple[int, int]
    ) -> tuple[dict[str, torch.Tensor], list[Pairs]]:
        """The losses by name, and the last layer's matches of each clip.

        Args:
            size: (height, width) of the padded picture, pixels.
        """
        boxes = [self._boxes(outputs, target, size) for target in targets]
        layers = match(outputs, targets, boxes, size, self.weights)
        matched = _matched(layers, outputs.objects_LBQ2.device)
        losses = {"obj": self._objectness(outputs.objects_LBQ2, matched)}
        if outputs.masks_LBQThw is not None:
            losses["bce"], losses["dice"] = self._masks(outputs.masks_LBQThw, matched, targets, size)
        if outputs.boxes_LBQT4 is not None:
            losses["l1"], losses["giou"] = self._box_losses(outputs.boxes_LBQT4, matched, targets, boxes)
        if outputs.classes_LBQC is not None:
            losses["cls"] = self._classes(outputs.classes_LBQC, matched, targets)
        return {name: self.weights[name] * loss for name, loss in losses.items()}, layers[-1]

    @staticmethod
    def _boxes(outputs: LayerOutputs, target: Target, size: tuple[int, int]) -> torch.Tensor | None:
        if outputs.boxes_LBQT4 is None or target.boxes_NT4 is not None or target.masks_NTHW is None:
            return target.boxes_NT4
        return mask_boxes(target.masks_NTHW, size)

    def _objectness(self, logits_LBQ2: torch.Tensor, matched: Matched) -> torch.Tensor:
        truth_LBQ = torch.zeros(logits_LBQ2.shape[:3], dtype=torch.long, device=logits_LBQ2.device)
        truth_LBQ[matched.index] = 1
        balance = torch.tensor([self.weights["background"], 1.0], device=logits_LBQ2.device)
        loss = cross_entropy(logits_LBQ2.float().flatten(0, 2), truth_LBQ.flatten(), balance, reduction="none")
        weight = balance[truth_LBQ.flatten()]
        layers = logits_LBQ2.shape[0]
        total = mean_over_processes(weight.view(layers, -1).sum(1))
        return (loss.view(layers, -1).sum(1) / total).sum()

    def _masks(
        self, logits_LBQThw: torch.Tensor, matched: Matched, targets: Sequence[Target], size: tuple[int, int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        with_masks = torch.tensor([target.masks_NTHW is not None for target in targets], device=logits_LBQThw.device)
        keep = with_masks[matched.clip_K]
        index = tuple(axis[keep] for axis in matched.index)
        logits_KThw = logits_LBQThw[index].float()
        number = count_of_all(sum(len(t) for t in targets if t.masks_NTHW is not None), logits_KThw.device)
        if not len(logits_KThw):
            zero = 0.0 * logits_LBQThw.float().mean()
            return zero, zero
        count = points_per_frame(self.weights["points"], logits_KThw.shape[1])
        points = uncertain_points(logits_KThw, count, self.weights["oversample"], self.weights["importance"])
        truth_KR = self._truth(matched, targets, points, size).flatten(1)
        read = read_logits(logits_KThw.flatten(0, 1)[:, None], points.flatten(0, 1))
        logits_KR = read.view(truth_KR.shape)
        bce = binary_cross_entropy_with_logits(logits_KR, truth_KR, reduction="none").mean(1).sum()
        inside = logits_KR.sigmoid()
        dice = 1 - (2 * (inside * truth_KR).sum(1) + 1) / (inside.sum(1) + truth_KR.sum(1) + 1)
        return bce / number, dice.sum() / number

    @staticmethod
    def _truth(
        matched: Matched, targets: Sequence[Target], points: torch.Tensor, size: tuple[int, int]
    ) -> torch.Tensor:
        """The masks of the pairs at their points, [K, T, P]; pairs of clips without masks are left out."""
        objects = matched.object_K.split(matched.counts)
        truth, start = [], 0
        for target, n in zip(targets, objects, strict=True):
            if target.masks_NTHW is not None and len(n):
                truth.append(read_masks(target.masks_NTHW, n, points[start : start + len(n)], size))
                start += len(n)
        return torch.cat(truth)

    @staticmethod
    def _box_losses(
        boxes_LBQT4: torch.Tensor, matched: Matched, targets: Sequence[Target], boxes: Sequence[torch.Tensor | None]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        l1 = giou_loss = 0.0 * boxes_LBQT4.mean()
        objects = matched.object_K.split(matched.counts)
        found = boxes_LBQT4[matched.index].split(matched.counts)
        for target, truth_NT4, n, boxes_KT4 in zip(targets, boxes, objects, found, strict=True):
            if truth_NT4 is None or not len(n):
                continue
            visible = target.visible_NT[n].float()
            weight = visible / visible.sum(1, keepdim=True).clamp(min=1)
            l1 = l1 + ((boxes_KT4 - truth_NT4[n]).abs().sum(-1) * weight).sum()
            giou_loss = giou_loss + ((1 - giou(boxes_KT4, truth_NT4[n])) * weight).sum()
        number = count_of_all(sum(len(target) for target in targets), boxes_LBQT4.device)
        return l1 / number, giou_loss / number

    def _classes(self, logits_LBQC: torch.Tensor, matched: Matched, targets: Sequence[Target]) -> torch.Tensor:
        total = 0.0 * logits_LBQC.float().mean()
        number = count_of_all(sum(int((target.class_ids_N >= 0).sum()) for target in targets), logits_LBQC.device)
        objects = matched.object_K.split(matched.counts)
        found = logits_LBQC[matched.index].float().split(matched.counts)
        for target, n, logits_KC in zip(targets, objects, found, strict=True):
            ids = target.class_ids_N[n]
            known = ids >= 0
            if not known.any():
                continue
            truth_KC = one_hot(ids[known], logits_KC.shape[1]).float()
            loss = binary_cross_entropy_with_logits(logits_KC[known], truth_KC, reduction="none")
            asked = self._asked(target, logits_KC.shape[1], logits_KC.device)
            total = total + (loss * torch.maximum(asked.float(), truth_KC)).sum()
        return total / number

    def _asked(self, target: Target, classes: int, device: torch.device) -> torch.Tensor:
        """The classes that may count as negatives of a clip, bool [C]."""
        wanted = int(self.weights["federated"])
        if target.federated is None or not wanted:
            return torch.ones(classes, dtype=torch.bool, device=device)
        asked = torch.zeros(classes, dtype=torch.bool, device=device)
        here = target.class_ids_N[target.class_ids_N >= 0]
        asked[here] = True
        asked[torch.as_tensor(list(target.federated.negative), dtype=torch.long, device=device)] = True
        barred = torch.as_tensor(list(target.federated.not_exhaustive), dtype=torch.long, device=device)
        draw_weights = torch.ones(classes, device=device)
        if self.class_counts is not None:
            draw_weights = torch.as_tensor(self.class_counts, dtype=torch.float, device=device).clamp(min=1e-3).sqrt()
        draw_weights[asked] = 0
        draw_weights[barred] = 0
        missing = min(wanted - int(asked.sum()), int((draw_weights > 0).sum()))
        if missing > 0:
            asked[draw_weights.multinomial(missing)] = True
        asked[barred] = False
        return asked
