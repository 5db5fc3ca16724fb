"""The rows of the two releases' JSON files, built scene by scene. Source of the formats: LVIS v1 and LV-VIS."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from capgen import rle
from capgen.sample.polygons import polygons
from capgen.sample.scene import Scene
from capgen.sample.words import CATEGORIES, Category

JsonRow = dict[str, Any]
Split = Literal["train", "val"]

IDS: dict[str, int] = {name: i for i, name in enumerate(sorted(c.name for c in CATEGORIES), start=1)}
"""Category ids, from 1, in the order of the names, as LVIS numbers its own; both releases use them."""
LICENSE = {"id": 9, "name": "CC0 1.0 Universal", "url": "https://creativecommons.org/publicdomain/zero/1.0/"}
_PARTITION = {"f": 0, "c": 1, "r": 2}
_DATE = "2026-01-01 00:00:00"
_NEGATIVES = 3
_INFO = {
    "description": "capgen sample world: procedural scenes in the {} form",
    "url": "",
    "version": "1",
    "year": 2026,
    "contributor": "capgen",
    "date_created": _DATE,
}


def _info(form: str) -> JsonRow:
    return {**_INFO, "description": str(_INFO["description"]).format(form)}


def _by_id() -> list[Category]:
    return sorted(CATEGORIES, key=lambda category: IDS[category.name])


def _box(mask: NDArray[np.bool_]) -> list[float]:
    """The tight box [x, y, w, h] of a mask that has pixels."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    x, y = float(columns[0]), float(rows[0])
    return [x, y, float(columns[-1]) + 1 - x, float(rows[-1]) + 1 - y]


@dataclass(frozen=True, slots=True)
class LvisFile:
    """One ``lvis_v1_{split}.json`` in the making. Segmentations are kept as the text they become."""

    images: list[JsonRow] = field(default_factory=list)
    annotations: list[JsonRow] = field(default_factory=list)

    def add(self, scene: Scene, image_id: int, name: str) -> list[int]:
        """Add a picture that lies at ``name`` (folder/file); the ids of its objects' annotations, in their order."""
        height, width = scene.frames.shape[1:3]
        present = {IDS[item.category] for item in scene.objects}
        absent = [i for i in IDS.values() if i not in present]
        first = image_id * 7 % len(absent)
        self.images.append(
            {
                "id": image_id,
                "width": width,
                "height": height,
                "file_name": name,
                "flickr_url": "",
                "license": LICENSE["id"],
                "date_captured": _DATE,
                "neg_category_ids": sorted((absent + absent)[first : first + _NEGATIVES]),
                "not_exhaustive_category_ids": [],
            }
        )
        ids = []
        for item in scene.objects:
            ids.append(len(self.annotations) + 1)
            mask = item.masks[0]
            self.annotations.append(
                {
                    "id": ids[-1],
                    "image_id": image_id,
                    "category_id": IDS[item.category],
                    "segmentation": msgspec.Raw(msgspec.json.encode(polygons(mask))),
                    "area": float(np.count_nonzero(mask)),
                    "bbox": _box(mask),
                }
            )
        return ids

    def document(self, train: LvisFile) -> JsonRow:
        """The whole file; counts of images and instances are those of ``train``, as in both of LVIS' files."""
        instances = Counter(row["category_id"] for row in train.annotations)
        pictures = Counter(category for _, category in {(r["image_id"], r["category_id"]) for r in train.annotations})
        categories = [
            {
                "id": IDS[category.name],
                "name": category.name,
                "synset": f"{category.name}.n.01",
                "synonyms": list(category.synonyms),
                "def": category.definition,
                "frequency": category.frequency,
                "image_count": pictures[IDS[category.name]],
                "instance_count": instances[IDS[category.name]],
            }
            for category in _by_id()
        ]
        return {
            "info": _info("LVIS v1"),
            "licenses": [LICENSE],
            "images": self.images,
            "annotations": self.annotations,
            "categories": categories,
        }


@dataclass(frozen=True, slots=True)
class LvVisFile:
    """One ``{split}_instances.json`` in the making."""

    videos: list[JsonRow] = field(default_factory=list)
    annotations: list[JsonRow] = field(default_factory=list)

    def add(self, scene: Scene, video_id: int, names: list[str]) -> list[int]:
        """Add a video whose frames lie at ``names``; the ids of its objects' annotations, in their order."""
        length, height, width = scene.frames.shape[:3]
        size = {"height": height, "width": width, "length": length}
        self.videos.append({"id": video_id, **size, "file_names": names})
        ids = []
        for item in scene.objects:
            ids.append(len(self.annotations) + 1)
            row = {"id": ids[-1], "video_id": video_id, "category_id": IDS[item.category], "iscrowd": 0, **size}
            self.annotations.append(row | _track(item.masks))
        return ids

    def document(self) -> JsonRow:
        """The whole file."""
        categories = [{"id": IDS[c.name], "name": c.name, "partition": _PARTITION[c.frequency]} for c in _by_id()]
        return {
            "info": _info("LV-VIS"),
            "licenses": [LICENSE],
            "videos": self.videos,
            "annotations": self.annotations,
            "categories": categories,
        }


def _track(bitmaps: NDArray[np.bool_]) -> JsonRow:
    """Masks, areas and boxes by frame, null where the object is not seen."""
    size = [int(bitmaps.shape[1]), int(bitmaps.shape[2])]
    seen = [bool(mask.any()) for mask in bitmaps]
    pairs = list(zip(bitmaps, seen, strict=True))
    return {
        "segmentations": [{"size": size, "counts": rle.encode(mask)} if there else None for mask, there in pairs],
        "areas": [float(np.count_nonzero(mask)) if there else None for mask, there in pairs],
        "bboxes": [_box(mask) if there else None for mask, there in pairs],
    }
