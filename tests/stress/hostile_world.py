"""Small LVIS and LV-VIS folders that somebody damaged: their JSON by structure and by byte, their pictures by kind.

``world(seed, number)`` is a function of its arguments alone, so that any case can be looked at again.
"""

from __future__ import annotations

import copy
import io
import json
import os
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from capgen import rle

WIDTH, HEIGHT = 40, 28
CANARY = "<img src=x onerror=capgen_canary()>"
TEMPLATE = "{{ 7777777 * 7 }}"
EXECUTED = "54444439"  # what TEMPLATE becomes where somebody runs it
SECRET = "secret.jpg"  # beside the root: a picture that fits, for a name that climbs

_SQUARE = [[4, 4, 20, 4, 20, 16, 4, 16]]
_LISTED = {"size": [HEIGHT, WIDTH], "counts": [300, 200, HEIGHT * WIDTH - 500]}
_BLOB = np.zeros((HEIGHT, WIDTH), dtype=np.bool_)
_BLOB[5:20, 8:30] = True
_TEXTED = {"size": [HEIGHT, WIDTH], "counts": rle.encode(_BLOB)}

_NAMES: tuple[Any, ...] = (
    *("../" + SECRET, "/etc/passwd", "train2017/../../" + SECRET, "..\\..\\" + SECRET, "C:\\x.jpg", "\\\\server\\x"),
    *("%2e%2e/" + SECRET, "file:///etc/passwd", "~/.ssh/id_rsa", "/proc/self/environ", "../", "..", ".", "", "a\0.jpg"),
    *("train2017/./000000000001.jpg", "train2017//000000000001.jpg", "pipe", "train2017/pipe", "link/" + SECRET),
    *("train2017", "00000", "\uff0e\uff0e/" + SECRET, "\ud800.jpg", "a\nb.jpg", "x" * 300, "é" * 200, "/dev/zero"),
    *("loop/x.jpg", "http://x.org/../" + SECRET, "http://x.org/a/..", "train2017/x.jpg/y.jpg", None, 7, [], ["a"]),
)
_TEXTS: tuple[Any, ...] = (
    *(CANARY, "<script>capgen_canary()</script>", TEMPLATE, "{% for x in y %}", "{0.__class__}", "%s%n", "${7*7}"),
    *("a\nb\r\n" * 9, "x" * 10_000, "\x1b[31mred", "\u2028", "\ud800", "\u202egnp", "]]>", "-->", "| a | b |", "---"),
    *("```", "# head", "[a](javascript:x)", "NaN", "\0", "", " ", "\ufeff", "12", "cup/../..", "~2", "no-id"),
)
_NUMBERS: tuple[Any, ...] = (
    *(0, 1, 2, 11, 12, -1, 1.0, 1.5, 2**31, 2**53 + 1, 2**63, 2**70, 10**90, -(2**63) - 1, 1e308, 5e-324),
    *(float("nan"), float("inf"), True, WIDTH, HEIGHT, 65_535, 65_536, 10**9),
)
_MASKS: tuple[Any, ...] = (
    *(
        [],
        [[]],
        {},
        [[1, 2, 3]],
        [_SQUARE],
        [_SQUARE, None],
        [None],
        [[9e9, 0, 0, 9e9, 1, 1]],
        [[-50, -50, -9, -9, -9, -50]],
    ),
    *(
        [[float("nan"), 0, 5, 5, 5, 0]],
        [[0, 0] * 40_000],
        [[0, 0, WIDTH, HEIGHT] * 9_000],
        _SQUARE[0],
        _LISTED,
        _TEXTED,
    ),
    *({"size": [WIDTH, HEIGHT], "counts": [WIDTH * HEIGHT]}, {"size": [HEIGHT, WIDTH]}, {"counts": [1120]}),
    *(
        {"size": [HEIGHT, WIDTH], "counts": counts}
        for counts in (
            "",
            "o" * 60,
            "PPP0",
            "\0",
            "~",
            "é",
            [1, -1, 1120],
            [1120],
            [0, 1120],
            [2**40],
            "b'0'",
            [0] * 9_999,
        )
    ),
    *({"size": size, "counts": "0"} for size in ([10**9, 10**9], [0, 0], [-1, -1], None, "28x40")),
)
_TOKENS = (
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"null",
    b"[",
    b"]",
    b"{",
    b"}",
    b'"',
    b"\\",
    b"\xff",
    b"\xc3",
    b"\0",
    b"\n",
    b",",
)


@dataclass(frozen=True, slots=True)
class World:
    """A folder to be: the annotation file's bytes and the files below the root; ``deeds`` says what was done."""

    form: str
    text: bytes
    files: dict[str, bytes]
    deeds: tuple[str, ...]

    def write(self, place: Path) -> Path:
        """Write it as ``place/root``, with a secret and an elsewhere beside it that the user linked to; the root."""
        root, elsewhere = place / "root", place / "elsewhere"
        name = "lvis_v1_train.json" if self.form == "lvis" else "train_instances.json"
        pictures = root if self.form == "lvis" else root / "train" / "JPEGImages"
        for folder in (elsewhere, pictures, root / "train2017"):
            folder.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(self.text)
        for folder in (place, place / "root" / "train", elsewhere):
            if folder.is_dir():
                (folder / SECRET).write_bytes(kinds()["jpg"])
        (pictures / "link").symlink_to(elsewhere)
        (pictures / "loop").symlink_to(pictures / "loop")
        os.mkfifo(pictures / "pipe")
        for file, data in self.files.items():
            path = pictures / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return root


