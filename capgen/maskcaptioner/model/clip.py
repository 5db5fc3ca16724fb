"""What goes into the model with a clip, and what comes out of it.

B clips, T frames, Q queries, N objects of one clip, H W pixels, h w places of a map (stride 4), D width, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from transformers.utils import ModelOutput


@dataclass(frozen=True, slots=True)
class Federated:
    """What is known of a picture's classes where not every object of every class is annotated, as in LVIS.

    Args:
        negative: classes that are verified to be absent.
        not_exhaustive: classes of which some objects may be missing; never a negative.
    """

    negative: Sequence[int] = ()
    not_exhaustive: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """The truth about one clip.

    Args:
        masks_NTHW: bool, all False where the object is not visible. Smaller than the padded picture means: the rest is
            background. None where the data has boxes only.
        boxes_NT4: (centre x, centre y, width, height) in 0..1 of the *padded* picture; None = tight on the masks.
        visible_NT: bool, the frames on which the object is; boxes are not compared elsewhere.
        class_ids_N: int64 rows of the class head, -1 = unknown.
        captions: one an object; None = no caption, and no caption loss.
        federated: None = every object of every class is annotated.
        size: (height, width) of the picture without padding, pixels.
    """

    masks_NTHW: torch.Tensor | None
    boxes_NT4: torch.Tensor | None
    visible_NT: torch.Tensor
    class_ids_N: torch.Tensor
    captions: Sequence[str | None] = field(default=())
    federated: Federated | None = None
    size: tuple[int, int] | None = None

    def __len__(self) -> int:
        return int(self.visible_NT.shape[0])

    def to(self, device: torch.device) -> Target:
        """The same target on another device."""
        return replace(
            self,
            masks_NTHW=None if self.masks_NTHW is None else self.masks_NTHW.to(device),
            boxes_NT4=None if self.boxes_NT4 is None else self.boxes_NT4.to(device),
            visible_NT=self.visible_NT.to(device),
            class_ids_N=self.class_ids_N.to(device),
        )


@dataclass
class ClipOutput(ModelOutput):  # type: ignore[misc]
    """What the model says about B clips.

    Args:
        loss: scalar, the sum of ``losses``; None without targets.
        losses: weighted and summed over the decoder's layers: dice, bce, l1, giou, cls, obj, lm.
        mask_logits_BQThw: stride 4; where there is no mask head, made of the boxes.
        boxes_BQT4: (centre x, centre y, width, height) in 0..1 of the padded picture, or None.
        class_logits_BQC: each class its own sigmoid; None without classes.
        object_logits_BQ2: no object, object.
        queries_BQD: after the decoder's norm; the one query that every head, the tracker and the captions use.
        tokens_BMD: what the caption head may attend to, None without one; M = T * rows * columns of ``token_grid``.
        token_grid: (T, rows, columns).
        matches: for each clip the matched (queries, objects) of the last layer; None without targets.
    """

    loss: torch.Tensor | None = None
    losses: dict[str, torch.Tensor] | None = None
    mask_logits_BQThw: torch.Tensor | None = None
    boxes_BQT4: torch.Tensor | None = None
    class_logits_BQC: torch.Tensor | None = None
    object_logits_BQ2: torch.Tensor | None = None
    queries_BQD: torch.Tensor | None = None
    tokens_BMD: torch.Tensor | None = None
    token_grid: tuple[int, int, int] | None = None
    matches: list[tuple[torch.Tensor, torch.Tensor]] | None = None

    @property
    def scores_BQ(self) -> torch.Tensor:  # noqa: N802
        """Confidence in 0..1: the root of objectness times the best class's probability (paper, section 3)."""
        if self.object_logits_BQ2 is None:
            raise ValueError("an output without objectness has no scores")
        objectness = self.object_logits_BQ2.float().softmax(-1)[..., 1]
        if self.class_logits_BQC is None:
            return objectness
        return (objectness * self.class_logits_BQC.float().sigmoid().amax(-1)).sqrt()
