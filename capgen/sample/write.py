"""Writes the sample world as the two datasets are released, with ``facts.json``, the truth about every object, last.

``unfinished.json`` stands in the folder from the first file to the last, so that an interrupted world is never taken
for a whole one; the same command then writes it again, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from capgen.dataset.files import DiskTrouble, write_whole
from capgen.dataset.layout import lock_of
from capgen.dataset.lock import exclusive_file
from capgen.dataset.types import object_key
from capgen.errors import UserError
from capgen.sample.records import LvisFile, LvVisFile, Split
from capgen.sample.scene import Scene, SceneObject, empty_scene, image_scene, video_scene
from capgen.sample.words import CATEGORIES, CATEGORY, COLOURS, MOTIONS, SIZES, TEXTURES, caption

FACTS = "facts.json"
_UNFINISHED = "unfinished.json"
_VERSION = 1
_SPLITS: tuple[Split, ...] = ("train", "val")
WorldProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class WorldSummary:
    """What was written: pictures and videos, and the objects of each."""

    directory: Path
    images: int
    videos: int
    image_objects: int
    video_objects: int

    def __str__(self) -> str:
        parts = []
        if self.images:
            parts.append(f"{_count(self.images, 'image')} with {_count(self.image_objects, 'object')}")
        if self.videos:
            parts.append(f"{_count(self.videos, 'video')} with {_count(self.video_objects, 'object')}")
        return f"{' and '.join(parts)} in {self.directory}, what is true of them in {self.directory / FACTS}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class _Recipe:
    """What a world is made of; equal recipes give equal bytes."""

    version: int
    seed: int
    images: int
    videos: int


def write_world(
    directory: Path, *, images: int, videos: int, seed: int, progress: WorldProgress | None = None
) -> WorldSummary:
    """Write a world of so many pictures and videos. A smaller world of the same seed has the first of the same scenes.

    Args:
        directory: a new or empty folder, or one that the same command left unfinished.
        progress: told (done, total) scenes after each.

    Raises:
        UserError: a count or the seed is negative, both counts are zero, or the directory holds other things or
            cannot be written.
    """
    recipe = _Recipe(_VERSION, seed, images, videos)
    _check(recipe)
    facts: dict[str, Any] = {}

    def tell(done: int) -> None:
        if progress:
            progress(done, images + videos)

    if directory.exists() and not directory.is_dir():
        raise UserError(f"{directory} is a file", "name a new folder")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with exclusive_file(directory / _UNFINISHED):
            _claim(directory, recipe)
            if images:
                _write_images(directory / "lvis", recipe, facts, tell)
            image_objects = len(facts)
            if videos:
                _write_videos(directory / "lv-vis", recipe, facts, lambda done: tell(images + done))
            body = {**asdict(recipe), "objects": facts, "vocabulary": vocabulary()}
            _write_json(directory / FACTS, body)
            (directory / _UNFINISHED).unlink()
    except (OSError, DiskTrouble) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        what = f"cannot write the sample world to {directory}: {getattr(cause, 'strerror', None) or error}"
        raise UserError(what, "choose another folder or make room there") from error
    return WorldSummary(directory, images, videos, image_objects, len(facts) - image_objects)


def vocabulary() -> dict[str, dict[str, list[str]]]:
    """By attribute, every value and all the ways to say it, the way of our captions first."""
    return {
        "category": {c.name: [c.words, *(s.replace("_", " ") for s in c.synonyms[1:])] for c in CATEGORIES},
        "colour": {colour.name: [colour.name, *colour.synonyms] for colour in COLOURS},
        "texture": {texture.name: [texture.name, *texture.synonyms] for texture in TEXTURES},
        "size": {size.name: [size.name, *size.synonyms] for size in SIZES},
        "motion": {motion.name: [motion.phrase, *motion.synonyms] for motion in MOTIONS},
    }


def _check(recipe: _Recipe) -> None:
    for name in ("images", "videos", "seed"):
        if getattr(recipe, name) < 0:
            raise UserError(f"--{name} {getattr(recipe, name)} is negative", "give 0 or more")
    if not recipe.images and not recipe.videos:
        raise UserError("a sample world of 0 images and 0 videos is empty", "give --images or --videos, 1 or more")


def _claim(directory: Path, recipe: _Recipe) -> None:
    """Mark the folder as unfinished.

    Raises:
        UserError: it holds anything but what this recipe left unfinished.
    """
    mark = directory / _UNFINISHED
    body = msgspec.json.encode(asdict(recipe))
    if mark.is_file():
        if mark.read_bytes() != body:
            raise UserError(f"{directory} holds an unfinished sample world of other numbers", "delete it first")
    elif any(path != lock_of(mark) for path in directory.iterdir()):
        raise UserError(f"{directory} is not empty", "name a new folder, or delete this one first")
    write_whole(mark, body)


def _write_json(path: Path, body: Any) -> None:
    """Write a JSON file in one step."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(msgspec.json.encode(body))
    part.replace(path)


