"""``tracks.json`` of ``capgen predict``: a model's own tracks, captioned by another one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from capgen.dataset.plan import PlannedMedia
from capgen.pipeline.sources.reading import common, planner
from capgen.pipeline.sources.reading.contents import FolderContents
from capgen.pipeline.sources.reading.frame_files import check_frames
from capgen.pipeline.sources.reading.json_splits import JsonSplits
from capgen.pipeline.sources.reading.pictures import PictureFinder
from capgen.pipeline.sources.reading.sections import Form, read_sections
from capgen.pipeline.sources.videos.youtube_vis import describe_video


class _PredictedTrack(planner.TrackAnnotation, gc=False):
    bboxes: list[Any] | None = None
    score: Any = None


FORM = Form("a tracks.json", "videos", {"images": "it looks like COCO: use --dataset coco"}, categories_required=False)
_SECTIONS = {"videos": planner.VideoRow, "annotations": _PredictedTrack, "categories": common.CategoryRow}
_FILES = ("tracks.json", "{}/tracks.json")
_AFFIXES = re.compile(r"^$")
_FOLDERS = ("", "videos", "frames", "JPEGImages", "images")


@dataclass(frozen=True, slots=True)
class PredictedTracks(JsonSplits):
    """Every track of ``tracks.json`` files, of which the boxes count where there are no masks.

    Args:
        root: holds the predicted video, file or folder, and ``tracks.json`` or ``NAME/tracks.json``.
        split: ``all``, names of the folders with commas, or .json files anywhere.
        min_score: leave out tracks with a lower score.
    """

    root: Path
    split: str = "all"
    dataset: str = "tracks"
    min_score: float | None = None

    patterns: ClassVar[tuple[str, ...]] = _FILES
    usual: ClassVar[tuple[str, ...]] = ("tracks",)
    affixes: ClassVar[re.Pattern[str]] = _AFFIXES

    @staticmethod
    def recognise(folder: FolderContents) -> list[str]:
        """The files that give it away; see ``capgen.pipeline.sources.recognise``."""
        found = folder.with_keys("videos", "frame_numbers")
        return [name for name in found if Path(name).name == "tracks.json"]

    def _candidates(self, name: str) -> list[Path]:
        return [self.root / pattern.format(name) for pattern in (_FILES if name == "tracks" else _FILES[1:])]

    def _splits(self) -> tuple[str, ...]:
        return ("tracks", *(path.parent.name for path in sorted(self.root.glob("*/tracks.json"))))

    def _scan(self, split: str, path: Path) -> Iterator[PlannedMedia]:
        rows = read_sections(path, FORM, _SECTIONS)
        videos = [_in_folder(row) for row in rows["videos"] or [] if row]
        finder = PictureFinder(self.root.absolute(), _FOLDERS)
        check_frames(videos, finder)
        tracks = rows["annotations"] or []
        kept = [row for row in tracks if not (row and self._weak(row.score))]
        for row in kept:
            if row is not None and bytes(row.segmentation) == b"null" and row.bboxes is not None:
                boxes = [None if box is None else {"box": box} for box in row.bboxes]
                row.segmentation = msgspec.Raw(msgspec.json.encode(boxes))

        def describe(media: PlannedMedia, row: planner.VideoRow) -> planner.Described:
            return describe_video(media, row, finder)

        listed = rows["categories"]
        categories = common.read_categories(listed) if listed else None
        join = planner.Planner(self.dataset, split, "video", categories)
        left_out = {"score": len(tracks) - len(kept)} if len(tracks) > len(kept) else {}
        for media in join.plan(videos, describe, kept):
            yield msgspec.structs.replace(media, left_out={**media.left_out, **left_out})
            left_out = {}

    def _weak(self, score: object) -> bool:
        return self.min_score is not None and isinstance(score, int | float) and score < self.min_score


def _in_folder(row: planner.VideoRow) -> planner.VideoRow:
    """The row with the predicted folder's name in front of its frames, as they lie below the root."""
    if isinstance(row.file_names, list) and isinstance(row.name, str) and row.name:
        row.file_names = [f"{row.name}/{name}" if isinstance(name, str) else name for name in row.file_names]
    return row
