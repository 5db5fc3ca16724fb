"""COCO instances and files in their form, as most annotation tools export them.

What such files are known for: a ``file_name`` that is absolute, has back slashes or no folder, a ``coco_url`` that
names another folder than the one the picture is in, crowd regions, objects with a box and no mask, no categories.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from capgen.dataset.plan import PlannedMedia
from capgen.errors import UserError
from capgen.pipeline.sources.reading import common, planner
from capgen.pipeline.sources.reading.contents import FolderContents
from capgen.pipeline.sources.reading.json_splits import JsonSplits
from capgen.pipeline.sources.reading.pictures import PictureFinder
from capgen.pipeline.sources.reading.sections import Form, read_sections

FORM = Form(
    "a COCO instances",
    "images",
    {
        "videos": "it looks like YouTube-VIS: use --dataset youtube-vis",
        "sequences": "it looks like BURST: use --dataset burst",
    },
    categories_required=False,
)

_NO_MASK = (b"null", b"[]", b'""', b"{}")
_USUAL = ("train2017", "val2017")
_FILES = (
    *("annotations/instances_{}.json", "instances_{}.json", "annotations/{}.json", "{}.json"),
    *("{}/_annotations.coco.json", "{}/annotations.json", "{}/instances.json"),
)
_FOUND = ("annotations/instances_*.json", "instances_*.json", "*/_annotations.coco.json")
_AFFIXES = re.compile(r"^(instances|stuff)_|\.coco$|^_annotations$")
_FOLDERS = ("{}", "images/{}", "{}/images", "train2017", "val2017", "images", "JPEGImages", "data", "")
_OF_2014 = re.compile(r"COCO_\w+_(\d{12}\.\w+)")


@dataclass(frozen=True, slots=True)
class Coco(JsonSplits):
    """Every object of COCO instance files. Source: Lin et al., ECCV 2014, cocodataset.org/#format-data.

    Args:
        root: holds ``annotations/instances_{split}.json`` (or the file itself, or ``{split}/_annotations.coco.json``),
            and the pictures in ``{split}/``, ``images/{split}/``, ``images/`` or beside the file.
        split: names with commas, ``all`` (every file that is there), or .json files below ``root``.
        crowds: a crowd region holds many objects: ``drop`` leaves it out and counts it, ``keep`` captions it.
    """

    root: Path
    split: str = "all"
    dataset: str = "coco"
    crowds: planner.DropOrKeep = "drop"

    sections: ClassVar[Mapping[str, type]] = planner.IMAGE_SECTIONS

    patterns: ClassVar[tuple[str, ...]] = _FILES
    usual: ClassVar[tuple[str, ...]] = _USUAL
    affixes: ClassVar[re.Pattern[str]] = _AFFIXES

    @staticmethod
    def recognise(folder: FolderContents) -> list[str]:
        """The files that give it away; see ``capgen.pipeline.sources.recognise``."""
        others = ("videos", "segments_info", "neg_category_ids")
        found = folder.with_keys("images", "annotations", "segmentation", without=others)
        return [name for name in found if not Path(name).name.startswith("lvis")]

    def _splits(self) -> tuple[str, ...]:
        """The splits whose files have one of the usual names, train first."""
        found: dict[str, None] = {}
        for pattern in _FOUND:
            for path in sorted(self.root.glob(pattern)):
                found[path.parent.name if path.name.startswith("_") else path.stem.removeprefix("instances_")] = None
        return tuple(sorted(found, key=lambda name: (not name.startswith("train"), name))) or _USUAL

    def _scan(self, split: str, path: Path) -> Iterator[PlannedMedia]:
        rows = read_sections(path, FORM, self.sections)
        images, annotations = rows["images"] or [], self._shaped(rows["annotations"] or [])
        check_masks(path, annotations)
        finder = picture_finder(self.root, split, path)
        finder.check((row.file_name or _of_url(row.coco_url) for row in images if row), "put the pictures there")

        def describe(media: PlannedMedia, row: planner.ImageRow) -> planner.Described:
            return describe_image(media, row, finder)

        listed = rows["categories"]
        categories = None if listed is None else common.read_categories(listed)
        join = planner.Planner(self.dataset, split, "image", categories, crowds=self.crowds)
        return join.plan(images, describe, annotations)

    @staticmethod
    def _shaped(rows: list[Any]) -> list[Any]:
        """The rows of annotations with their segmentations."""
        return rows


def check_masks(path: Path, rows: Iterable[planner.AnnotationRow | None]) -> None:
    """Refuse a file in which no object has a mask.

    Raises:
        UserError: it has boxes, or segments of panoptic PNGs.
    """
    looked = 0
    for row in rows:
        if row is not None and bytes(row.segmentation) not in _NO_MASK:
            return
        looked += row is not None
    if looked:
        raise UserError(
            f"{path}: not one of its {looked:,} annotations has a segmentation",
            "for boxes use --dataset boxes, for panoptic segments --dataset coco-panoptic",
        )


def picture_finder(root: Path, split: str, path: Path, *, any_suffix: bool = False) -> PictureFinder:
    """Where the pictures of a split may be: in folders of its name, in the usual ones, beside the annotation file."""
    names = dict.fromkeys((split, re.sub(r"\d{4}$", "", split)))
    folders = [folder.format(name) for name in names for folder in _FOLDERS if name]
    beside = path.parent.resolve()
    if beside.is_relative_to(root.resolve()):
        folders.append(beside.relative_to(root.resolve()).as_posix())
    names_of_folders = tuple(dict.fromkeys("" if name == "." else name for name in folders))
    return PictureFinder(root.absolute(), names_of_folders, any_suffix)


def describe_image(media: PlannedMedia, row: planner.ImageRow, finder: PictureFinder) -> planner.Described:
    """The image as a medium of one frame, whose name is relative to the root."""
    url = common.line(row.coco_url, 2000) if isinstance(row.coco_url, str) else None
    media = msgspec.structs.replace(media, coco_url=url, license=common.code(row.license))
    called = row.file_name or _of_url(row.coco_url)
    name = finder.find(called, _hints(row.coco_url)) or _without_prefix(called, finder) or finder.expected(called)
    fault = common.size_fault(row.width, row.height) if name else common.path_fault(called)
    if name is None or fault is not None:
        return media, fault
    return msgspec.structs.replace(media, file_names=(name,), width=int(row.width), height=int(row.height)), None


def _of_url(url: object) -> str | None:
    return url.rsplit("/", 1)[-1] if isinstance(url, str) and url else None


def _hints(url: object) -> tuple[str, ...]:
    """The folder that ``coco_url`` names, for pictures that are in none of the usual places."""
    parts = url.split("/") if isinstance(url, str) else []
    folder = common.safe_name(parts[-2]) if len(parts) > 1 else None
    return (folder, f"images/{folder}") if folder else ()


def _without_prefix(name: object, finder: PictureFinder) -> str | None:
    """``COCO_val2014_000000266409.jpg`` is ``000000266409.jpg`` in the folders of 2017."""
    found = _OF_2014.fullmatch(name.rsplit("/", 1)[-1]) if isinstance(name, str) else None
    return finder.find(found[1]) if found else None
