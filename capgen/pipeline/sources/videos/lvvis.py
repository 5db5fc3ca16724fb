"""LV-VIS and files in its YouTube-VIS form: tracks of videos whose frames are pictures in a folder a video.

What its files are known for: ``segmentations`` with null where a track is not visible, tracks that never are,
backslashes in ``file_names``, ids beyond 2**53, and a test file without annotations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from capgen.dataset.plan import PlannedMedia
from capgen.pipeline.sources.reading import common, planner
from capgen.pipeline.sources.reading.contents import FolderContents
from capgen.pipeline.sources.reading.json_splits import JsonSplits
from capgen.pipeline.sources.reading.pictures import PictureFinder, refuse_without_pictures
from capgen.pipeline.sources.reading.sections import Form, read_sections
from capgen.pipeline.sources.videos import youtube_vis

FORM = Form("an LV-VIS", "videos", {"images": "it looks like LVIS: use --dataset lvis"})
SPLITS = ("train", "val")

_FOLDERS = ("", "annotations/")
_FILES = ("{}_instances.json", "{}_instances_.json")
_AFFIXES = re.compile(r"_instances_?")
_KNOWN = re.compile(r"(?<![a-z])(train|val|test)(?![a-z])")
_FRAMES = "JPEGImages"
_NAME = re.compile(r"_instances_?\.json$")


@dataclass(frozen=True, slots=True)
class LvVis(JsonSplits):
    """Every track of LV-VIS splits. Source: Wang et al., ICCV 2023, github.com/haochenheheda/LVVIS.

    Args:
        root: holds ``{split}_instances.json`` or ``{split}_instances_.json`` itself or in ``annotations/``, and
            ``{split}/JPEGImages/`` or ``JPEGImages/``.
        split: names with commas, ``all`` (train and val, what is there of them), or .json files below ``root``.
        crowds: as for COCO. LV-VIS's own tracks all have ``iscrowd`` 0.
    """

    root: Path
    split: str = "all"
    dataset: str = "lv-vis"
    crowds: planner.DropOrKeep = "drop"

    patterns: ClassVar[tuple[str, ...]] = tuple(f"{folder}{file}" for file in _FILES for folder in _FOLDERS)
    usual: ClassVar[tuple[str, ...]] = SPLITS
    affixes: ClassVar[re.Pattern[str]] = _AFFIXES

    @staticmethod
    def recognise(folder: FolderContents) -> list[str]:
        """The files that give it away; see ``capgen.pipeline.sources.recognise``."""
        names = folder.with_keys("videos", "segmentations", "partition")
        return [name for name in names if _NAME.search(name)]

    def _scan(self, split: str, path: Path) -> Iterator[PlannedMedia]:
        rows = read_sections(path, FORM, planner.VIDEO_SECTIONS)
        videos = rows["videos"] or []
        folder = self._frames_folder(split, videos)
        finder = frame_finder(self.root, folder)

        def describe(media: PlannedMedia, row: planner.VideoRow) -> planner.Described:
            return describe_video(media, row, finder, folder)

        categories = common.read_categories(rows["categories"] or [])
        join = planner.Planner(self.dataset, split, "video", categories, crowds=self.crowds)
        return join.plan(videos, describe, rows["annotations"] or [])

    def _frames_folder(self, split: str, videos: Sequence[Any]) -> str:
        """The folder of the split's frames, relative to the root."""
        root = self.root.absolute()
        known = _KNOWN.search(split)
        folders = [f"{known[1] if known else split}/{_FRAMES}", _FRAMES]
        existing = [folder for folder in folders if (root / folder).is_dir()]
        if videos and not existing:
            refuse_without_pictures(root / folders[0], f"put the videos' frames there, or into {root / folders[1]}")
        return (existing or folders)[0]


def frame_finder(root: Path, folder: str) -> PictureFinder:
    """Finds frames, or video files, in the folder of a split's frames alone."""
    return PictureFinder(root.absolute() / folder, ("",))


def describe_video(media: PlannedMedia, row: planner.VideoRow, finder: PictureFinder, folder: str) -> planner.Described:
    """The video as a medium; ``bad_path`` where one of its frames has no safe name.

    Args:
        finder: of ``frame_finder``.
        folder: of the split's frames, or of its video files, relative to the root.
    """
    listed = row.file_names if isinstance(row.file_names, list) else []
    named = msgspec.structs.replace(row, file_names=[frame_name(name) for name in listed])
    media, fault = youtube_vis.describe_video(media, named, finder)
    if fault is not None and fault.reason == "bad_path":
        bad = next((name for name in listed if frame_name(name) is None), row.file_names)
        fault = common.path_fault(bad)
    return (media, fault) if fault else (msgspec.structs.replace(media, folder=folder), None)


def frame_name(name: object) -> str | None:
    """``00001/00000.jpg``; of a name with backslashes, written on Windows, the last two parts. None if not safe."""
    if not isinstance(name, str):
        return None
    if "\\" in name and ".." not in name.replace("\\", "/").split("/"):
        name = "/".join(name.replace("\\", "/").split("/")[-2:])
    return common.safe_name(name)
