"""Scores and pictures on the way: the model as it stands, on media that it does not learn from.

The scorer is handed in: ground truth and predictions go to it as the two JSON files that ``capgen eval tracks`` takes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from capgen.dataset.files import write_whole
from capgen.errors import UserError
from capgen.maskcaptioner.data.pictures import read_frames
from capgen.maskcaptioner.data.release_rows import DataPart, Medium
from capgen.maskcaptioner.drawing.legend import GROUND, INK, banner
from capgen.maskcaptioner.drawing.video_writer import Annotator
from capgen.maskcaptioner.inference.stream import Stream
from capgen.maskcaptioner.inference.track import Track
from capgen.maskcaptioner.predict import clips, detections
from capgen.maskcaptioner.settings import ValidationSettings

SPLIT_REMEDY = (
    "choose another with --set validation.split=NAME, or none with "
    "--set validation.every=0 --set validation.final=false"
)
"""What helps where a split cannot be validated on."""

ValidationScorer = Callable[[Path, Path], Mapping[str, float]]
"""Scores by name of (ground truth, predictions), two JSON files."""


@dataclass(frozen=True, slots=True)
class Validation:
    """Predicts the first media of a split, scores them, and draws some.

    Args:
        out: ``validation/`` and ``pictures/`` are written under it.
        score: None leaves the numbers out.
    """

    settings: ValidationSettings
    parts: tuple[DataPart, ...]
    out: Path
    score: ValidationScorer | None

    def check(self) -> None:
        """Find out before the first step whether there is something to validate on.

        Raises:
            UnknownName: the data has no such split.
            UserError: the split has no media with objects.
        """
        if next(media(self.parts), None) is None:
            raise UserError(f"split {self.settings.split!r} has nothing to validate on", SPLIT_REMEDY)

    def __call__(self, model: Any, step: int) -> dict[str, float]:
        """The scores at a step.

        Raises:
            UserError: a picture is missing or damaged.
        """
        folder = self.out / "validation"
        folder.mkdir(parents=True, exist_ok=True)
        truth = _Truth(model.config.classes)
        predictions: list[dict[str, Any]] = []
        for number, medium in enumerate(islice(media(self.parts), self.settings.media), 1):
            frames = read_frames(medium, range(len(medium.names)), (medium.height, medium.width))
            tracks = self._tracks(model, frames)
            images = truth.add(medium)
            predictions += [row for track in tracks for row in detections(track, images)]
            if number <= self.settings.pictures:
                self._draw(medium, frames, tracks, step, number)
        files = folder / "truth.json", folder / "predictions.json"
        for file, content in zip(files, (truth.file(), predictions), strict=True):
            write_whole(file, json.dumps(content).encode())
        return dict(self.score(*files)) if self.score else {}

    def _tracks(self, model: Any, frames: Sequence[Any]) -> list[Track]:
        stream = Stream(model, threshold=self.settings.threshold, max_tracks=self.settings.max_tracks)
        for clip in clips(iter(frames), model.config.clip_frames):
            stream.push(clip)
        return stream.finish()

    def _draw(self, medium: Medium, frames: Sequence[Any], tracks: list[Track], step: int, number: int) -> None:
        """What the model says beside what the release says, on the middle frame."""
        index = len(frames) // 2
        shown = []
        for title, side in (("predicted", tracks), ("truth: the release", true_tracks(medium))):
            picture = Annotator(side, (medium.height, medium.width))(frames[index], index)
            width = picture.shape[1]
            shown.append(np.concatenate([banner(title, width, max(14, round(width / 40)), INK), picture]))
        height = max(picture.shape[0] for picture in shown)
        padded = [_on_ground(picture, height) for picture in shown]
        path = self.out / "pictures" / f"step-{step:08d}" / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        _, png = cv2.imencode(".png", np.concatenate(padded, 1)[..., ::-1])
        write_whole(path, png.tobytes())


def _on_ground(picture: NDArray[np.uint8], height: int) -> NDArray[np.uint8]:
    """A picture made ``height`` pixels high; what is added has the colour of the captions' list."""
    missing = height - picture.shape[0]
    if not missing:
        return picture
    below = np.empty((missing, *picture.shape[1:]), np.uint8)
    below[:] = GROUND
    return np.concatenate([picture, below])


def media(parts: Sequence[DataPart]) -> Iterator[Medium]:
    """The media that have objects, part by part in turn, so that the first few are of every kind."""
    streams = [(part, part.rows()) for part in parts]
    while streams:
        for entry in list(streams):
            part, rows = entry
            row = next(rows, None)
            if row is None:
                streams.remove(entry)
                continue
            medium = part.medium(row())
            if medium.masklets:
                yield medium


def true_tracks(medium: Medium) -> list[Track]:
    """The release's objects in the form of predictions."""
    found = []
    for number, one in enumerate(medium.masklets, 1):
        frames = sorted(one.counts or one.boxes)
        size = [medium.height, medium.width]
        found.append(
            Track(
                track_id=number,
                category_id=None,
                category=one.category,
                score=1.0,
                caption=one.caption,
                frames=frames,
                boxes=[one.boxes[i] for i in frames],
                masks=[{"size": size, "counts": one.counts[i]} for i in frames] if one.counts else None,
            )
        )
    return found


class _Truth:
    """A COCO ground truth that grows by media; categories are the model's, numbered as its predictions number them."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._ids = {name: row + 1 for row, name in enumerate(classes)}
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._videos = 0

    def add(self, medium: Medium) -> list[int]:
        """The image ids of its frames."""
        self._videos += 1
        first = len(self._images) + 1
        ids = list(range(first, first + len(medium.names)))
        size = {"height": medium.height, "width": medium.width}
        for image_id, name in zip(ids, medium.names, strict=True):
            self._images.append({"id": image_id, "video_id": self._videos, "file_name": name, **size})
        for number, one in enumerate(medium.masklets, 1):
            for frame, box in one.boxes.items():
                row: dict[str, Any] = {
                    "id": len(self._annotations) + 1,
                    "image_id": ids[frame],
                    "track_id": number,
                    "category_id": self._ids.get(one.category or "", 0),
                    "caption": one.caption or "",
                    "bbox": list(box),
                    "iscrowd": 0,
                }
                if frame in one.counts:
                    row["segmentation"] = {"size": [medium.height, medium.width], "counts": one.counts[frame]}
                self._annotations.append(row)
        return ids

    def file(self) -> dict[str, Any]:
        """The whole."""
        categories = [{"id": row, "name": name} for name, row in self._ids.items()]
        return {
            "categories": [{"id": 0, "name": "other"}, *categories],
            "images": self._images,
            "annotations": self._annotations,
        }
