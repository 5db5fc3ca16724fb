"""Measure an exported model with transformers alone, on worlds that training never saw.

::

    python -m experiments.embedded.scoring.evaluate --objects 1000 --out experiments/embedded/results/evaluate.json

Of images and of videos: as the pipeline asks; with the category told; the same captions held against another object of
the scene (the mark decides which one is meant); and without mark, the close-ups and the place replaced by the whole
picture's (a caption can only be right by chance).
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from capgen.dataset.types import Media, MediaObject
from capgen.pipeline.view import Picture, View
from capgen.sample.embedded_model import model_dir
from capgen.sample.scene import SceneObject, image_scene, video_scene
from capgen.sample.words import CATEGORIES, COLOURS, MOTIONS, SIZES, TEXTURES, caption, extent
from experiments.embedded.config import HERE, Config, load_config
from experiments.embedded.data import Kind, Requests, media_of

_KINDS: tuple[Kind, ...] = ("image", "video")
ATTRIBUTES = ("category", "colour", "texture", "size", "motion")
_WORDS: dict[str, dict[str, str]] = {
    "category": {item.name: item.words for item in CATEGORIES},
    "colour": {item.name: item.name for item in COLOURS},
    "texture": {item.name: item.name for item in TEXTURES},
    "size": {item.name: item.name for item in SIZES},
    "motion": {item.name: item.phrase for item in MOTIONS},
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request with what is true of the object it is about, and of another object of the same scene."""

    view: View
    truth: SceneObject
    other: SceneObject
    extent: float


class Captioner:
    """The exported model in transformers, asked greedily in batches."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self.processor = AutoProcessor.from_pretrained(folder)
        self.processor.tokenizer.padding_side = "left"
        self.model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()

    def answer(self, views: list[View], batch: int = 50) -> list[str]:
        """The captions of views that all show the same number of pictures."""
        said: list[str] = []
        for start in range(0, len(views), batch):
            said += self._answer(views[start : start + batch])
        return said

    def _answer(self, views: list[View]) -> list[str]:
        from PIL import Image

        texts = [self.processor.apply_chat_template(chat(v), add_generation_prompt=True) for v in views]
        images = [[Image.fromarray(p.pixels) for p in v.pictures] for v in views]
        inputs = self.processor(text=texts, images=images, padding=True, add_special_tokens=False, return_tensors="pt")
        with torch.inference_mode():
            out = self.model.generate(**inputs, do_sample=False, max_new_tokens=24)
        new = out[:, inputs["input_ids"].shape[1] :]
        texts = self.processor.batch_decode(new, skip_special_tokens=True)
        return [str(text) for text in texts]


def chat(view: View) -> list[dict[str, Any]]:
    """The messages of a view, pictures as placeholders."""
    parts = [{"type": "text", "text": p} if isinstance(p, str) else {"type": "image"} for p in view.parts]
    system = {"role": "system", "content": [{"type": "text", "text": view.system}]}
    return [system, {"role": "user", "content": parts}]


def questions(config: Config, kind: Kind, seed: int, objects: int, told: bool) -> Iterator[Asked]:
    """Requests about the first ``objects`` objects of a world."""
    requests, count, index = Requests.of(config), 0, 0
    while count < objects:
        scene = (image_scene if kind == "image" else video_scene)(seed, index)
        media = media_of(scene, kind, f"{seed}-{index}")
        views = list(requests.views(scene, media, np.full(len(media.objects), told)))
        for i, view in enumerate(views[: objects - count]):
            other = scene.objects[(i + 1) % len(views)]
            yield Asked(view, scene.objects[i], other, _extent(media, media.objects[i]))
            count += 1
        index += 1


def _extent(media: Media, obj: MediaObject) -> float:
    found = sorted(extent(box, media.width, media.height) for box in obj.boxes if box)
    return found[len(found) // 2]


def blind(view: View) -> View:
    """The view with its first clean picture in place of each close-up, and the whole picture as the place."""
    marked, clean = len(view.marked_frames), view.pictures[0]
    shown = [part for part in view.parts if isinstance(part, Picture)]
    pictures: list[str | Picture] = [*shown[: len(shown) - marked], *[clean] * marked]
    places = ", then ".join(["left 0, top 0, right 100, bottom 100"] * marked)
    return replace(view, parts=(view.parts[0], *pictures, f"Place: {places}. Caption:"))


def judge(text: str, truth: SceneObject) -> dict[str, str]:
    """Right, wrong or unsaid for every attribute that the object has; only the captioner's own words are looked for."""
    found = {}
    for name in ATTRIBUTES:
        value = getattr(truth, name)
        if value is None or (name == "motion" and truth.moving_s % 1):
            continue
        said = [key for key, words in _WORDS[name].items() if f" {words}" in text.replace(".", " ")]
        found[name] = "unsaid" if not said else "right" if said == [value] else "wrong"
    return found


