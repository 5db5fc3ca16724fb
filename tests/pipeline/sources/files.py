"""Tiny annotation files in the LVIS and LV-VIS forms, and ways to break them."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from capgen.dataset.plan import PlannedMedia
from capgen.errors import UserError
from capgen.pipeline.sources.base import Source
from capgen.pipeline.sources.reading.decode import decode_media

SHARED = Path(__file__).resolve().parents[3] / ".." / "shared" / "data"

SQUARE = [[2.0, 2.0, 6.0, 2.0, 6.0, 6.0, 2.0, 6.0]]
RLE = {"size": [6, 8], "counts": [10, 4, 34]}


def lvis() -> dict[str, Any]:
    """Two pictures of 8 x 6 with three objects, and one without any."""
    pictures = {1: "train2017/000000000001.jpg", 2: "val2017/000000000002.jpg", 3: "train2017/000000000003.jpg"}
    url = "http://images.cocodataset.org/"
    return {
        "images": [
            {"id": i, "width": 8, "height": 6, "coco_url": url + name, "license": 4} for i, name in pictures.items()
        ],
        "annotations": [
            {"id": 11, "image_id": 1, "category_id": 1, "segmentation": SQUARE, "area": 16, "bbox": [2, 2, 4, 4]},
            {"id": 12, "image_id": 2, "category_id": 2, "segmentation": SQUARE, "area": 16, "bbox": [2, 2, 4, 4]},
            {"id": 13, "image_id": 1, "category_id": 2, "segmentation": RLE, "area": 4, "bbox": [1, 4, 1, 2]},
        ],
        "categories": [
            {"id": 1, "name": "alarm_clock", "synonyms": ["alarm_clock", "alarm"], "frequency": "f"},
            {"id": 2, "name": "wallet", "synonyms": ["wallet"], "frequency": "r"},
        ],
    }


def lvvis() -> dict[str, Any]:
    """A video of two frames with two tracks, one with Windows names, one without tracks."""
    size = {"width": 8, "height": 6}
    return {
        "videos": [
            {"id": 0, "file_names": ["00000/00000.jpg", "00000/00001.jpg"], "length": 2, **size},
            {"id": 1, "file_names": ["00001\\00000.jpg"], "length": 1, **size},
            {"id": 2, "file_names": ["00002/00000.jpg"], "length": 1, **size},
        ],
        "annotations": [
            {"id": 1, "video_id": 0, "category_id": 7, "segmentations": [RLE, None], "bboxes": [[1, 4, 1, 2], None]},
            {"id": 2, "video_id": 0, "category_id": 9, "segmentations": [None, SQUARE]},
            {"id": 3, "video_id": 1, "category_id": 7, "segmentations": [RLE], "caption": "A wallet."},
        ],
        "categories": [{"id": 7, "name": "wallet", "partition": 0}, {"id": 9, "name": "sea_lion", "partition": 2}],
    }


def lvis_root(root: Path, data: object, name: str = "lvis_v1_train.json") -> Path:
    """A root with the pictures' folders and ``data`` as annotation file."""
    for folder in ("train2017", "val2017"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    return put(root, name, data)


def lvvis_root(root: Path, data: object, name: str = "train_instances.json") -> Path:
    """A root with the frames' folder and ``data`` as annotation file."""
    (root / "train" / "JPEGImages").mkdir(parents=True, exist_ok=True)
    return put(root, name, data)


def put(root: Path, name: str, data: object) -> Path:
    """Write ``data`` as JSON, or as it is where it is bytes."""
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    return root


_MASK = {"size": [6, 8]}
_NASTY_TEXT: list[Any] = [
    "../../etc/passwd",
    "/etc/passwd",
    "a\0b",
    "x" * 300,
    "{{ 7 * 7 }}",
    "<script>",
    "a\nb" * 99,
    "12",
]
_NASTY_NUMBERS: list[Any] = [
    12,
    11,
    1,
    1.0,
    -1,
    0,
    2**53 + 1,
    2**70,
    10**90,
    1e308,
    5e-324,
    float("nan"),
    float("inf"),
    True,
]
_NASTY_MASKS: list[Any] = [
    *([[1, 2, 3]], [[]], [], {}, [[9e9, 0, 0, 9e9, 1, 1]], [SQUARE, None], {"size": [8, 6], "counts": [48]}),
    *(_MASK | {"counts": counts} for counts in ("o" * 40, "", "PPP0", [1, -1, 48], [10, 4, 34], [48])),
]
_NASTY = st.sampled_from(_NASTY_TEXT + _NASTY_NUMBERS + _NASTY_MASKS)
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | _NASTY
_JSON = st.recursive(
    _LEAVES, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=4), x, max_size=2), max_leaves=4
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in children for place in _places(child, (*path, key)))]


