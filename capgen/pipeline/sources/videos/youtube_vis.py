"""YouTube-VIS 2019 and 2021, OVIS, UVO and files in their form: tracks of videos whose frames are pictures.

What such files are known for: null where a track is not visible, run lengths as lists or as text, a ``length`` that is
not the number of frames, ``iscrowd``, frames in one of several folders, and frames that are not there at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import msgspec

from capgen.dataset.plan import PlannedMedia
from capgen.dataset.types import Fault
from capgen.pipeline.sources.reading import common, planner
from capgen.pipeline.sources.reading.contents import FolderContents
from capgen.pipeline.sources.reading.frame_files import check_frames, find_frames
from capgen.pipeline.sources.reading.json_splits import JsonSplits
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
    *("UVO_video_{}_dense.json", "VideoDenseSet/UVO_video_{}_dense.json"),
    *("UVO_sparse_{}_video.json", "VideoSparseSet/UVO_sparse_{}_video.json"),
)
_FOUND = (
    *("annotations_*.json", "instances_*.json", "*_instances.json", "*/instances.json"),
    "annotations/*.json",
)
_SPLITS = ("train", "valid", "val", "test")
_AFFIXES = re.compile(r"^(annotations|instances|UVO|UVO_video)_|_instances$")
_FOLDERS = (
    *("{}/JPEGImages", "JPEGImages/{}", "JPEGImages", "{}", "{}/frames", "frames", "images/{}", "images"),
    *("{}/videos", "videos/{}", "videos", ""),
)
_OF_UVO = tuple(f"{base}uvo_videos_{kind}frames" for base in ("", "UVO_Videos/") for kind in ("dense_", "sparse_", ""))


@dataclass(frozen=True, slots=True)
class YoutubeVis(JsonSplits):
    """Every track of YouTube-VIS files. Source: Yang et al., ICCV 2019, youtube-vos.org/dataset/vis.

    Args:
        root: holds ``{split}.json``, ``{split}/instances.json`` or ``annotations_{split}.json``, and the frames in
            ``{split}/JPEGImages/``, ``JPEGImages/`` or ``{split}/``, as a folder or a file (mp4, mkv, webm) a video.
        split: names with commas, ``all`` (every file that is there), or .json files below ``root``.
        crowds: as for COCO.
    """

    root: Path
    split: str = "all"
    dataset: str = "youtube-vis"
    crowds: planner.DropOrKeep = "drop"

    patterns: ClassVar[tuple[str, ...]] = _FILES
    usual: ClassVar[tuple[str, ...]] = _USUAL
    affixes: ClassVar[re.Pattern[str]] = _AFFIXES

    @staticmethod
    def recognise(folder: FolderContents) -> list[str]:
        """The files that give it away; see ``capgen.pipeline.sources.recognise``."""
        found = folder.with_keys("videos", "segmentations", without=("segments_info", "sequences"))
        lvvis = folder.with_keys("partition")
        return [name for name in found if Path(name).name != "tracks.json" and not _is_of_lvvis(name, lvvis)]

    def _splits(self) -> tuple[str, ...]:
        found = (name for name in self._names() if any(path.is_file() for path in self._candidates(name)))
        return tuple(found) or _USUAL

    def _names(self) -> list[str]:
        """What splits may be called here: by the files that are there."""
        stems = [path for pattern in _FOUND for path in sorted(self.root.glob(pattern))]
        found = [path.parent.name if path.name == "instances.json" else _AFFIXES.sub("", path.stem) for path in stems]
        return list(dict.fromkeys([*_SPLITS, *found]))

    def _scan(self, split: str, path: Path) -> Iterator[PlannedMedia]:
        rows = read_sections(path, FORM, planner.VIDEO_SECTIONS)
        videos = rows["videos"] or []
        finder = frame_finder(self.root, split)
        check_frames(videos, finder)

        def describe(media: PlannedMedia, row: planner.VideoRow) -> planner.Described:
            return describe_video(media, row, finder)

        listed = rows["categories"]
        categories = None if listed is None else common.read_categories(listed)
        join = planner.Planner(self.dataset, split, "video", categories, crowds=self.crowds)
        return join.plan(videos, describe, rows["annotations"] or [])


def _is_of_lvvis(name: str, with_partition: Sequence[str]) -> bool:
    """Whether a file is LV-VIS's own: categories have a ``partition``, and it is called as in that release."""
    return name in with_partition and re.search(r"_instances_?\.json$", name) is not None


def frame_finder(root: Path, split: str) -> PictureFinder:
    """Where the frames of a split may be."""
    known = next((name for name in _SPLITS if split.startswith(name)), split)
    names = dict.fromkeys((split, known, *(("valid", "val") if known in ("valid", "val") else ())))
    folders = [folder.format(name) for name in names for folder in _FOLDERS]
    return PictureFinder(root.absolute(), tuple(dict.fromkeys([*folders, *_OF_UVO])))


def describe_video(media: PlannedMedia, row: planner.VideoRow, finder: PictureFinder) -> planner.Described:
    """The video as a medium, its frames relative to the root; ``bad_path`` where one of them has no safe name."""
    media = msgspec.structs.replace(media, license=common.code(row.license))
    names = find_frames(row, finder)
    fault = common.size_fault(row.width, row.height)
    if isinstance(names, Fault):
        fault = names
    if fault is not None or isinstance(names, Fault):
        return media, fault
    return msgspec.structs.replace(media, file_names=names, width=int(row.width), height=int(row.height)), None
