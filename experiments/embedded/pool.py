"""Draws batches from the chunks on disk; chunks that appear while the training runs are taken in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from capgen.sample.words import MOTIONS
from experiments.embedded.data import CLASSES, IGNORE, Chunk, Kind, load

_TURNING = [motion.name for motion in MOTIONS].index("turning")


@dataclass(slots=True)
class Batch:
    """Objects of a few scenes of one kind.

    Args:
        clean: uint8 [S * C, side, side, 3].
        close: uint8 [R * K, side, side, 3].
        scene: int64 [R].
        cover: uint8 [R * K, cells, cells].
        looks: int64 [R * K, 4]: category, colour, texture, turned.
        text, caption: int64 [R, ..], padded with -1.
        scenes, views: S and K.
    """

    clean: Tensor
    close: Tensor
    scene: Tensor
    cover: Tensor
    looks: Tensor
    text: Tensor
    caption: Tensor
    scenes: int
    views: int


def looks_of(labels: NDArray[np.int16], views: int) -> NDArray[np.int64]:
    """Category, colour, texture and whether the object is turned, of every close-up, [N * K, 4]."""
    looks = np.repeat(labels[:, None, :4].astype(np.int64), views, axis=1)
    looks[:, :, 3] = 0
    if views > 1:  # a turning object starts upright and ends turned
        looks[:, -1, 3] = labels[:, 4] == _TURNING
    return looks.reshape(-1, 4)


def batch_of(chunk: Chunk, scenes: list[int], objects: int, rng: np.random.Generator) -> Batch:
    """At most ``objects`` objects of each of those scenes."""
    chosen, scene = [], []
    for place, number in enumerate(scenes):
        rows = np.flatnonzero(chunk.scene == number)
        rows = rng.permutation(rows)[:objects]
        chosen.append(rows)
        scene += [place] * len(rows)
    rows = np.concatenate(chosen)
    close = chunk.close[rows]
    tensor = torch.from_numpy
    return Batch(
        clean=tensor(chunk.pictures[chunk.clean[scenes].reshape(-1)]),
        close=tensor(chunk.pictures[close.reshape(-1)]),
        scene=torch.tensor(scene),
        cover=tensor(chunk.cover[rows].reshape(-1, *chunk.cover.shape[2:])),
        looks=tensor(looks_of(chunk.labels[rows], close.shape[1])),
        text=tensor(chunk.text[rows].astype(np.int64)),
        caption=tensor(chunk.caption[rows].astype(np.int64)),
        scenes=len(scenes),
        views=close.shape[1],
    )


@dataclass(slots=True)
class Pool:
    """The chunks of a folder that belong to this process: every ``world``-th, from ``rank`` on."""

    folder: Path
    rank: int
    world: int
    rng: np.random.Generator
    chunks: dict[Kind, list[Chunk]] = field(default_factory=lambda: {"image": [], "video": []})
    names: set[str] = field(default_factory=set)

    def refresh(self, most: int = 1000) -> None:
        """Take in at most ``most`` chunks that are new."""
        paths = sorted(self.folder.glob("*-*.npz"))
        self.rng.shuffle(paths)
        for path in paths:
            kind, _, seed = path.stem.partition("-")
            mine = seed.isdigit() and (int(seed) // 2) % self.world == self.rank
            if mine and path.name not in self.names and most > 0:
                self.names.add(path.name)
                self.chunks["image" if kind == "image" else "video"].append(load(path))
                most -= 1

    def close_ups(self, count: int, video_share: float) -> tuple[Tensor, Tensor, Tensor]:
        """Close-ups for stage A: uint8 [B, side, side, 3], labels int64 [B, 4], masks uint8 [B, cells, cells].

        Half of them are flipped left to right, with which every label stays true.
        """
        found = []
        for kind, share in (("image", 1 - video_share), ("video", video_share)):
            for part in np.array_split(np.arange(round(count * share)), 4):
                chunk = self._chunk(kind)  # type: ignore[arg-type]
                n, views = chunk.close.shape
                take = self.rng.integers(0, n * views, len(part))
                looks = looks_of(chunk.labels[take // views], views)
                looks = looks.reshape(-1, views, 4)[np.arange(len(take)), take % views]
                cover = chunk.cover[take // views, take % views]
                found.append((chunk.pictures[chunk.close.reshape(-1)[take]], looks, cover))
        pictures, looks, cover = (np.concatenate(parts) for parts in zip(*found, strict=True))
        flip = self.rng.random(len(pictures)) < 0.5
        pictures[flip], cover[flip] = pictures[flip][:, :, ::-1], cover[flip][:, :, ::-1]
        return torch.from_numpy(pictures), torch.from_numpy(looks), torch.from_numpy(cover)

    def scenes(self, kind: Kind, count: int, objects: int) -> Batch:
        """Objects of ``count`` scenes of one chunk."""
        chunk = self._chunk(kind)
        return batch_of(chunk, self.rng.integers(0, len(chunk.clean), count).tolist(), objects, self.rng)

    def _chunk(self, kind: Kind) -> Chunk:
        chunks = self.chunks[kind]
        return chunks[int(self.rng.integers(len(chunks)))]


__all__ = ["CLASSES", "IGNORE", "Batch", "Pool", "batch_of", "looks_of"]