def table(answers: list[tuple[str, SceneObject]]) -> dict[str, dict[str, float]]:
    """Right / (right + wrong + unsaid) and n by attribute, and the share of captions that are true word for word."""
    counts: dict[str, list[bool]] = defaultdict(list)
    for text, truth in answers:
        for name, verdict in judge(text, truth).items():
            counts[name].append(verdict == "right")
        counts["whole"].append(text == caption(truth))
    return {name: {"accuracy": sum(v) / len(v), "n": len(v)} for name, v in counts.items()}


def measure(captioner: Captioner, config: Config, kind: Kind, seed: int, objects: int) -> dict[str, Any]:
    """All tables of one kind."""
    asked = list(questions(config, kind, seed, objects, told=False))
    start = time.monotonic()
    said = captioner.answer([item.view for item in asked])
    rate = len(asked) / (time.monotonic() - start)
    told = list(questions(config, kind, seed, objects // 2, told=True))
    said_told = captioner.answer([item.view for item in told])
    lost = captioner.answer([blind(item.view) for item in asked[: objects // 2]])
    found: dict[str, Any] = {
        "objects": len(asked),
        "objects_per_second": round(rate, 1),
        "plain": table([(text, item.truth) for text, item in zip(said, asked, strict=True)]),
        "category told": table([(text, item.truth) for text, item in zip(said_told, told, strict=True)]),
        "against another object of the scene": table([(t, a.other) for t, a in zip(said, asked, strict=True)]),
        "without mark and close-up": table([(t, a.truth) for t, a in zip(lost, asked, strict=False)]),
    }
    found |= {f"by {name}": groups for name, groups in _groups(said, asked).items()}
    moved = [(s, a) for s, a in zip(said, asked, strict=True) if a.truth.category != a.other.category]
    found["caption follows the mark"] = {
        "the marked object's category": float(np.mean([judge(s, a.truth)["category"] == "right" for s, a in moved])),
        "the other object's category": float(np.mean([judge(s, a.other)["category"] == "right" for s, a in moved])),
        "n": len(moved),
    }
    found["wrong categories"] = _confusions(said, asked)
    return found


def _groups(said: list[str], asked: list[Asked]) -> dict[str, dict[str, Any]]:
    """Accuracy of the category against the object's extent and against how much of it is hidden."""
    extents, hidden = (0, 0.1, 0.21, 0.42, 1), (0, 0.01, 0.2, 0.4, 1)
    found: dict[str, dict[str, Any]] = {"extent": {}, "hidden": {}}
    for name, edges in (("extent", extents), ("hidden", hidden)):
        for low, high in pairwise(edges):
            rows = [
                (text, item.truth)
                for text, item in zip(said, asked, strict=True)
                if low <= (item.extent if name == "extent" else item.truth.hidden) < high
            ]
            if rows:
                found[name][f"{low}-{high}"] = table(rows)
    return found


def _confusions(said: list[str], asked: list[Asked]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for text, item in zip(said, asked, strict=True):
        for key, words in _WORDS["category"].items():
            if key != item.truth.category and f" {words}" in text.replace(".", " "):
                counts[f"{item.truth.category} called {key}"] += 1
    return dict(sorted(counts.items(), key=lambda pair: -pair[1])[:12])


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=None, help="default: the package's")
    parser.add_argument("--objects", type=int, default=1000, help="of each kind")
    parser.add_argument("--seed", type=int, default=None, help="of the world; default: the configuration's test seed")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "evaluate.json")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    config = load_config()
    seed = config.data.test_seed if options.seed is None else options.seed
    captioner = Captioner(options.model or model_dir())
    found = {kind: measure(captioner, config, kind, seed, options.objects) for kind in _KINDS}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"seed": seed, **found}, indent=2) + "\n", encoding="utf-8")
    for kind in _KINDS:
        print(kind, {name: round(cell["accuracy"], 3) for name, cell in found[kind]["plain"].items()})


if __name__ == "__main__":
    main()
