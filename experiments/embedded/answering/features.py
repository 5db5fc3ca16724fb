"""Worlds as the captioner's vision tower sees them: its visual tokens of every picture, computed once, on disk.

::

    python -m experiments.embedded.answering.features --out /tmp/answers/pool --workers 2
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from capgen.sample.embedded_model import model_dir
from experiments.embedded.config import Config, load_config
from experiments.embedded.data import Kind, chunk_name, jobs, make_chunk
from experiments.embedded.packing import encode, pixels

FIRST_SEED = 1_010_000
"""Training worlds count up from here; those of the captioner's own training lie below."""
IMAGE_CHUNKS, VIDEO_CHUNKS = 24, 20
_AT_ONCE = 64


@dataclass(slots=True)
class Features:
    """Objects of one kind.

    Args:
        clean: visual tokens of each scene's clean pictures, float16 [S, C * tokens, width].
        close: of each object's close-ups, float16 [N, K * tokens, width].
        scene, text, labels: as ``Chunk`` has them.
    """

    clean: NDArray[np.float16]
    close: NDArray[np.float16]
    scene: NDArray[np.int32]
    text: NDArray[np.int16]
    labels: NDArray[np.int16]


def captioner() -> Any:
    """The embedded captioner in float32."""
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(model_dir(), dtype=torch.float32).eval()


def features(config: Config, model: Any, kind: Kind, seed: int, scenes: int) -> Features:
    """The first scenes of a world."""
    chunk = make_chunk(config, kind, seed, scenes)
    found = []
    with torch.inference_mode():
        for start in range(0, len(chunk.pictures), _AT_ONCE):
            shown = torch.from_numpy(chunk.pictures[start : start + _AT_ONCE])
            found.append(model.model.connector(encode(model, pixels(shown))).half().numpy())
    tokens = np.concatenate(found)

    def of(places: NDArray[np.int32]) -> NDArray[np.float16]:
        return np.asarray(tokens[places].reshape(len(places), -1, tokens.shape[-1]), np.float16)

    return Features(of(chunk.clean), of(chunk.close), chunk.scene, chunk.text, chunk.labels)


def load_features(path: Path) -> Features:
    """Read a file."""
    with np.load(path) as arrays:
        return Features(**{field.name: arrays[field.name] for field in dataclasses.fields(Features)})


def save_features(found: Features, path: Path) -> None:
    """Write a file so that no reader sees half of it."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, **{field.name: getattr(found, field.name) for field in dataclasses.fields(Features)})
    part.replace(path)


def _work(job: tuple[Config, Path, Kind, int, int]) -> str:
    config, out, kind, seed, scenes = job
    path = out / chunk_name(kind, seed)
    if not path.is_file():
        torch.set_num_threads(1)
        save_features(features(config, captioner(), kind, seed, scenes), path)
    return path.name


def main() -> None:
    """Write the files that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    os.nice(10)
    whole = load_config()
    data = dataclasses.replace(whole.data, first_seed=FIRST_SEED, image_chunks=IMAGE_CHUNKS, video_chunks=VIDEO_CHUNKS)
    config = dataclasses.replace(whole, data=data)
    with multiprocessing.get_context("spawn").Pool(options.workers) as pool:
        for name in pool.imap(_work, jobs(config, options.out)):
            print(name, flush=True)


if __name__ == "__main__":
    main()
