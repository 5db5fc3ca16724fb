"""Fixtures: tiny datasets in the releases' formats, and one real vLLM engine for the whole run."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="capgen-tests-state-")  # records of runs stay out of the home

SHARED = Path(__file__).resolve().parents[1].parent / "shared"
_SLOW_LAST = ("ray", "vllm", "engines", "machines", "families")
_ONLY_IF_ASKED = ("engines", "machines", "families")


def pytest_collection_modifyitems(config, items):
    """Fast tests first, then those that start Ray, then those that start vLLM; further engines only if asked for."""
    left_out = [name for name in _ONLY_IF_ASKED if name not in config.option.markexpr]
    if left_out:
        wanted = [item for item in items if not any(item.get_closest_marker(name) for name in left_out)]
        config.hook.pytest_deselected(items=[item for item in items if item not in wanted])
        items[:] = wanted

    def rank(item):
        return max(
            (_SLOW_LAST.index(mark.name) + 1 for mark in item.iter_markers() if mark.name in _SLOW_LAST), default=0
        )

    items.sort(key=rank)


@pytest.fixture(scope="session")
def shared():
    """The reference data beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("the reference data (../shared) is not here")
    return SHARED


def write_lvis(root: Path, images: int = 6, objects: int = 3, split: str = "train", scale: int = 1) -> Path:
    """A tiny LVIS v1 folder: pictures of 64x48 (times `scale`) with `objects` rectangles each, the last without."""
    folder = root / "train2017"
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    pictures, annotations = [], []
    for image in range(1, images + 1):
        pixels = rng.integers(0, 255, (48 * scale, 64 * scale, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{image:012d}.jpg"), pixels)
        url = f"http://images.cocodataset.org/train2017/{image:012d}.jpg"
        pictures.append({"id": image, "width": 64 * scale, "height": 48 * scale, "coco_url": url})
        for number in range(objects if image < images else 0):
            x, y = 4 + 18 * number, 6 + image
            polygon = [x, y, x + 12, y, x + 12, y + 20, x, y + 20]
            annotations.append(
                {
                    "id": 100 * image + number,
                    "image_id": image,
                    "category_id": 1 + number % 2,
                    "segmentation": [[scale * value for value in polygon]],
                    "bbox": [scale * value for value in (x, y, 12, 20)],
                    "area": 240.0 * scale**2,
                }
            )
    categories = [
        {"id": 1, "name": "cup", "synonyms": ["cup", "mug"]},
        {"id": 2, "name": "tea_pot", "synonyms": ["tea_pot"]},
    ]
    body = {"images": pictures, "annotations": annotations, "categories": categories}
    (root / f"lvis_v1_{split}.json").write_text(json.dumps(body))
    return root


@pytest.fixture
def lvis_root(tmp_path):
    """Six pictures, fifteen objects."""
    return write_lvis(tmp_path / "lvis")
