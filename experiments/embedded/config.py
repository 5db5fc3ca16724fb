"""``config.toml`` as types."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capgen.errors import UserError

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Which worlds, how many scenes of each kind a chunk, and how requests are made of them."""

    prompt: str
    first_seed: int
    validation_seed: int
    test_seed: int
    image_chunks: int
    video_chunks: int
    images_per_chunk: int
    videos_per_chunk: int
    category_share: float
    mask_cells: int


@dataclass(frozen=True, slots=True)
class RenderConfig:
    """``side`` pixels of every picture, ``margin`` of a close-up in box sides."""

    side: int
    margin: float


@dataclass(frozen=True, slots=True)
class VisionConfig:
    """The vision tower; ``merge`` x ``merge`` patches become one visual token."""

    width: int
    layers: int
    heads: int
    mlp: int
    patch: int
    merge: int


@dataclass(frozen=True, slots=True)
class TextConfig:
    """The language model."""

    width: int
    layers: int
    heads: int
    mlp: int


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """The two stages: heads on close-ups (A), then captions (B)."""

    seed: int
    teacher_minutes: float
    stage_a_minutes: float
    stage_b_minutes: float
    decay_from: float
    final_lr: float
    batch_a: int
    video_share: float
    batch_images: int
    batch_videos: int
    objects: int
    captions_every: int
    replays: int
    lr: float
    teacher_lr: float
    weight_decay: float
    clip: float
    mask_weight: float
    guide_weight: float
    heads_weight: float
    save_minutes: float
    evaluate_minutes: float


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that decides what the training makes."""

    name: str
    data: DataConfig
    render: RenderConfig
    vision: VisionConfig
    text: TextConfig
    train: TrainConfig

    @property
    def grid(self) -> int:
        """Patches a side of a picture."""
        return self.render.side // self.vision.patch

    @property
    def tokens(self) -> int:
        """Visual tokens of a picture."""
        return (self.grid // self.vision.merge) ** 2


_TABLES: dict[str, type[Any]] = {
    "data": DataConfig,
    "render": RenderConfig,
    "vision": VisionConfig,
    "text": TextConfig,
    "train": TrainConfig,
}


def load_config(path: Path = HERE / "config.toml") -> Config:
    """The configuration of a file.

    Raises:
        UserError: a key is missing or unknown.
    """
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    parts: dict[str, Any] = {"name": tables.pop("name", path.stem)}
    for name, kind in _TABLES.items():
        table = tables.pop(name, {})
        known = {field.name for field in dataclasses.fields(kind)}
        wrong = sorted(set(table) ^ known)
        if wrong:
            raise UserError(
                f"{path}: [{name}] {wrong[0]} is missing or unknown", f"its keys: {', '.join(sorted(known))}"
            )
        parts[name] = kind(**table)
    if tables:
        raise UserError(f"{path}: unknown table {sorted(tables)[0]!r}", f"known: {', '.join(_TABLES)}")
    return Config(**parts)
