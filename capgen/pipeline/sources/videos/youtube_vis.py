"""YouTube-VIS 2019 and 2021, OVIS, UVO and files in their form: tracks of videos whose frames are pictures.

What such files are known for: null where a track is not visible, run lengths as lists or as text, a ``length`` that is
not the number of frames, ``iscrowd``, frames in one of several folders, and frames that are not there at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from capgen.dataset.plan import PlannedMedia
from capgen.pipeline.sources.images.coco import Crowds
from capgen.pipeline.sources.reading import common, planner
from capgen.pipeline.sources.reading.pictures import PictureFinder
from capgen.pipeline.sources.reading.sections import Form, read_sections

FORM = Form(
    "a YouTube-VIS",
    "videos",
    {
        "images": "it looks like COCO: use --dataset coco",
        "sequences": "it looks like BURST: use --dataset burst",
    },
    categories_required=False,
)

_USUAL = ("train", "valid")
_FILES = (
    *("{}.json", "{}/instances.json", "annotations_{}.json", "annotations/{}.json", "instances_{}.json"),
    *("annotations/instances_{}.json", "{}_instances.json", "{}/annotations.json", "annotations/annotations_{}.json"),
)
_FOUND = (
    *("annotations_*.json", "instances_*.json", "*_instances.json", "*/instances.json"),
    "annotations/*.json",
)
_SPLITS = ("train", "valid", "val", "test")
_AFFIXES = re.compile(r"^(annotations|instances)_|_instances$")
_FOLDERS = ("{}/JPEGImages", "JPEGImages/{}", "JPEGImages", "{}", "{}/frames", "frames", "images/{}", "images", "")
_OF_UVO = ("uvo_videos_dense_frames", "uvo_videos_sparse_frames", "uvo_videos_frames")


@dataclass(frozen=True, slots=True)
class YoutubeVis:
    """Every track of YouTube-VIS files. Source: Yang et al., ICCV 2019, youtube-vos.org/dataset/vis.

    Args:
        root: holds ``{split}.json``, ``{split}/instances.json`` or ``annotations_{split}.json``, and the frames in
            ``{split}/JPEGImages/``, ``JPEGImages/`` or ``{split}/``.
        split: names with commas, ``all`` (every file that is there), or .json files below ``root``.
        crowds: as for COCO.
    """

    root: Path
    split: str = "all"
    dataset: str = "youtube-vis"
    crowds: Crowds = "drop"

    @property
    def files(self) -> tuple[Path, ...]:
        """The annotation files, one a split."""
        return tuple(self._files().values())

    def scan(self) -> Iterator[PlannedMedia]:
        """Every video with its tracks, videos without tracks too, in the order of the file.

        Raises:
            UserError: a file is missing or not of the form, or none of the frames is there.
        """
        for split, path in self._files().items():
            yield from self._scan(split, path)

    def _files(self) -> dict[str, Path]:
        def candidates(name: str) -> list[Path]:
            return [self.root / file.format(name) for file in _FILES]

        usual = tuple(name for name in self._names() if any(path.is_file() for path in candidates(name)))
        return common.annotation_files(self.root, self.split, usual or _USUAL, candidates, _AFFIXES)

    def _names(self) -> list[str]:
        """What splits may be called here: by the files that are there."""
        stems = [path for pattern in _FOUND for path in sorted(self.root.glob(pattern))]
        found = [path.parent.name if path.name == "instances.json" else _AFFIXES.sub("", path.stem) for path in stems]
        return list(dict.fromkeys([*_SPLITS, *found]))

    def _scan(self, split: str, path: Path) -> Iterator[PlannedMedia]:
        rows = read_sections(path, FORM, planner.VIDEO_SECTIONS)
        videos = rows["videos"] or []
        finder = frame_finder(self.root, split)
        finder.check((name for row in videos if row for name in frame_names(row)[:1]), "put the videos' frames there")

        def describe(media: PlannedMedia, row: planner.VideoRow) -> planner.Described:
            return describe_video(media, row, finder)

        listed = rows["categories"]
        categories = None if listed is None else common.read_categories(listed)
        join = planner.Planner(self.dataset, split, "video", categories, crowds=self.crowds)
        return join.plan(videos, describe, rows["annotations"] or [])


def frame_finder(root: Path, split: str) -> PictureFinder:
    """Where the frames of a split may be."""
    known = next((name for name in _SPLITS if split.startswith(name)), split)
    names = dict.fromkeys((split, known, *(("valid", "val") if known in ("valid", "val") else ())))
    folders = [folder.format(name) for name in names for folder in _FOLDERS]
    return PictureFinder(root.absolute(), tuple(dict.fromkeys([*folders, *_OF_UVO])))


def frame_names(row: planner.VideoRow) -> Sequence[Any]:
    """The frames of a video, as the file has them."""
    return row.file_names if isinstance(row.file_names, list) else ()


def describe_video(media: PlannedMedia, row: planner.VideoRow, finder: PictureFinder) -> planner.Described:
    """The video as a medium, its frames relative to the root; ``bad_path`` where one of them has no safe name."""
    media = msgspec.structs.replace(media, license=common.code(row.license))
    called = frame_names(row)
    found = [finder.find(name) or finder.expected(name) for name in called]
    fault = common.size_fault(row.width, row.height)
    if None in found or not found:
        fault = common.path_fault(called[found.index(None)] if called else row.file_names)
    if fault is not None:
        return media, fault
    names = tuple(name for name in found if name is not None)
    return msgspec.structs.replace(media, file_names=names, width=int(row.width), height=int(row.height)), None
