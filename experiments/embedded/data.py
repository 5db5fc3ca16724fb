"""Requests made from worlds, in chunks on disk: the pipeline's own pictures and prompt text, and what is true.

A chunk is one world seed's first scenes of one kind. Generators write chunks while the training reads those that
are there::

    python -m experiments.embedded.data --out /tmp/pool --workers 2
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from capgen import rle
from capgen.dataset.types import Media, MediaObject
from capgen.pipeline.rendering.highlights.base import Fit, show
from capgen.pipeline.rendering.highlights.crop import window
from capgen.pipeline.rendering.prompt import load_prompt
from capgen.pipeline.rendering.render import Renderer
from capgen.pipeline.settings import RenderSettings
from capgen.pipeline.view import View
from capgen.sample.scene import Scene, SceneObject, image_scene, video_scene
from capgen.sample.words import CATEGORIES, CATEGORY, COLOURS, MOTIONS, SIZES, TEXTURES, caption
from experiments.embedded.config import Config, load_config
from experiments.embedded.tokenizer import build_tokenizer

Kind = Literal["image", "video"]
MAX_TEXT, MAX_CAPTION = 48, 16
IGNORE = -100
WORDS = (
    [item.name for item in CATEGORIES],
    [item.name for item in COLOURS],
    [item.name for item in TEXTURES],
    [item.name for item in SIZES],
    [item.name for item in MOTIONS],
)
"""What a sentence may say of each of these, by class number."""
CLASSES = tuple(len(names) for names in WORDS)
"""How many categories, colours, textures, sizes and motions there are."""


def media_of(scene: Scene, kind: Kind, key: str) -> Media:
    """A scene as the pipeline's sources give it to the renderer; its files are never read."""
    frames, height, width, _ = scene.frames.shape
    objects = tuple(_object(item, f"{key}/{number}", str(number)) for number, item in enumerate(scene.objects))
    return Media(
        dataset="world",
        split="train",
        media_id=key,
        kind=kind,
        file_names=("frame",) * frames,
        width=width,
        height=height,
        root=".",
        objects=objects,
    )


def _object(item: SceneObject, key: str, object_id: str) -> MediaObject:
    size = item.masks.shape[1:]
    counts = tuple(rle.encode(mask) if mask.any() else None for mask in item.masks)
    return MediaObject(
        key=key,
        object_id=object_id,
        category_id=None,
        category=item.category,
        synonyms=CATEGORY[item.category].synonyms,
        counts=counts,
        boxes=tuple(rle.box(c, size) if c else None for c in counts),
        areas=tuple(rle.area(c, size) if c else None for c in counts),
    )


def labels(item: SceneObject) -> tuple[int, ...]:
    """Category, colour, texture, size, motion as class numbers, ``IGNORE`` where nothing is true."""
    said = (item.category, item.colour, item.texture, item.size, item.motion)
    return tuple(IGNORE if word is None else names.index(word) for word, names in zip(said, WORDS, strict=True))


@dataclass(frozen=True, slots=True)
class Requests:
    """Makes requests of scenes as the pipeline would, with and without the category."""

    config: Config
    plain: Renderer
    told: Renderer

    @classmethod
    def of(cls, config: Config) -> Requests:
        """The renderers of a configuration."""
        pixels = config.render.side**2
        settings = RenderSettings(
            patch=config.vision.patch,
            clean_pixels=pixels,
            marked_pixels=pixels,
            square=True,
            margin=config.render.margin,
        )
        plain = load_prompt(config.data.prompt, category=False)
        return cls(config, Renderer(settings, plain), Renderer(settings, replace(plain, category=True)))

    def views(self, scene: Scene, media: Media, tell: NDArray[np.bool_]) -> Iterator[View]:
        """A view of each object, with its category where ``tell`` (bool [objects]) says so."""
        frames = dict(enumerate(scene.frames))
        clean = self.plain.clean(media, frames)
        for obj, told in zip(media.objects, tell, strict=True):
            yield (self.told if told else self.plain).view(media, obj, frames, clean)

    def target(self, media: Media, item: SceneObject, obj: MediaObject, index: int) -> NDArray[np.uint8]:
        """How much of each cell of the close-up on frame ``index`` the object covers, uint8 [cells, cells]."""
        render, cells = self.config.render, self.config.data.mask_cells
        box = obj.boxes[index]
        assert box is not None
        seen = window(box, (media.width, media.height), margin=render.margin, square=True)
        mask = np.repeat(item.masks[index].astype(np.uint8)[..., None] * np.uint8(255), 3, axis=2)
        picture = show(mask, seen, Fit(self.config.vision.patch, render.side**2, square=True))
        filled = np.where(picture[..., 0] == 128, 0, picture[..., 0]).astype(np.uint8)  # grey lies beyond the frame
        return np.asarray(cv2.resize(filled, (cells, cells), interpolation=cv2.INTER_AREA), dtype=np.uint8)


