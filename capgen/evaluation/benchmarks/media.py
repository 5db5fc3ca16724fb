"""A benchmark's training split as rows of a release's ``media``, for whoever learns from it.

The wings do not know each other: the command line hands this reader to the trainer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from capgen.dataset.row import ReleasedMedia, ReleasedObject, Rle
from capgen.dataset.types import Box
from capgen.evaluation.benchmarks import BENCHMARKS
from capgen.evaluation.benchmarks.base import Benchmark, Clip
from capgen.images import Pixels


@dataclass(frozen=True, slots=True)
class BenchmarkRows:
    """The clips of one split, read as the ``clean`` protocol reads them, again at every call."""

    name: str
    root: Path
    split: str
    limit: int | None = None

    def __call__(self, *, light: bool = False) -> Iterator[MediaRow]:
        """Rows in the benchmark's order; ``light`` ones do not open a video to learn its size.

        Raises:
            UnknownName: there is no such benchmark.
            UserError: a part of it is missing or bad.
        """
        options = {"root": self.root, "split": self.split, "reading": "clean"}
        reader: Benchmark = BENCHMARKS.build(self.name, options, "data")
        for clip in islice(reader.clips(), self.limit):
            yield MediaRow(self.name, self.split, clip, light)


@dataclass(frozen=True, slots=True)
class MediaRow:
    """One clip that becomes a row when it is called."""

    dataset: str
    split: str
    clip: Clip
    light: bool

    def __call__(self) -> ReleasedMedia:
        """The row; ``frames`` reads its pictures.

        Raises:
            UserError: the clip has no pictures.
        """
        height, width = self.clip.size
        if not height and not self.light:
            height, width = next(iter(self.clip.at(self.clip.numbers[:1]))).shape[:2]
        return ReleasedMedia(
            dataset=self.dataset,
            split=self.split,
            media_id=str(self.clip.video_id),
            kind="video",
            file_names=tuple(self.clip.file_names),
            width=width,
            height=height,
            objects=_objects(self.clip),
            frames=ClipFrames(self.clip),
        )


@dataclass(frozen=True, slots=True)
class ClipFrames:
    """The pictures of a clip by their place in it."""

    clip: Clip

    def __call__(self, indices: Sequence[int], least: tuple[int, int]) -> list[Pixels]:
        """Frames at ascending places; videos are decoded at full size, whatever would do."""
        del least
        return list(self.clip.at(self.clip.numbers[i] for i in indices))


def _objects(clip: Clip) -> tuple[ReleasedObject, ...]:
    """COCO annotations of a clip, by track."""
    places = {image_id: place for place, image_id in enumerate(clip.image_ids)}
    tracks: dict[Any, list[dict[str, Any]]] = {}
    for one in sorted(clip.annotations, key=lambda row: places[row["image_id"]]):
        tracks.setdefault(one["track_id"], []).append(one)
    return tuple(
        ReleasedObject(
            object_id=str(track_id),
            # VidSTG describes an object in a part of the video only: frames before it have no caption
            caption=next((one["caption"] for one in track if one["caption"]), None),
            frame_index=tuple(places[one["image_id"]] for one in track),
            segmentation=tuple(_rle(one.get("segmentation")) for one in track),
            bbox=tuple(_box(one) for one in track),
        )
        for track_id, track in tracks.items()
    )


def _rle(mask: Any) -> Rle | None:
    if mask is None:
        return None
    counts = mask["counts"]
    return {"size": mask["size"], "counts": counts.decode("ascii") if isinstance(counts, bytes) else counts}


def _box(one: dict[str, Any]) -> Box:
    if "bbox" in one:
        x, y, width, height = map(float, one["bbox"])
        return x, y, width, height
    from capgen import rle

    encoded = _rle(one["segmentation"])
    assert encoded is not None
    return rle.box(encoded["counts"], (encoded["size"][0], encoded["size"][1]))