def world(seed: int, number: int) -> World:
    """The case ``number`` of a seed: LVIS where it is even, LV-VIS where it is odd."""
    draw = random.Random(f"{seed}/{number}")
    form = ("lvis", "lv-vis")[number % 2]
    data: Any = copy.deepcopy(_lvis() if form == "lvis" else _lvvis())
    deeds: list[str] = []
    if draw.random() < 0.8:
        deeds += [change(data, draw) for _ in range(draw.randint(1, 4))]
    text = json.dumps(data, ensure_ascii=draw.random() < 0.9).encode("utf-8", "surrogatepass")
    if draw.random() < 0.25:
        text, deed = damage(text, draw)
        deeds.append(deed)
    files = {}
    for name in _pictures_of(form):
        if draw.random() < (0.45 if form == "lvis" else 0.2):
            kind, content = picture(draw)
            deeds.append(f"{name}: {kind}")
            if content is not None:
                files[name] = content
        else:
            files[name] = kinds()["jpg"]
    return World(form, text, files, tuple(deeds))


def _lvis() -> dict[str, Any]:
    url = "http://images.cocodataset.org/"
    names = _pictures_of("lvis")
    shapes: list[Any] = [_SQUARE, _LISTED, _TEXTED, [*_SQUARE, [25, 5, 35, 5, 30, 20]], _SQUARE, _LISTED]
    return {
        "images": [
            {"id": i, "width": WIDTH, "height": HEIGHT, "coco_url": url + name, "license": i}
            for i, name in enumerate(names, 1)
        ],
        "annotations": [
            {"id": 10 + i, "image_id": 1 + i // 2, "category_id": 1 + i % 3, "segmentation": mask}
            for i, mask in enumerate(shapes)
        ],
        "categories": _categories(),
    }


def _lvvis() -> dict[str, Any]:
    size = {"width": WIDTH, "height": HEIGHT}
    frames: list[list[Any]] = [[_LISTED, None, _TEXTED], [None, _SQUARE, None], [_TEXTED, _SQUARE], [None, _LISTED]]
    return {
        "videos": [
            {"id": 0, "file_names": ["00000/00000.jpg", "00000/00001.jpg", "00000/00002.jpg"], "length": 3, **size},
            {"id": 1, "file_names": ["00001\\00000.jpg", "00001/00001.jpg"], "length": 2, **size},
        ],
        "annotations": [
            {"id": 1 + i, "video_id": i // 2, "category_id": 1 + i % 3, "segmentations": mask}
            for i, mask in enumerate(frames)
        ],
        "categories": _categories(),
    }


def _categories() -> list[dict[str, Any]]:
    return [
        {"id": i, "name": name, "synonyms": [name, "thing"]} for i, name in ((1, "cup"), (2, "sea_lion"), (3, "sky"))
    ]


def _pictures_of(form: str) -> list[str]:
    if form == "lvis":
        return [f"train2017/{number:012d}.jpg" for number in (1, 2, 3)]
    return [f"{video:05d}/{frame:05d}.jpg" for video, frames in ((0, 3), (1, 2)) for frame in range(frames)]


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in children for place in _places(child, (*path, key)))]


def change(data: dict[str, Any], draw: random.Random) -> str:
    """One value replaced, deleted, repeated or moved; half of the time what usually stands there is respected."""
    places = _places(data)
    rows = [place for place in places if place and isinstance(place[-1], str) and len(place) > 2]
    place = draw.choice(rows if rows and draw.random() < 0.8 else [place for place in places if place] or [()])
    if not place:
        return "nothing left to change"
    parent: Any = data
    for key in place[:-1]:
        parent = parent[key]
    deed = draw.choice(("replace", "replace", "replace", "replace", "delete", "repeat", "swap"))
    where = ".".join(map(str, place))
    if deed == "delete":
        del parent[place[-1]]
    elif deed == "repeat" and isinstance(parent, list):
        parent.insert(draw.randrange(len(parent) + 1), copy.deepcopy(parent[place[-1]]))
    elif deed == "swap":
        other = draw.choice([place for place in places if place])
        parent[place[-1]] = copy.deepcopy(_at(data, other))
    else:
        parent[place[-1]] = _nasty(place[-1], parent[place[-1]], draw)
    return f"{deed} {where}"