def _split(index: int) -> Split:
    """Every fifth scene is for validation, the first one too, so that the smallest world has one."""
    return "train" if index % 5 else "val"


def _write_images(root: Path, recipe: _Recipe, facts: dict[str, Any], tell: Callable[[int], None]) -> None:
    files = {split: LvisFile() for split in _SPLITS}
    for folder in ("train2017", "val2017"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for index in range(recipe.images):
        split = _split(index)
        # as in LVIS, a part of val lies among the pictures of train2017
        folder = "val2017" if split == "val" and index % 25 != 20 else "train2017"
        scene = (empty_scene if index % 41 == 17 else image_scene)(recipe.seed, index)
        name = f"{folder}/{index + 1:012d}.jpg"
        (root / name).write_bytes(scene.jpegs[0])
        ids = files[split].add(scene, index + 1, name)
        for item, annotation in zip(scene.objects, ids, strict=True):
            facts[object_key("lvis", split, str(index + 1), str(annotation))] = _fact("image", item, scene)
        tell(index + 1)
    for split, file in files.items():
        _write_json(root / f"lvis_v1_{split}.json", file.document(files["train"]))


def _write_videos(root: Path, recipe: _Recipe, facts: dict[str, Any], tell: Callable[[int], None]) -> None:
    files = {split: LvVisFile() for split in _SPLITS}
    for split in _SPLITS:
        (root / split / "JPEGImages").mkdir(parents=True, exist_ok=True)
    for index in range(recipe.videos):
        split = _split(index)
        folder = root / split / "JPEGImages"
        scene = video_scene(recipe.seed, index)
        names = [f"{index:05d}/{frame:05d}.jpg" for frame in range(len(scene.jpegs))]
        (folder / f"{index:05d}").mkdir(exist_ok=True)
        for name, jpeg in zip(names, scene.jpegs, strict=True):
            (folder / name).write_bytes(jpeg)
        ids = files[split].add(scene, index, names)
        for item, annotation in zip(scene.objects, ids, strict=True):
            facts[object_key("lv-vis", split, str(index), str(annotation))] = _fact("video", item, scene)
        tell(index + 1)
    for split, file in files.items():
        _write_json(root / f"{split}_instances.json", file.document())


def _fact(kind: str, item: SceneObject, scene: Scene) -> dict[str, Any]:
    """A row of ``facts.json``; ``area`` is the share of the picture, mean over the frames where it is visible."""
    pixels = np.count_nonzero(item.masks, axis=(1, 2))
    height, width = scene.frames.shape[1:3]
    return {
        "kind": kind,
        "category": item.category,
        "synonyms": list(CATEGORY[item.category].synonyms),
        "colour": item.colour,
        "texture": item.texture,
        "size": item.size,
        "motion": item.motion,
        "moving_s": item.moving_s,
        "area": round(int(pixels.sum()) / int(np.count_nonzero(pixels)) / (height * width), 6),
        "hidden": round(item.hidden, 4),
        "caption": caption(item),
    }
