"""LVIS v1, v0.5 and files in their form: objects of COCO 2017 pictures, masks as polygons.

LVIS ships no pictures. A v1 image has no ``file_name``; the last two parts of its ``coco_url`` say where the picture
is, and one split draws on both ``train2017`` and ``val2017``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import msgspec

from capgen.dataset.plan import PlannedMedia
from capgen.pipeline.sources.reading import common, planner
from capgen.pipeline.sources.reading.contents import FolderContents
from capgen.pipeline.sources.reading.json_splits import JsonSplits
from capgen.pipeline.sources.reading.pictures import PictureFinder, joined, refuse_without_pictures
from capgen.pipeline.sources.reading.sections import Form, read_sections

FORM = Form("an LVIS", "images", {"videos": "it looks like LV-VIS: use --dataset lv-vis"})
SPLITS = ("train", "val")

_FOLDERS = ("", "annotations/", "lvis/")
_FILES = ("lvis_v1_{}.json", "lvis_v0.5_{}.json", "lvis_{}.json")
_AFFIXES = re.compile(r"^lvis_(v[\d.]+_)?")
_PICTURES = ("", "coco", "images", "coco/images")
_OF_2014 = re.compile(r"COCO_\w+_(\d{12}\.\w+)")


@dataclass(frozen=True, slots=True)
class Lvis(JsonSplits):
    """Every object of LVIS splits. Source: Gupta et al., CVPR 2019, lvisdataset.org.

    Args:
        root: holds ``lvis_v1_{split}.json`` (or ``lvis_v0.5_{split}.json``, ``lvis_{split}.json``) itself, in
            ``annotations/`` or in ``lvis/``, and ``train2017/``, ``val2017/`` itself, in ``coco/`` or in ``images/``.
        split: names with commas, ``all`` (train and val, what is there of them), or .json files below ``root``.
        crowds: as for COCO. LVIS's own files have no ``iscrowd``; files that tools write in its form may.
    """

    root: Path
    split: str = "all"
    dataset: str = "lvis"
    crowds: planner.DropOrKeep = "drop"

    patterns: ClassVar[tuple[str, ...]] = tuple(f"{folder}{file}" for file in _FILES for folder in _FOLDERS)
    usual: ClassVar[tuple[str, ...]] = SPLITS
    affixes: ClassVar[re.Pattern[str]] = _AFFIXES

    @staticmethod
    def recognise(folder: FolderContents) -> list[str]:
        """The files that give it away; see ``capgen.pipeline.sources.recognise``."""
        return [name for name in folder.with_keys("images", "annotations") if Path(name).name.startswith("lvis")]

    def _scan(self, split: str, path: Path) -> Iterator[PlannedMedia]:
        rows = read_sections(path, FORM, planner.IMAGE_SECTIONS)
        images = rows["images"] or []
        pictures = Pictures(self.root.absolute())
        pictures.check(images)
        categories = common.read_categories(rows["categories"] or [])
        join = planner.Planner(self.dataset, split, "image", categories, crowds=self.crowds)
        return join.plan(images, pictures.describe, rows["annotations"] or [])


class Pictures:
    """Finds the picture of an image below a root: where the file says, else wherever a picture of its name is."""

    def __init__(self, root: Path) -> None:
        of_coco = [joined(base, folder) for base in _PICTURES for folder in ("train2017", "val2017")]
        self._finder = PictureFinder(root, (*_PICTURES, *of_coco))
        self._bases: dict[str, str | None] = {}

    def check(self, images: Sequence[planner.ImageRow | None]) -> None:
        """Refuse a root that holds none of the folders in which the pictures should be.

        Raises:
            MissingFile: the pictures were probably never put there.
        """
        folders = dict.fromkeys(name.rpartition("/")[0] for row in images if row and (name := picture_name(row)))
        if folders and all(self._base(folder) is None for folder in folders):
            remedy = "put COCO's 2017 pictures there, or below coco/ or images/"
            refuse_without_pictures(self._finder.root / min(folders), remedy)

    def describe(self, media: PlannedMedia, row: planner.ImageRow) -> planner.Described:
        """The image as a medium of one frame; where its picture is nowhere, with the place where it should be."""
        name = picture_name(row)
        fault = common.size_fault(row.width, row.height) if name else common.path_fault(row.file_name or row.coco_url)
        url = common.line(row.coco_url, 2000) if isinstance(row.coco_url, str) else None
        media = msgspec.structs.replace(media, coco_url=url, license=common.code(row.license))
        if name is None or fault is not None:
            return media, fault
        folder, file = self._finder.locate(name) or (self._base(name.rpartition("/")[0]) or "", name)
        size = {"width": int(row.width), "height": int(row.height)}
        return msgspec.structs.replace(media, folder=folder, file_names=(file,), **size), None

    def _base(self, folder: str) -> str | None:
        """The first of the usual places that holds a folder."""
        if folder not in self._bases:
            places = (base for base in _PICTURES if (self._finder.root / base / folder).is_dir())
            self._bases[folder] = next(places, None)
        return self._bases[folder]


def picture_name(row: planner.ImageRow) -> str | None:
    """Where the picture is below the root: ``file_name``, with the folder of ``coco_url`` where it has none.

    ``train2017/000000391895.jpg`` stands for itself, ``COCO_val2014_000000266409.jpg`` loses its prefix, and without
    a ``file_name`` the last two parts of ``coco_url`` count. None where the name is not safe or there is none.
    """
    url = row.coco_url.split("/") if isinstance(row.coco_url, str) and row.coco_url else []
    if not isinstance(row.file_name, str) or not row.file_name:
        return common.safe_name("/".join(url[-2:])) if url else None
    name = common.safe_name(row.file_name)
    if name is None or "/" in name:
        return name
    of_2014 = _OF_2014.fullmatch(name)
    name = of_2014[1] if of_2014 else name
    return common.safe_name(f"{url[-2]}/{name}") if len(url) > 1 else name
