"""Segmentation models of transformers by name or folder: what they find on one picture.

``mask generation`` (SAM, SAM 2 and their kin) is asked at a grid of points; masks that it is not sure of, that are not
stable (Kirillov et al., Segment Anything, arXiv:2304.02643) or that repeat a better one are left out. ``instance
segmentation`` (Mask2Former, MaskFormer and others) gives objects with categories. No code of a model's folder is run,
and weights are safetensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from capgen.errors import UserError, first_line
from capgen.images import Pixels

_STABLE_OFFSET, _OVERLAP = 1.0, 0.7
_POINTS_AT_ONCE = 64
_MEAN, _STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@dataclass(frozen=True, slots=True)
class FoundMask:
    """An object on a picture: its bitmap, bool [H, W], a score from 0 to 1, and its category where there is one."""

    bitmap: NDArray[np.bool_]
    score: float
    category: str | None = None


class PictureSegmenter(Protocol):
    """A model that finds the objects of one picture, uint8 RGB [H, W, 3]."""

    def __call__(self, pixels: Pixels) -> list[FoundMask]: ...  # noqa: D102


def open_segmenter(
    name: str, *, threshold: float | None, points: int, device: str, stability: float = 0.9
) -> PictureSegmenter:
    """A model of transformers.

    Args:
        threshold: the least score; None for 0.5 (instances) and 0.88 (mask generation).
        stability: least IoU of a mask's areas above and below its border's logit by 1, in mask generation.
        points: along each side of the grid at which mask generation asks.

    Raises:
        UserError: there is no such model, or it is of no kind that finds masks by itself.
    """
    import transformers
    from transformers.models.auto import modeling_auto as auto

    config = _opened(name, transformers.AutoConfig)
    kind = config.model_type
    if kind in auto.MODEL_FOR_MASK_GENERATION_MAPPING_NAMES:
        model = _opened(name, transformers.AutoModelForMaskGeneration, use_safetensors=True).eval().to(device)
        return MaskGenerator(model, 0.88 if threshold is None else threshold, points, device, stability)
    for mapping, loader in (
        (auto.MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING_NAMES, transformers.AutoModelForUniversalSegmentation),
        (auto.MODEL_FOR_INSTANCE_SEGMENTATION_MAPPING_NAMES, transformers.AutoModelForInstanceSegmentation),
    ):
        if kind in mapping:
            processor = _opened(name, transformers.AutoImageProcessor)
            if not hasattr(processor, "post_process_instance_segmentation"):
                break
            model = _opened(name, loader, use_safetensors=True).eval().to(device)
            return InstanceSegmenter(model, processor, 0.5 if threshold is None else threshold, device)
    raise UserError(
        f"--model {name} is a {kind} model, which finds no masks by itself",
        "give a mask-generation (SAM, SAM 2) or instance-segmentation (Mask2Former) model, or sample",
    )


def open_sam2(name: str, device: str) -> Any:
    """SAM 2's video model of a name or folder; None where it is no checkpoint of that model.

    Raises:
        UserError: there is no such model.
    """
    import transformers

    if _opened(name, transformers.AutoConfig).model_type != "sam2_video":
        return None
    return _opened(name, transformers.Sam2VideoModel, use_safetensors=True).eval().to(device)


def _opened(name: str, loader: Any, **more: Any) -> Any:
    try:
        return loader.from_pretrained(name, trust_remote_code=False, **more)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise UserError(
            f"--model {name} cannot be opened: {first_line(error)}", "check the name or the folder"
        ) from error


@dataclass(frozen=True, slots=True)
class InstanceSegmenter:
    """Objects with categories; stuff has none of its own and does not come."""

    model: Any
    processor: Any
    threshold: float
    device: str

    def __call__(self, pixels: Pixels) -> list[FoundMask]:
        """The objects, the surest first."""
        import torch

        inputs = self.processor(images=[pixels], return_tensors="pt").to(self.device)
        with torch.no_grad():
            outputs = self.model(**inputs)
        (found,) = self.processor.post_process_instance_segmentation(
            outputs, threshold=self.threshold, target_sizes=[pixels.shape[:2]], return_binary_maps=True
        )
        if found["segmentation"] is None or not found["segments_info"]:
            return []
        maps = np.asarray(found["segmentation"].cpu()) > 0
        names = self.model.config.id2label
        masks = [
            FoundMask(bitmap, float(about["score"]), names.get(about["label_id"]))
            for bitmap, about in zip(maps, found["segments_info"], strict=True)
            if bitmap.any()
        ]
        return without_repeats(masks)


@dataclass(frozen=True, slots=True)
class MaskGenerator:
    """Everything that a promptable model finds at a grid of points; no categories."""

    model: Any
    threshold: float
    points: int
    device: str
    stability: float = 0.9

    def __call__(self, pixels: Pixels) -> list[FoundMask]:
        """The objects, the surest first."""
        import torch

        height, width = pixels.shape[:2]
        side = self.side
        scale = side / max(height, width)
        inputs = model_picture(pixels, side)
        steps = (np.arange(self.points) + 0.5) / self.points
        grid = np.stack(np.meshgrid(steps * width * scale, steps * height * scale), axis=-1).reshape(-1, 1, 2)
        found: list[FoundMask] = []
        with torch.no_grad():
            for start in range(0, len(grid), _POINTS_AT_ONCE):
                asked = torch.as_tensor(grid[None, start : start + _POINTS_AT_ONCE], dtype=torch.float32)
                labels = torch.ones(asked.shape[:3], dtype=torch.int32)
                outputs = self.model(
                    pixel_values=torch.as_tensor(inputs).to(self.device),
                    input_points=asked.to(self.device),
                    input_labels=labels.to(self.device),
                    multimask_output=True,
                )
                found += self._kept(outputs, height, width)
        return without_repeats(found)

    @property
    def side(self) -> int:
        """The side of the square picture that the model takes, pixels."""
        size = self.model.config.vision_config.image_size
        return int(size if isinstance(size, int) else size[0])

    def _kept(self, outputs: Any, height: int, width: int) -> Iterator[FoundMask]:
        logits = outputs.pred_masks[0].flatten(0, 1).float().cpu().numpy()
        scores = outputs.iou_scores[0].flatten().float().cpu().numpy()
        for one, score in zip(logits, scores, strict=True):
            if score < self.threshold:
                continue
            full = unpadded(one, height, width)
            bitmap, strict, loose = full > 0, full > _STABLE_OFFSET, full > -_STABLE_OFFSET
            if bitmap.any() and strict.sum() >= self.stability * loose.sum():
                yield FoundMask(bitmap, float(min(1.0, max(0.0, score))))


def model_picture(pixels: Pixels, side: int) -> NDArray[np.float32]:
    """A picture as SAM's family takes it: its longer side ``side`` pixels, padded to a square; float32 [1, 3, S, S]."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR).astype(np.float32)
    padded = np.zeros((side, side, 3), np.float32)
    padded[: size[1], : size[0]] = (small - np.asarray(_MEAN, np.float32)) / np.asarray(_STD, np.float32)
    return np.ascontiguousarray(padded.transpose(2, 0, 1))[None]


def unpadded(logits: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Logits [s, s] over the padded square as logits [H, W] over the picture."""
    longest = max(height, width)
    full = cv2.resize(logits, (longest, longest), interpolation=cv2.INTER_LINEAR)
    return np.asarray(full[:height, :width], dtype=np.float32)


def without_repeats(masks: Sequence[FoundMask]) -> list[FoundMask]:
    """The masks, the surest first, without those that overlap a surer one by an IoU of more than 0.7."""
    kept: list[FoundMask] = []
    for one in sorted(masks, key=lambda mask: -mask.score):
        if all(overlap(one.bitmap, other.bitmap) <= _OVERLAP for other in kept):
            kept.append(one)
    return kept


def overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Intersection over union of two bitmaps [H, W]; 0 where both are empty."""
    union = int(np.count_nonzero(a | b))
    return int(np.count_nonzero(a & b)) / union if union else 0.0
