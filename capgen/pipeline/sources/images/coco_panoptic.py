"""COCO panoptic: a JSON of segments and a PNG a picture whose colours are the segments' ids.

What such sets are known for: stuff segments beside things, crowds, id 0 for what is not labelled, and a JSON that says
``.jpg`` where the file is ``.png``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

from capgen.dataset.plan import PlannedMedia
from capgen.pipeline.sources.images.coco import describe_image, picture_finder
from capgen.pipeline.sources.reading import common, planner
from capgen.pipeline.sources.reading.contents import FolderContents
from capgen.pipeline.sources.reading.json_splits import JsonSplits
from capgen.pipeline.sources.reading.panoptic import PanopticRow, check_panoptic, segment_mask
from capgen.pipeline.sources.reading.pictures import PictureFinder
from capgen.pipeline.sources.reading.sections import Form, read_sections

FORM = Form("a COCO panoptic", "images", {"videos": "it looks like VIPSeg: use --dataset vipseg"})
_SECTIONS = {"images": planner.ImageRow, "annotations": PanopticRow, "categories": common.CategoryRow}
_USUAL = ("train2017", "val2017")
_FILES = ("annotations/panoptic_{}.json", "panoptic_{}.json", "{}/panoptic.json")
_AFFIXES = re.compile(r"^panoptic_")
_ALSO = ("panoptic*", "annotations/panoptic*", "*/panoptic*")
_MASKS = ("panoptic_{}", "annotations/panoptic_{}", "{}_panoptic", "panoptic/{}", "panoptic", "{}/panoptic")


@dataclass(frozen=True, slots=True)
class CocoPanoptic(JsonSplits):
    """Every thing of COCO panoptic files. Source: Kirillov et al., CVPR 2019, cocodataset.org/#format-data.

    Args:
        root: holds ``annotations/panoptic_{split}.json`` or ``panoptic_{split}.json``, the masks in
            ``panoptic_{split}/`` there or beside the JSON, and the pictures as for COCO.
        split: names with commas, ``all`` (every file that is there), or .json files below ``root``.
        stuff: ``drop`` leaves out segments of categories that are no things and counts them, ``keep`` captions them.
        crowds: a crowd region holds many objects: ``drop`` leaves it out and counts it, ``keep`` captions it.
    """

    root: Path
    split: str = "all"
    dataset: str = "coco-panoptic"
    stuff: planner.DropOrKeep = "drop"
    crowds: planner.DropOrKeep = "drop"

    patterns: ClassVar[tuple[str, ...]] = _FILES
    usual: ClassVar[tuple[str, ...]] = _USUAL
    affixes: ClassVar[re.Pattern[str]] = _AFFIXES

    @staticmethod
    def recognise(folder: FolderContents) -> list[str]:
        """The files that give it away; see ``capgen.pipeline.sources.recognise``."""
        return folder.with_keys("images", "segments_info", without=("videos",))

    def _splits(self) -> tuple[str, ...]:
        return common.split_names(self.root, _FILES) or _USUAL

    def _scan(self, split: str, path: Path) -> Iterator[PlannedMedia]:
        rows = read_sections(path, FORM, _SECTIONS)
        images, segments = rows["images"] or [], rows["annotations"] or []
        check_panoptic(path, segments)
        pictures = picture_finder(self.root, split, path, any_suffix=True)
        pictures.check((row.file_name for row in images if row), "put the pictures there")
        annotations = list(self._annotations(segments, self._masks(split, path, segments)))
        segments.clear()
        categories = common.read_categories(rows["categories"] or [])
        join = planner.Planner(self.dataset, split, "image", categories, crowds=self.crowds, stuff=self.stuff)

        def describe(media: PlannedMedia, row: planner.ImageRow) -> planner.Described:
            return describe_image(media, row, pictures)

        return join.plan(images, describe, annotations)

    def _masks(self, split: str, path: Path, segments: list[PanopticRow | None]) -> PictureFinder:
        """Where the PNGs may be: in folders of the split's name, in others that are called panoptic, beside the JSON.

        Raises:
            MissingFile: none of the first is there.
        """
        root = self.root.absolute()
        folders = [folder.format(split) for folder in _MASKS]
        found = (path for pattern in _ALSO for path in sorted(root.glob(pattern)) if path.is_dir())
        folders += [path.relative_to(root).as_posix() for path in found]
        beside = path.parent.absolute()
        folders += [beside.relative_to(root).as_posix()] if beside != root and beside.is_relative_to(root) else []
        finder = PictureFinder(root, tuple(dict.fromkeys((*folders, ""))), any_suffix=True)
        finder.check((_png_name(row) for row in segments if row), "put the masks' PNGs there")
        return finder

    @staticmethod
    def _annotations(
        segments: list[PanopticRow | None], masks: PictureFinder
    ) -> Iterator[planner.AnnotationRow | None]:
        """A row an object, in the form of COCO instances."""
        for row in segments:
            if row is None or row.segments_info is None:
                yield None
                continue
            name = _png_name(row)
            png = masks.find(name) or masks.expected(name)
            for segment in row.segments_info:
                yield planner.ImageAnnotation(
                    id=segment.id,
                    media=row.image_id,
                    category_id=segment.category_id,
                    segmentation=segment_mask(png, segment.id) if png else planner.NULL,
                    iscrowd=segment.iscrowd,
                )


def _png_name(row: PanopticRow) -> str:
    """The name of a row's PNG, without folders where those would lead out of the root."""
    name = row.file_name if isinstance(row.file_name, str) else f"{row.image_id}.png"
    return name if common.safe_name(name) else PurePosixPath(name.replace("\\", "/")).name