@st.composite
def mutated(draw: st.DrawFn, valid: dict[str, Any]) -> Any:
    """``valid`` with up to four of its values replaced, deleted or repeated."""
    data = copy.deepcopy(valid)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.sampled_from(_places(data)))
        if not place:
            data = copy.deepcopy(draw(_JSON)) if draw(st.integers(0, 9)) == 0 else data
            continue
        parent = data
        for key in place[:-1]:
            parent = parent[key]
        deed = draw(st.sampled_from(["replace", "replace", "delete", "repeat"]))
        if deed == "delete":
            del parent[place[-1]]
        elif deed == "repeat" and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[place[-1]]))
        else:
            parent[place[-1]] = copy.deepcopy(draw(_JSON))
        if not isinstance(data, dict):
            break
    return data


@st.composite
def damaged(draw: st.DrawFn, valid: dict[str, Any]) -> bytes:
    """The text of ``valid`` cut, or with a few bytes of it overwritten, removed or inserted."""
    text = bytearray(json.dumps(valid).encode())
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = start + draw(st.integers(0, 3)) if draw(st.booleans()) else len(text) if draw(st.booleans()) else start
        text[start:end] = draw(
            st.binary(max_size=3) | st.sampled_from([b"NaN", b"-Infinity", b"1e999", b"\n", b'"', b"null"])
        )
    return bytes(text)


def annotations_in(text: bytes) -> int | None:
    """How many annotations Python's own parser sees; None where it sees no list of them."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    rows = data.get("annotations") if isinstance(data, dict) else None
    return len(rows) if isinstance(rows, list) else None


def reasons(media: list[PlannedMedia]) -> dict[str, str | None]:
    """The planned objects' reasons by media_id/object_id."""
    return {f"{medium.media_id}/{item.object_id}": item.reason for medium in media for item in medium.objects}


def check_accounts(source: Callable[[Path], Source], put_file: Callable[[Path, object], Path], text: bytes) -> None:
    """Either one line for the user, or as many planned objects as the file has annotations, each with its own key."""
    with tempfile.TemporaryDirectory() as folder:
        root = put_file(Path(folder), text)
        refusal, media = None, []
        try:
            media = list(source(root).scan())
        except UserError as error:
            refusal = str(error)
    if refusal is not None:
        assert refusal
        assert "\n" not in refusal
        return
    found, expected = reasons(media), annotations_in(text)
    assert sum(len(medium.objects) for medium in media) == len(found)
    assert expected is None or len(found) == expected
    for medium in media:
        assert all(not name.startswith("/") and ".." not in name.split("/") for name in medium.file_names)
        for item in decode_media(medium, "").objects:
            assert (item.fault is None) == bool(item.visible)
            assert len(item.counts) == len(item.boxes) == len(item.areas) == len(medium.file_names)


def picture(path: Path, size: tuple[int, int] = (6, 8)) -> Path:
    """A black picture of (height, width) pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((*size, 3), np.uint8)).save(path)
    return path


def palette(path: Path, ids: Any) -> Path:
    """A palette PNG whose indices are ``ids`` and whose colours are others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(ids, np.uint8), mode="P")
    image.putpalette([value for i in range(256) for value in (i * 7 % 256, i * 13 % 256, 200)])
    image.save(path)
    return path


def coloured(path: Path, ids: Any) -> Path:
    """A PNG whose colours are ids: R + 256 G + 256^2 B."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = np.asarray(ids, np.uint32)
    Image.fromarray(np.stack([ids & 255, ids >> 8 & 255, ids >> 16 & 255], -1).astype(np.uint8)).save(path)
    return path


def square(value: int, at: tuple[int, int] = (1, 1), others: Any = 0) -> Any:
    """Labels [6, 8]: ``value`` on a square of 3 x 3 pixels whose corner is (row, column) ``at``."""
    ids = np.full((6, 8), others, np.uint32)
    ids[at[0] : at[0] + 3, at[1] : at[1] + 3] = value
    return ids


def areas(media: PlannedMedia, root: Path) -> dict[str, tuple[int | None, ...] | str]:
    """Of each object the pixels frame by frame, or the reason why it has none."""
    found = decode_media(media, root).objects
    return {item.object_id: item.fault.reason if item.fault else item.areas for item in found}
