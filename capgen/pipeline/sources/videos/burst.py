"""BURST: masks of TAO's videos at one or six frames a second, categories of LVIS."""

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
from capgen.pipeline.sources.reading.mask_folders import ShowOrDrop
from capgen.pipeline.sources.reading.pictures import PictureFinder
from capgen.pipeline.sources.reading.sections import Form, read_sections
from capgen.pipeline.sources.videos.youtube_vis import describe_video


class _BurstMask(msgspec.Struct, gc=False):
    rle: Any = None


class _Sequence(msgspec.Struct, gc=False):
    id: Any = None
    width: Any = None
    height: Any = None
    seq_name: Any = None
    dataset: Any = None
    all_image_paths: list[Any] = []
    annotated_image_paths: list[Any] = []
    track_category_ids: dict[str, Any] = {}
    segmentations: list[dict[str, _BurstMask]] = []


FORM = Form(
    "a BURST",
    "sequences",
    {"videos": "it looks like YouTube-VIS: use --dataset youtube-vis", "images": "it looks like COCO: --dataset coco"},
    categories_required=False,
)
_SECTIONS = {"sequences": _Sequence, "categories": common.CategoryRow}
_USUAL = ("train", "val", "test")
_FILES = (
    *("{0}.json", "annotations/{0}.json", "{0}/{0}.json", "annotations/{0}/{0}.json"),
    *("{0}/all_classes.json", "annotations/{0}/all_classes.json"),
)
_AFFIXES = re.compile(r"^burst_")
_FRAMES = ("frames/{}", "frames", "{}", "images/{}", "images", "videos/{}", "videos", "")


@dataclass(frozen=True, slots=True)
class Burst(JsonSplits):
    """Every track of BURST. Source: Athar et al., WACV 2023, github.com/Ali2500/BURST-benchmark.

    Args:
        root: holds ``train/train.json``, ``val/all_classes.json`` and so on, itself or in ``annotations/``, and TAO's
            frames in ``frames/{split}/DATASET/SEQUENCE/``.
        split: names with commas, ``all`` (every file that is there), or .json files below ``root``.
        unannotated: ``drop`` makes the annotated frames the video, ``show`` all of them, the others unmarked.
    """

    root: Path
    split: str = "all"
    dataset: str = "burst"
    unannotated: ShowOrDrop = "drop"

    patterns: ClassVar[tuple[str, ...]] = _FILES
    usual: ClassVar[tuple[str, ...]] = _USUAL
    affixes: ClassVar[re.Pattern[str]] = _AFFIXES

    @staticmethod
    def recognise(folder: FolderContents) -> list[str]:
        """The files that give it away; see ``capgen.pipeline.sources.recognise``."""
        return folder.with_keys("sequences", "track_category_ids")

    def _scan(self, split: str, path: Path) -> Iterator[PlannedMedia]:
        rows = read_sections(path, FORM, _SECTIONS)
        finder = PictureFinder(self.root.absolute(), tuple(dict.fromkeys(name.format(split) for name in _FRAMES)))
        sequences = [row for row in rows["sequences"] or [] if row]
        videos = [self._video(row) for row in sequences]
        check_frames(videos, finder)
        tracks = [track for row, video in zip(sequences, videos, strict=True) for track in _tracks(row, video)]
        sequences.clear()
        listed = rows["categories"]
        categories = None if listed is None else common.read_categories(listed)

        def describe(media: PlannedMedia, row: planner.VideoRow) -> planner.Described:
            return describe_video(media, row, finder)

        return planner.Planner(self.dataset, split, "video", categories).plan(videos, describe, tracks)

    def _video(self, row: _Sequence) -> planner.VideoRow:
        """A row in the form of YouTube-VIS, its frames with the sequence's folder in front."""
        frames = row.all_image_paths if self.unannotated == "show" else row.annotated_image_paths
        folder = "/".join(str(part) for part in (row.dataset, row.seq_name) if part)
        number = common.id_key(row.id)
        return planner.VideoRow(
            id=common.label(folder) if number is None else number,
            width=row.width,
            height=row.height,
            file_names=[_in_folder(folder, name) for name in (frames or row.annotated_image_paths)],
            all_names=[_in_folder(folder, name) for name in row.all_image_paths],
        )


def _in_folder(folder: str, name: object) -> str:
    return f"{folder}/{name}" if folder else str(name)


def _tracks(row: _Sequence, video: planner.VideoRow) -> Iterator[planner.AnnotationRow]:
    """A row for each track, in the form of YouTube-VIS."""
    folder = "/".join(str(part) for part in (row.dataset, row.seq_name) if part)
    place: dict[str, int] = {}
    for index, name in enumerate(video.file_names):
        place.setdefault(name, index)
    frames = [place.get(_in_folder(folder, name)) for name in row.annotated_image_paths]
    names = dict.fromkeys([*row.track_category_ids, *(name for found in row.segmentations for name in found)])
    for name in names:
        masks: list[Any] = [None] * len(video.file_names)
        for at, found in zip(frames, row.segmentations, strict=False):
            if at is not None and name in found:
                masks[at] = {"size": [row.height, row.width], "counts": found[name].rle}
        yield planner.TrackAnnotation(
            id=name,
            media=video.id,
            category_id=row.track_category_ids.get(name),
            segmentation=msgspec.Raw(msgspec.json.encode(masks)),
        )
