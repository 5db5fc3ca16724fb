"""What is compared: the detections of one video, from the ground truth and from a model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from capgen.dataset.types import Box

if TYPE_CHECKING:
    from capgen.evaluation.reading.similarity import Overlaps

Id = int | str
Iou = Literal["box", "mask"]
CocoRle = dict[str, Any]
Floats = NDArray[np.floating[Any]]


class Detection(msgspec.Struct, frozen=True, gc=False):
    """One object on one frame.

    Args:
        frame: index into the video's frames, in the order of their image ids.
        box: x, y, width, height in pixels; None where the file has none.
        mask: a COCO RLE with ``counts`` as bytes, of the frame's size; None where the file has none.
        pixels: the pixels of the mask, counted once when the file is read; None where they were not.
        area: pixels as the file states them; None where it does not.
        place: the element's number in its file, for messages.
    """

    frame: int
    track: Id
    category: Id | None
    score: float
    caption: str
    box: Box | None = None
    mask: CocoRle | None = None
    area: float | None = None
    crowd: bool = False
    place: int = 0
    pixels: int | None = None


class Blank(msgspec.Struct, frozen=True, gc=False):
    """A track of a track file that is on no frame at all; ``place`` is the element's number in its file."""

    track: Id
    category: Id | None
    score: float
    crowd: bool = False
    caption: str = ""
    place: int = 0


@dataclass(frozen=True, slots=True)
class VideoTracks:
    """The ground truth and the predictions of one video, each in the order of its file.

    Args:
        size: height, width in pixels.
        frames: the image ids, in order.
        blank_truth, blank_predictions: tracks that are on no frame.
        by_track: the ground truth is a track file.
        overlaps: the IoU of the masks, where masks are compared.
    """

    video: Id
    size: tuple[int, int]
    frames: tuple[Id, ...]
    truth: tuple[Detection, ...]
    predictions: tuple[Detection, ...]
    truth_file: str = ""
    prediction_file: str = ""
    blank_truth: tuple[Blank, ...] = ()
    blank_predictions: tuple[Blank, ...] = ()
    by_track: bool = False
    overlaps: Overlaps | None = None


@dataclass(frozen=True, slots=True)
class TruthCategory:
    """A category of the ground truth; ``partition`` is LV-VIS's (0 and 1 base, 2 and 3 novel)."""

    id: Id
    name: str
    partition: int | None = None


@dataclass(slots=True)
class Notes:
    """Things a reader of the numbers must know, each said once."""

    lines: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def say(self, line: str) -> None:
        """Keep a line, once."""
        if line not in self.lines:
            self.lines.append(line)

    def count(self, what: str, number: int = 1) -> None:
        """Add to a count, which ``all`` turns into a line."""
        if number:
            self.counts[what] = self.counts.get(what, 0) + number

    def all(self) -> list[str]:
        """Every line, the counts first."""
        return [f"{number:,} {what}" for what, number in self.counts.items()] + self.lines


def sort_key(value: Id) -> tuple[int, int, str]:
    """Numbers in order, before text in order."""
    return (0, value, "") if isinstance(value, int) else (1, 0, str(value))


def mask_box(mask: CocoRle) -> Box:
    """The tight box of a mask, all zero where it has no pixels."""
    x, y, width, height = coco.toBbox(mask).tolist()
    return x, y, width, height


def detection_area(detection: Detection) -> float:
    """Pixels of the mask, or of the box where there is no mask."""
    if detection.mask is not None:
        return float(coco.area(detection.mask) if detection.pixels is None else detection.pixels)
    return detection.box[2] * detection.box[3] if detection.box else 0.0
