"""COCO files with boxes and no masks: Objects365, Open Images and Visual Genome in that form, detection exports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec

from capgen.pipeline.sources.images.coco import Coco
from capgen.pipeline.sources.reading import planner
from capgen.pipeline.sources.reading.common import CategoryRow
from capgen.pipeline.sources.reading.contents import FolderContents


class _BoxAnnotation(planner.ImageAnnotation, gc=False):
    bbox: msgspec.Raw = planner.NULL


@dataclass(frozen=True, slots=True)
class Boxes(Coco):
    """Every box of COCO files; masks, if there are any, are not looked at.

    Args:
        root, split, crowds: as for COCO.
    """

    dataset: str = "boxes"

    masks: ClassVar[bool] = False
    sections: ClassVar[Mapping[str, type]] = {
        "images": planner.ImageRow,
        "annotations": _BoxAnnotation,
        "categories": CategoryRow,
    }

    @staticmethod
    def recognise(folder: FolderContents) -> list[str]:
        """The files that give it away; see ``capgen.pipeline.sources.recognise``."""
        return folder.with_keys("images", "annotations", "bbox", without=("videos", "segments_info", "segmentation"))

    @staticmethod
    def _shaped(rows: list[Any]) -> list[Any]:
        """The rows with their boxes as segmentations."""
        for row in rows:
            if row is not None:
                bare = bytes(row.bbox) == b"null"
                row.segmentation = planner.NULL if bare else msgspec.Raw(b'{"box":' + bytes(row.bbox) + b"}")
        return rows
