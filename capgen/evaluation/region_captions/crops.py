"""Square crops of regions with the pixels outside the mask removed, so that a score sees the object alone.

CLIP on a plain crop prefers what is near the object over the object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from capgen import rle
from capgen.errors import UserError
from capgen.evaluation.reading.detections import to_rle
from capgen.evaluation.reading.fields import FieldError, as_id, as_number, as_size, as_text, shown
from capgen.evaluation.region_captions.json_files import read_json_file
from capgen.images import Pixels, path_under, read_picture
from capgen.rle import Size


@dataclass(frozen=True, slots=True)
class PictureRegion:
    """An object in a picture: its annotation, and the picture's name and size (height, width; 0, 0 if not said)."""

    key: str
    file_name: str
    size: Size
    annotation: Mapping[str, Any]


@dataclass(slots=True)
class RegionCrops:
    """The regions of a COCO file by the ids of its annotations, with their pictures in a folder."""

    file: Path
    folder: Path
    regions: Mapping[str, PictureRegion]
    _last: tuple[str, Pixels] | None = field(default=None, repr=False)

    @classmethod
    def open(cls, file: Path, folder: Path) -> RegionCrops:
        """Read ``images`` and ``annotations`` of a COCO file; a region's key is its annotation's ``key``, else ``id``.

        Raises:
            UserError: the file is none.
        """
        return cls(file, folder, {region.key: region for region in _regions(file)})

    def crop(self, key: str, nothing: tuple[int, int, int]) -> Pixels:
        """The box of the region's mask, RGB, squared with ``nothing``, which also stands for pixels outside the mask.

        Raises:
            UserError: there is no such region, or its mask or picture cannot be read.
        """
        pixels, mask = self.picture(key), self.mask(key)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            raise UserError(f"{self.file}: the mask of region {key} is empty", "take the region out")
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        cut, inside = pixels[box], mask[box]
        side = max(cut.shape[:2])
        square = np.full((side, side, 3), nothing, np.uint8)
        top, left = (side - cut.shape[0]) // 2, (side - cut.shape[1]) // 2
        square[top : top + cut.shape[0], left : left + cut.shape[1]][inside] = cut[inside]
        return square

    def picture(self, key: str) -> Pixels:
        """The picture that the region is in, RGB [height, width, 3].

        Raises:
            UserError: there is no such region or picture.
        """
        region = self._region(key)
        if self._last is None or self._last[0] != region.file_name:
            path = path_under(self.folder, region.file_name)
            size = region.size if all(region.size) else None
            self._last = (region.file_name, read_picture(path, size=size, name=region.file_name))
        return self._last[1]

    def mask(self, key: str) -> Any:
        """The region's mask, bool [height, width]; its box where it has no segmentation.

        Raises:
            UserError: it has neither, or one that is none.
        """
        region, size = self._region(key), self.picture(key).shape[:2]
        try:
            return _mask(region.annotation, (size[0], size[1]))
        except FieldError as error:
            raise UserError(f"{self.file}: annotation {key} {error.what}", error.remedy) from error

    def _region(self, key: str) -> PictureRegion:
        if key not in self.regions:
            raise UserError(f"{self.file} has no region {key}", "use the ids of its annotations as keys")
        return self.regions[key]


def _mask(annotation: Mapping[str, Any], size: Size) -> Any:
    segmentation = annotation.get("segmentation")
    if segmentation:
        return decode_mask(segmentation, size)
    box = annotation.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        raise FieldError("has neither a segmentation nor a bbox", "give its shape")
    x, y, width, height = (as_number(value, "bbox") for value in box)
    mask = np.zeros(size, np.bool_)
    mask[max(0, round(y)) : max(0, round(y + height)), max(0, round(x)) : max(0, round(x + width))] = True
    return mask


def decode_mask(segmentation: Any, size: Size) -> Any:
    """Polygons or an RLE of COCO as a bool [height, width] mask.

    Raises:
        FieldError: it is neither, or of another size.
    """
    try:
        found = to_rle(segmentation, size)
        if tuple(found["size"]) != size:
            raise ValueError(f"its size {found['size']} is not the picture's {list(size)}")
        return rle.decode(rle.compressed(found["counts"], size).decode("ascii"), size)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        reason = " ".join(str(error).split())[:120]
        raise FieldError(f"has a segmentation that is no mask of its picture ({reason})", "encode it again") from error


def _regions(file: Path) -> list[PictureRegion]:
    whole = read_json_file(file)
    lists = [whole.get(name) if isinstance(whole, dict) else None for name in ("images", "annotations")]
    if not all(isinstance(one, list) and all(isinstance(row, dict) for row in one) for one in lists):
        raise UserError(f"{file} has no lists images and annotations", "give a COCO file of the regions")
    images, annotations = lists
    try:
        pictures = {
            str(as_id(image.get("id"), "id")): (
                as_text(image.get("file_name"), "file_name"),
                (as_size(image.get("height"), "height"), as_size(image.get("width"), "width")),
            )
            for image in images or ()
        }
        found = []
        for one in annotations or ():
            image = str(as_id(one.get("image_id"), "image_id"))
            if image not in pictures:
                raise FieldError(f"names the image {shown(image)}, which is not there", "add it to images")
            found.append(PictureRegion(str(as_id(one.get("key", one.get("id")), "id")), *pictures[image], one))
    except FieldError as error:
        raise UserError(f"{file}: an entry {error.what}", error.remedy) from error
    return found
