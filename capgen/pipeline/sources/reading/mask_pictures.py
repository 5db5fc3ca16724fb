"""Pictures with their masks in picture files: in another folder, beside them, or in a folder a picture.

The masks of ``a.jpg`` are ``a.png``, ``a_mask.png``, ``a_mask_0.png``, ``a_1.png`` and so on, or all files of a folder
``a``. A file with several labels is several objects; a file with one is one object.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

import msgspec

from capgen.dataset.plan import PlannedMedia, PlannedObject
from capgen.dataset.types import Fault, Kind
from capgen.images import SUFFIXES, PictureFault, path_under, read_header, read_labels
from capgen.pipeline.sources.reading.mask_folders import (
    faulty,
    files_in,
    folders_in,
    labels_in,
    media_name,
    object_name,
    objects_among,
)
from capgen.pipeline.sources.reading.planner import Names

_MASKS = (".png", ".bmp", ".tif", ".tiff", ".gif", ".pgm")
_PHOTOS = (".jpg", ".jpeg", ".webp", ".avif")
_MARKED = re.compile(r"(.+)[_.-](?:mask|masks|seg|label|labels|gt|instance)(?:[_.-]?\d{1,6})?", re.IGNORECASE)
_MOST_OBJECTS = 1_000

BlankMedium = Callable[[str, str, Kind], PlannedMedia]


def lie_beside(folder: Path) -> bool:
    """Whether a folder holds pictures with masks beside them."""
    return any(masks for _, masks in _pairs(folder, folder))


def mask_files(root: Path, pictures_in: str, masks_in: str) -> Iterator[Path]:
    """Every mask file, in order."""
    for _, masks in _pairs(root / pictures_in, root / masks_in):
        yield from (root / masks_in / name for name in masks)


def pictures(
    blank: BlankMedium,
    split: str,
    root: Path,
    pictures_in: str,
    masks_in: str,
    ignore: Sequence[int],
    bounds: Path | None = None,
) -> Iterator[PlannedMedia]:
    """Every picture with the objects of its masks, pictures without masks too, in natural order.

    Args:
        bounds: the folder out of which no link may lead; None follows all links.
    """
    names = Names()
    for name, masks in _pairs(root / pictures_in, root / masks_in):
        media = blank(split, names.claim(media_name(PurePosixPath(name).stem)), "image")
        file = f"{pictures_in}/{name}" if pictures_in else name
        try:
            height, width = read_header(path_under(root, file, bounds)).size
        except PictureFault as fault:
            yield msgspec.structs.replace(media, objects=(faulty("no-id", Fault(fault.reason, fault.message)),))
            continue
        claimed = Names()
        read = partial(_objects, root, bounds, masks_in, name, ignore, claimed)
        objects = [one for mask in masks for one in read(mask)]
        yield msgspec.structs.replace(media, file_names=(file,), width=width, height=height, objects=tuple(objects))


def _objects(
    root: Path, bounds: Path | None, masks_in: str, picture: str, ignore: Sequence[int], names: Names, mask: str
) -> Iterator[PlannedObject]:
    file = f"{masks_in}/{mask}" if masks_in else mask
    try:
        values = frozenset(labels_in(read_labels(path_under(root, file, bounds), size=None, name=file)))
    except PictureFault as fault:
        yield faulty(names.claim("no-id"), Fault("mask_unreadable", f"its mask cannot be read: {fault.message}"))
        return
    numbers = objects_among(iter([values]), ignore)
    if len(numbers) > _MOST_OBJECTS:
        what = f"the mask {file} holds {len(numbers)} values: it is no picture of labels"
        yield faulty(names.claim("no-id"), Fault("bad_mask", what))
        return
    own = _own_number(PurePosixPath(picture).stem, mask)
    for number in numbers:
        called = own if own and len(numbers) == 1 else object_name(number, numbers)
        raw = msgspec.Raw(msgspec.json.encode({"png": file, "value": number, "form": "index"}))
        yield PlannedObject(object_id=names.claim(called), segmentation=raw)


def _own_number(stem: str, mask: str) -> str | None:
    """The number in a mask file's name, which is its object's id: ``2`` of ``a_mask_2.png`` and of ``a/2.png``."""
    path = PurePosixPath(mask)
    rest = path.stem if len(path.parts) > 1 else path.stem[len(stem) :]
    number = re.search(r"\d+$", rest)
    return number[0] if number else None


def _pairs(pictures_in: Path, masks_in: Path) -> Iterator[tuple[str, list[str]]]:
    """Each picture with the masks that are its own, by name, relative to the two folders."""
    same = pictures_in == masks_in
    files = files_in(pictures_in, SUFFIXES)
    photos = {PurePosixPath(name).stem for name in files if name.lower().endswith(_PHOTOS)}
    shown = [name for name in files if not (same and _is_mask(name, photos, files))]
    stems = {PurePosixPath(name).stem for name in shown}
    masks: dict[str, list[str]] = {}
    for name in files_in(masks_in, _MASKS):
        owner = _owner(PurePosixPath(name).stem, stems)
        if owner is not None and not (same and name in shown):
            masks.setdefault(owner, []).append(name)
    for folder in folders_in(masks_in) if not same else ():
        if folder in stems:
            masks.setdefault(folder, []).extend(f"{folder}/{name}" for name in files_in(masks_in / folder, _MASKS))
    for name in shown:
        yield name, masks.get(PurePosixPath(name).stem, [])


def _is_mask(name: str, photos: set[str], files: Sequence[str]) -> bool:
    """Whether a file among pictures is the mask of another one."""
    stem, is_photo = PurePosixPath(name).stem, name.lower().endswith(_PHOTOS)
    if is_photo:
        return False
    marked = _MARKED.fullmatch(stem)
    return stem in photos or (marked is not None and any(PurePosixPath(file).stem == marked[1] for file in files))


def _owner(stem: str, stems: set[str]) -> str | None:
    """The picture that a mask belongs to: of the same name, or of the name without what marks a mask."""
    if stem in stems:
        return stem
    marked = _MARKED.fullmatch(stem)
    if marked and marked[1] in stems:
        return marked[1]
    numbered = re.fullmatch(r"(.+)[_.-]\d{1,6}", stem)
    return numbered[1] if numbered and numbered[1] in stems else None