def _at(data: Any, place: tuple[Any, ...]) -> Any:
    """What stands at a place; None where an earlier change took it away."""
    for key in place:
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _nasty(key: Any, old: Any, draw: random.Random) -> Any:
    if key == "counts" and isinstance(old, str) and draw.random() < 0.6:
        return damage(old.encode("utf-8", "replace"), draw)[0].decode("latin-1")
    if key == "file_names" and draw.random() < 0.6:
        return [draw.choice(_NAMES) for _ in range(draw.randint(0, 4))]
    fitting: dict[Any, tuple[Any, ...]] = {
        **dict.fromkeys(("coco_url", "file_name", "file_names"), _NAMES),
        **dict.fromkeys(("name", "synonyms"), _TEXTS),
        **dict.fromkeys(("id", "image_id", "video_id", "category_id", "width", "height", "license"), _NUMBERS),
        **dict.fromkeys(("segmentation", "segmentations", "counts", "size"), _MASKS),
    }
    choices = fitting.get(key, ()) if draw.random() < 0.75 else ()
    return copy.deepcopy(draw.choice(choices or draw.choice((_NAMES, _TEXTS, _NUMBERS, _MASKS))))


def damage(data: bytes, draw: random.Random) -> tuple[bytes, str]:
    """Bytes overwritten, removed or inserted; cut off; in another encoding; or packed."""
    deed = draw.choice(("bytes", "bytes", "bytes", "tokens", "cut", "utf-16", "bom", "gzip", "nested", "other"))
    if deed in ("bytes", "tokens"):
        out = bytearray(data)
        for _ in range(draw.randint(1, 6)):
            at, span = draw.randrange(len(out) + 1), draw.randint(0, 3)
            out[at : at + span] = draw.choice(_TOKENS) if deed == "tokens" else draw.randbytes(draw.randint(0, 3))
        return bytes(out), deed
    changed: dict[str, Callable[[], bytes]] = {
        "cut": lambda: data[: draw.randrange(len(data) + 1)],
        "utf-16": lambda: data.decode("utf-8", "replace").encode("utf-16"),
        "bom": lambda: b"\xef\xbb\xbf" + data,
        "gzip": lambda: b"\x1f\x8b\x08\x00" + zlib.compress(data),
        "nested": lambda: b'{"images": ' + b"[" * 50_000,
        "other": lambda: draw.choice((b"", b"\n", b"<html></html>", b"[]", b"{}", b"7", b'"x"', b"PAR1", b"null")),
    }
    return changed[deed](), deed


def picture(draw: random.Random) -> tuple[str, bytes | None]:
    """A picture of another kind, or of any kind with damage; None for one that is not there."""
    name = draw.choice((*kinds(), "missing"))
    if name == "missing":
        return name, None
    data = kinds()[name]
    if draw.random() < 0.5 or not data:
        return name, data
    if draw.random() < 0.4:
        return f"{name}, cut", data[: draw.randrange(len(data))]
    out = bytearray(data)
    for _ in range(draw.randint(1, 8)):
        at = draw.randrange(len(out)) if draw.random() < 0.4 else draw.randrange(min(len(out), 200))
        out[at] = draw.randrange(256)
    return f"{name}, damaged", bytes(out)


@cache
def kinds() -> dict[str, bytes]:
    """Pictures by what is special about them; ``jpg`` is the one that belongs there."""
    pixels = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6
    return {
        "jpg": _saved(image, "JPEG"),
        "progressive": _saved(image, "JPEG", progressive=True),
        "cmyk": _saved(image.convert("CMYK"), "JPEG"),
        "grey": _saved(image.convert("L"), "JPEG"),
        "turned": _saved(image, "JPEG", exif=exif),
        "turned to fit": _saved(image.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif),
        "other size": _saved(image.resize((WIDTH + 1, HEIGHT)), "JPEG"),
        "png": _saved(image, "PNG"),
        "alpha": _saved(image.convert("RGBA"), "PNG"),
        "palette": _saved(image.quantize(8), "PNG"),
        "16 bit": cv2.imencode(".png", pixels.astype(np.uint16) * 257)[1].tobytes(),
        "16 bit grey": cv2.imencode(".png", pixels[..., 0].astype(np.uint16) * 257)[1].tobytes(),
        **{kind.lower(): _saved(image, kind) for kind in ("WEBP", "BMP", "TIFF", "GIF", "PPM", "ICO", "PDF", "EPS")},
        "animated gif": _saved(image, "GIF", save_all=True, append_images=[image.rotate(9), image.rotate(18)]),
        "png bomb": _png(60_000, 60_000, b""),
        "png bomb that fits": _png(WIDTH, HEIGHT, zlib.compress(bytes(40_000_000))),
        "png text bomb": _png(WIDTH, HEIGHT, b"", (b"zTXt", b"a\0\0" + zlib.compress(bytes(40_000_000)))),
        "gif bomb": b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + b"\0\0\0,",
        "bmp bomb": b"BM" + struct.pack("<IIIIiiHH", 64, 0, 54, 40, 60_000, 60_000, 1, 24) + bytes(24),
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "empty": b"",
        "text": b"not a picture",
        "zip": b"PK\x03\x04" + bytes(60),
    }


def _saved(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def _png(width: int, height: int, content: bytes, *extra: tuple[bytes, bytes]) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), *extra, (b"IDAT", content), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body
