"""What the model finds: one object through a video. An image is a video of one frame."""

from __future__ import annotations

from dataclasses import dataclass

from capgen.dataset.row import Rle
from capgen.dataset.types import Box


@dataclass(frozen=True, slots=True)
class Track:
    """One object on the frames where the model saw it.

    Args:
        track_id: from 1, in order of appearance; unique within a video.
        category_id: a row of the class head, or None where the class is open or unknown.
        category: that row's name.
        score: confidence in 0..1, over the whole video.
        caption: None where no caption head ran.
        caption_category: the class that the caption names where that is another than ``category``.
        frames: indices of frames as they were pushed, from 0, ascending, each once.
        boxes: one a frame: (x, y, width, height) in pixels of the original picture.
        masks: one a frame, of the original picture's size; None where the model has boxes only.
    """

    track_id: int
    category_id: int | None
    category: str | None
    score: float
    caption: str | None
    frames: list[int]
    boxes: list[Box]
    masks: list[Rle] | None
    caption_category: str | None = None

    def __post_init__(self) -> None:
        lengths = {len(self.frames), len(self.boxes)} | ({len(self.masks)} if self.masks is not None else set())
        if len(lengths) != 1:
            raise ValueError(f"track {self.track_id} has {sorted(lengths)} frames, boxes and masks; they must agree")
