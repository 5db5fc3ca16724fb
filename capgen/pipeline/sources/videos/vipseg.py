"""VIPSeg in its COCO form: a JSON of segments and a PNG a frame; a segment's id is one object through the video."""

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
from capgen.pipeline.sources.reading.frame_files import check_frames
from capgen.pipeline.sources.reading.json_splits import JsonSplits
from capgen.pipeline.sources.reading.panoptic import PanopticRow, check_panoptic, segment_mask, segment_value
from capgen.pipeline.sources.reading.pictures import PictureFinder, refuse_without_pictures
from capgen.pipeline.sources.reading.sections import Form, read_sections
from capgen.pipeline.sources.videos.youtube_vis import describe_video


class _VideoImages(msgspec.Struct, gc=False):
    video_id: Any = None
    images: list[planner.ImageRow] | None = None


class _VideoSegments(msgspec.Struct, gc=False):
    video_id: Any = None
    annotations: list[PanopticRow] | None = None


FORM = Form("a VIPSeg", "videos", {"images": "it looks like COCO panoptic: use --dataset coco-panoptic"})
_SECTIONS = {"videos": _VideoImages, "annotations": _VideoSegments, "categories": common.CategoryRow}
_USUAL = ("train", "val", "test")
_FILES = (
    *("panoptic_gt_VIPSeg_{}.json", "VIPSeg_720P/panoptic_gt_VIPSeg_{}.json"),
    *("annotations/panoptic_gt_VIPSeg_{}.json", "panoptic_gt_{}.json"),
)
_AFFIXES = re.compile(r"^panoptic_gt_(VIPSeg_)?")
_BASES = ("", "VIPSeg_720P/", "VIPSeg/")
_FRAMES = ("images", "imgs", "JPEGImages", "videos")
_MASKS = ("panomasksRGB", "panomasks_rgb")


@dataclass(frozen=True, slots=True)
class VipSeg(JsonSplits):
    """Every thing of VIPSeg videos. Source: Miao et al., CVPR 2022, github.com/VIPSeg-Dataset/VIPSeg-Dataset.

    Args:
        root: holds ``panoptic_gt_VIPSeg_{split}.json``, ``panomasksRGB/VIDEO/`` and ``images/VIDEO/``, itself or in
            ``VIPSeg_720P/``.
        split: names with commas, ``all`` (every file that is there), or .json files below ``root``.
        stuff, crowds: as for COCO panoptic.
    """

    root: Path
    split: str = "all"
    dataset: str = "vipseg"
    stuff: planner.DropOrKeep = "drop"
    crowds: planner.DropOrKeep = "drop"

    patterns: ClassVar[tuple[str, ...]] = _FILES
    usual: ClassVar[tuple[str, ...]] = _USUAL
    affixes: ClassVar[re.Pattern[str]] = _AFFIXES

    @staticmethod
    def recognise(folder: FolderContents) -> list[str]:
        """The files that give it away; see ``capgen.pipeline.sources.recognise``."""
        return folder.with_keys("videos", "segments_info")

    def _scan(self, split: str, path: Path) -> Iterator[PlannedMedia]:
        rows = read_sections(path, FORM, _SECTIONS)
        segments = [row for row in rows["annotations"] or [] if row]
        check_panoptic(path, (frame for row in segments for frame in row.annotations or ()))
        root = self.root.absolute()
        frames = PictureFinder(root, tuple(base + name for base in _BASES for name in _FRAMES), any_suffix=True)
        masks = PictureFinder(root, tuple(base + name for base in _BASES for name in _MASKS), any_suffix=True)
        if segments and not any((root / folder).is_dir() for folder in masks.folders):
            refuse_without_pictures(root / masks.folders[0], "put the masks' PNGs there, a folder a video")
        videos = [_video(row) for row in rows["videos"] or [] if row]
        check_frames(videos, frames)
        of_video = {common.id_key(row.video_id): row.annotations or [] for row in segments}
        tracks = [
            track
            for row, images in zip(videos, (one.images for one in rows["videos"] or [] if one), strict=True)
            for track in _tracks(row.id, images or [], of_video.pop(common.id_key(row.id), []), masks)
        ]
        tracks += [track for name, left in of_video.items() for track in _tracks(name, [], left, masks)]
        categories = common.read_categories(rows["categories"] or [])
        join = planner.Planner(self.dataset, split, "video", categories, crowds=self.crowds, stuff=self.stuff)

        def describe(media: PlannedMedia, row: planner.VideoRow) -> planner.Described:
            return describe_video(media, row, frames)

        return join.plan(videos, describe, tracks)


def _video(row: _VideoImages) -> planner.VideoRow:
    """A row in the form of YouTube-VIS; the frames' names get the video's folder in front."""
    images = row.images or []
    names = [f"{row.video_id}/{image.file_name}" for image in images]
    first = images[0] if images else planner.ImageRow()
    return planner.VideoRow(id=row.video_id, width=first.width, height=first.height, file_names=names)


def _tracks(
    video_id: object, images: Sequence[planner.ImageRow], frames: Sequence[PanopticRow], masks: PictureFinder
) -> Iterator[planner.AnnotationRow]:
    """An object for each id of the video's segments, in the order in which they appear."""
    place = {common.id_key(image.id): index for index, image in enumerate(images)}
    found: dict[common.IdKey | None, planner.TrackAnnotation] = {}
    shapes: dict[common.IdKey | None, list[msgspec.Raw]] = {}
    for frame in frames:
        index = place.get(common.id_key(frame.image_id))
        png = _mask_file(video_id, frame, masks)
        for segment in frame.segments_info or ():
            key = segment_value(segment.id)
            track = planner.TrackAnnotation(
                id=segment.id, media=video_id, category_id=segment.category_id, iscrowd=segment.iscrowd
            )
            found.setdefault(key, track)
            of_track = shapes.setdefault(key, [planner.NULL] * len(images))
            if index is not None and png is not None:
                of_track[index] = segment_mask(png, segment.id)
    for key, shown in found.items():
        shown.segmentation = msgspec.Raw(msgspec.json.encode(shapes[key]))
        yield shown


def _mask_file(video_id: object, frame: PanopticRow, masks: PictureFinder) -> str | None:
    name = frame.file_name if isinstance(frame.file_name, str) else f"{frame.image_id}.png"
    return masks.find(f"{video_id}/{name}") or masks.expected(f"{video_id}/{name}")
