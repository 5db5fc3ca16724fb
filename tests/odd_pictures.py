"""Picture files of unusual kinds, each with the pixels that every reader must see."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

HEIGHT, WIDTH = 24, 40


def scene() -> np.ndarray:
    """uint8 [24, 40, 3]: four quarters of different colours, so that turns and swapped channels are seen."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:12, :20], pixels[:12, 20:] = (220, 30, 30), (30, 220, 30)
    pixels[12:, :20], pixels[12:, 20:] = (30, 30, 220), (200, 200, 200)
    return pixels


def _grey() -> np.ndarray:
    return np.repeat(np.linspace(20, 240, WIDTH).astype(np.uint8)[None], HEIGHT, 0)


def _rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, 2)


def _laid(alpha: int) -> np.ndarray:
    return np.round(scene() * (alpha / 255)).astype(np.uint8)


def _sixteen_bit(path: Path) -> np.ndarray:
    cv2.imwrite(str(path), _grey().astype(np.uint16) * 257)
    return _rgb(_grey())


def _sixteen_bit_colour(path: Path) -> np.ndarray:
    cv2.imwrite(str(path), scene()[..., ::-1].astype(np.uint16) * 257)
    return scene()


def _saved(image: Callable[[], Image.Image], pixels: Callable[[], np.ndarray], **options) -> Callable:
    def make(path: Path) -> np.ndarray:
        image().save(path, **options)
        return pixels()

    return make


def _rgba() -> Image.Image:
    return Image.fromarray(np.dstack([scene(), np.full((HEIGHT, WIDTH), 128, np.uint8)]))


def _grey_alpha() -> Image.Image:
    return Image.fromarray(np.dstack([_grey(), np.full((HEIGHT, WIDTH), 128, np.uint8)]), mode="LA")


def _palette() -> Image.Image:
    return Image.fromarray(scene()).quantize(4)


def _transparent_palette() -> Image.Image:
    """The top left quarter is transparent."""
    image = _palette()
    image.info["transparency"] = image.getpixel((0, 0))
    return image


def _without_corner() -> np.ndarray:
    pixels = scene()
    pixels[:12, :20] = 0
    return pixels


def _one_bit() -> np.ndarray:
    return np.where(_rgb(_grey()) > 127, 255, 0).astype(np.uint8)


def _shades(mode: str = "RGB") -> list[Image.Image]:
    return [Image.fromarray(np.roll(scene(), 10 * i, axis=1)).convert(mode) for i in range(1, 4)]


def _animated(path: Path) -> np.ndarray:
    options = {"lossless": True} if path.suffix == ".webp" else {}
    timed = {} if path.suffix == ".tif" else {"duration": 200}
    Image.fromarray(scene()).save(path, save_all=True, append_images=_shades(), **timed, **options)
    return scene()


def _turned(orientation: int) -> Callable:
    """A file that is the scene only after its EXIF orientation, a quarter turn, is applied."""
    back = {5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90}
    back |= {7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270}

    def make(path: Path) -> np.ndarray:
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(scene()).transpose(back[orientation]).save(path, exif=exif, quality=95, subsampling=0)
        return scene()

    return make


ODD: dict[str, Callable[[Path], np.ndarray]] = {
    "plain.png": _saved(lambda: Image.fromarray(scene()), scene),
    "plain.jpg": _saved(lambda: Image.fromarray(scene()), scene, quality=95, subsampling=0),
    "sixteen_bit_grey.png": _sixteen_bit,
    "sixteen_bit_grey.tif": _sixteen_bit,
    "sixteen_bit_grey.pgm": _sixteen_bit,
    "sixteen_bit_colour.png": _sixteen_bit_colour,
    "cmyk.jpg": _saved(lambda: Image.fromarray(scene()).convert("CMYK"), scene, quality=95, subsampling=0),
    "palette.png": _saved(_palette, scene),
    "transparent_palette.png": _saved(_transparent_palette, _without_corner),
    "transparent_palette.gif": _saved(_transparent_palette, _without_corner),
    "rgba.png": _saved(_rgba, lambda: _laid(128)),
    "rgba.webp": _saved(_rgba, lambda: _laid(128), lossless=True),
    "grey_alpha.png": _saved(_grey_alpha, lambda: _rgb(np.round(_grey() * (128 / 255)).astype(np.uint8))),
    "one_bit.png": _saved(lambda: Image.fromarray(_one_bit()[..., 0]).convert("1"), _one_bit),
    "grey.jpg": _saved(lambda: Image.fromarray(_grey()), lambda: _rgb(_grey()), quality=95),
    "plain.bmp": _saved(lambda: Image.fromarray(scene()), scene),
    "plain.ppm": _saved(lambda: Image.fromarray(scene()), scene),
    "animated.gif": _animated,
    "animated.webp": _animated,
    "animated.png": _animated,
    "pages.tif": _animated,
    "turned_5.jpg": _turned(5),
    "turned_6.jpg": _turned(6),
    "turned_7.jpg": _turned(7),
    "turned_8.jpg": _turned(8),
}
"""By file name: writes the file, gives uint8 [24, 40, 3]."""

ANIMATED = ("animated.gif", "animated.webp", "animated.png", "pages.tif")


def frames() -> list[np.ndarray]:
    """The frames of the animated ones."""
    return [scene(), *(np.asarray(image) for image in _shades())]