@dataclass(slots=True)
class Chunk:
    """Requests of one kind.

    Args:
        pictures: uint8 [P, side, side, 3].
        clean: picture numbers of each scene, int32 [S, C].
        scene: of each object, int32 [N].
        close: picture numbers of each object, int32 [N, K].
        cover: the target's mask on each close-up, uint8 [N, K, cells, cells].
        text: token ids of each object's text, padded with -1, int16 [N, MAX_TEXT].
        caption: likewise, the end token included, int16 [N, MAX_CAPTION].
        labels: int16 [N, 5], see ``labels``.
    """

    pictures: NDArray[np.uint8]
    clean: NDArray[np.int32]
    scene: NDArray[np.int32]
    close: NDArray[np.int32]
    cover: NDArray[np.uint8]
    text: NDArray[np.int16]
    caption: NDArray[np.int16]
    labels: NDArray[np.int16]


def _padded(ids: list[int], length: int) -> list[int]:
    if len(ids) > length:
        raise ValueError(f"{len(ids)} tokens, room for {length}")
    return ids + [-1] * (length - len(ids))


def make_chunk(config: Config, kind: Kind, seed: int, scenes: int) -> Chunk:
    """The first ``scenes`` scenes of world ``seed`` as requests."""
    requests = Requests.of(config)
    tokenizer = build_tokenizer(requests.told.prompt)
    rng = np.random.default_rng((seed, 17))
    pictures: list[NDArray[np.uint8]] = []
    columns: dict[str, list[Any]] = {
        name: [] for name in ("clean", "scene", "close", "cover", "text", "caption", "labels")
    }
    for index in range(scenes):
        scene = (image_scene if kind == "image" else video_scene)(seed, index)
        media = media_of(scene, kind, f"{seed}-{index}")
        tell = rng.random(len(media.objects)) < config.data.category_share
        for number, view in enumerate(requests.views(scene, media, tell)):
            item, obj = scene.objects[number], media.objects[number]
            shown = [picture.pixels for picture in view.pictures]
            clean = len(shown) - len(view.marked_frames)
            if number == 0:
                columns["clean"].append(range(len(pictures), len(pictures) + clean))
                pictures += shown[:clean]
            columns["scene"].append(index)
            columns["close"].append(range(len(pictures), len(pictures) + len(view.marked_frames)))
            pictures += shown[clean:]
            columns["cover"].append([requests.target(media, item, obj, i) for i in view.marked_frames])
            columns["text"].append(_padded(_ids(tokenizer, f" {view.parts[-1]}"), MAX_TEXT))
            columns["caption"].append(_padded([*_ids(tokenizer, caption(item)), tokenizer.eos_token_id], MAX_CAPTION))
            columns["labels"].append(labels(item))
    types = {"clean": np.int32, "scene": np.int32, "close": np.int32, "cover": np.uint8}
    arrays = {name: np.array(values, types.get(name, np.int16)) for name, values in columns.items()}
    return Chunk(np.stack(pictures), **arrays)


def _ids(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False).input_ids
    return ids


def chunk_name(kind: Kind, seed: int) -> str:
    """The file of a chunk."""
    return f"{kind}-{seed}.npz"


def save(chunk: Chunk, path: Path) -> None:
    """Write a chunk so that no reader sees half of it."""
    part = path.with_suffix(".part.npz")
    np.savez(part, **{name: getattr(chunk, name) for name in Chunk.__dataclass_fields__})
    part.replace(path)


def load(path: Path) -> Chunk:
    """Read a chunk."""
    with np.load(path) as arrays:
        return Chunk(**{name: arrays[name] for name in Chunk.__dataclass_fields__})


def _work(job: tuple[Config, Path, Kind, int, int]) -> str:
    config, out, kind, seed, scenes = job
    path = out / chunk_name(kind, seed)
    if not path.is_file():
        cv2.setNumThreads(1)
        save(make_chunk(config, kind, seed, scenes), path)
    return path.name


def jobs(config: Config, out: Path) -> list[tuple[Config, Path, Kind, int, int]]:
    """All chunks of the configuration, images and videos in turn, each kind with seeds of its own."""
    data, found = config.data, []
    for number in range(max(data.image_chunks, data.video_chunks)):
        seed = data.first_seed + 2 * number
        if number < data.image_chunks:
            found.append((config, out, "image", seed, data.images_per_chunk))
        if number < data.video_chunks:
            found.append((config, out, "video", seed + 1, data.videos_per_chunk))
    return found  # type: ignore[return-value]


def main() -> None:
    """Write the chunks that are missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("config.toml"))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--nice", type=int, default=15)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    os.nice(options.nice)
    with multiprocessing.get_context("spawn").Pool(options.workers) as pool:
        for name in pool.imap(_work, jobs(load_config(options.config), options.out)):
            print(name, flush=True)


if __name__ == "__main__":
    main()
