"""One way from a picture file to pixels: uint8 [height, width, 3], red, green, blue. Files are not trusted.

Every part of capgen sees a picture through this module, so that training, prediction, captioning, benchmarks and pages
see the same pixels:

- 16-bit samples keep their high byte; grey, palettes and CMYK become RGB; transparency lies on black.
- With the size that annotations declare, pixels are as stored, and turned as the EXIF orientation says only where the
  turned picture alone has that size. Without it the picture is turned upright, as viewers show it.
- Of an animated file (GIF, WebP, AVIF, APNG, multi-page TIFF) a still is the first frame; ``read_animation`` gives all.

Only the formats of ``FORMATS`` are opened, recognised by their content; Pillow starts no program for any of them.
"""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath, PureWindowsPath

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from capgen.buckets.roots import here
from capgen.buckets.store import TooLarge
from capgen.encoding import leads_below
from capgen.errors import UserError
from capgen.rle import Size

Pixels = NDArray[np.uint8]
"""uint8 [height, width, 3], red, green, blue."""
Labels = NDArray[np.uint32]
"""uint32 [height, width]: which object each pixel belongs to."""

MAX_PIXELS = 80_000_000
"""Of one frame; below the size at which Pillow warns."""
MAX_BYTES = 1 << 29
"""Of one file."""
MAX_FRAMES = 100_000
"""Of one animated file."""
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
SUFFIXES = (
    ".avif",
    ".bmp",
    ".gif",
    ".jpeg",
    ".jpg",
    ".pbm",
    ".pgm",
    ".png",
    ".pnm",
    ".ppm",
    ".tif",
    ".tiff",
    ".webp",
)
"""File names that a folder's pictures end in; the content decides what a file is."""

_FAST = ("JPEG", "MPO", "PNG")
_LOSSLESS = ("PNG", "BMP", "TIFF", "GIF", "PPM")
_ORIENTATION = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)
_REDUCED = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}
_SHORTEST, _USUAL = 0.011, 0.1  # seconds: browsers show frames of 10 ms and less for 100 ms
_BROKEN = (OSError, ValueError, SyntaxError, EOFError, KeyError, IndexError, TypeError, OverflowError, cv2.error)
"""What Pillow's parsers and OpenCV raise on broken files."""


class PictureFault(UserError):
    """A picture cannot be shown: ``reason`` is a code, ``message`` a sentence.

    Reasons: ``bad_path``, ``picture_missing``, ``picture_unreadable``, ``picture_size`` (other than declared),
    ``picture_too_large``.
    """

    def __init__(self, reason: str, message: str) -> None:
        self.reason, self.message = reason, message
        UserError.__init__(self, message)
        self.args = (reason, message)

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """What a picture file says before its pixels are decoded.

    Args:
        size: height, width as stored.
        upright: height, width when turned as the EXIF orientation says.
        frames: how many an animated file has; 1 for a still, and for a TIFF whose pages differ in size.
        pages: how many pages are in a TIFF; as ``frames`` for all others.
        fps: frames a second of an animated file, by its first frame.
    """

    size: Size
    upright: Size
    frames: int
    pages: int
    fps: float


def read_picture(
    source: Path | bytes, *, size: Size | None = None, least: Size | None = None, name: str | None = None
) -> Pixels:
    """The pixels of a picture, or of the first frame of an animated one.

    Args:
        size: height, width that the annotations declare: pixels are as stored, or turned where only that gives it.
            None turns the picture upright as its EXIF orientation says.
        least: height, width that will do: a JPEG may come at a half, a quarter or an eighth if that is as large.
        name: what messages call it; the file's name if None.

    Raises:
        PictureFault: it is missing, no whole picture, too large or of another size than ``size``.
    """
    label = _label(source, name)
    data = source if isinstance(source, bytes) else read_bytes(source, name)
    with _opened(data, label) as image:
        turn = _turn(image, size, label)
        pixels = _decoded(image, data, 1 if turn else _reduction(image, least), label)
    return pixels if turn is None else _turned(pixels, turn)


def read_labels(source: Path | bytes, *, size: Size | None, colours: bool = False, name: str | None = None) -> Labels:
    """The labels in a mask picture: samples as they are stored, never turned, scaled or made into colours.

    Palettes give their indices, greys their values, colours R + 256 G + 256^2 B, as COCO's panoptic format counts.

    Args:
        size: height, width that it must have; None for any.
        colours: read a palette by its colours as well; for pictures that are colours by their format.

    Raises:
        PictureFault: it is missing, no whole picture, of another size, or of a format that changes samples.
    """
    label = _label(source, name)
    data = source if isinstance(source, bytes) else read_bytes(source, name)
    with _opened(data, label) as image:
        if image.format not in _LOSSLESS:
            raise PictureFault("picture_unreadable", f"{label} is a {image.format}, which does not keep labels exactly")
        if size is not None and (image.height, image.width) != size:
            what = f"{label} is {image.width}x{image.height}, its picture {size[1]}x{size[0]}"
            raise PictureFault("picture_size", what)
        return _samples(image.convert("RGB") if colours else image)


def _samples(image: Image.Image) -> Labels:
    if image.mode in ("F", "CMYK", "YCbCr", "LAB", "HSV"):
        raise ValueError(f"samples of mode {image.mode} are no labels")
    samples = np.asarray(image)
    if samples.ndim == 2:  # of two bands the second is transparency, as the fourth of four
        labels: Labels = samples.astype(np.uint32)
        return labels
    bands = [samples[..., i].astype(np.uint32) for i in range(samples.shape[2])]
    return bands[0] if len(bands) == 2 else bands[0] + bands[1] * np.uint32(256) + bands[2] * np.uint32(65536)


def read_header(source: Path | bytes, *, name: str | None = None) -> PictureHeader:
    """Size and number of frames; pixels are decoded only of the first frame of an animation, for its time.

    Raises:
        PictureFault: as ``read_picture``.
    """
    label = _label(source, name)
    data = source if isinstance(source, bytes) else read_bytes(source, name)
    with _opened(data, label) as image:
        size = image.height, image.width
        upright = size[::-1] if image.getexif().get(_ORIENTATION) in _SIDEWAYS else size
        pages = _frame_count(image)
        if pages > MAX_FRAMES:
            raise PictureFault("picture_too_large", f"{label} has {pages} frames, more than {MAX_FRAMES}")
        frames = pages if image.format != "TIFF" or _all_pages_are(image, pages, size) else 1
        if frames == 1:
            return PictureHeader(size, upright, 1, pages, 0.0)
        image.seek(_first_frame(image))
        return PictureHeader(size, upright, frames, pages, 1 / _seconds(image))


def read_animation(source: Path | bytes, *, name: str | None = None) -> Iterator[tuple[float, Pixels]]:
    """All frames of an animated file, upright, each with its start in seconds; a still has one.

    The default picture of an APNG that is not part of its animation is left out; pages of a TIFF follow one another
    after 100 ms each.

    Raises:
        PictureFault: as ``read_picture``, at the frame that is damaged.
    """
    label = _label(source, name)
    data = source if isinstance(source, bytes) else read_bytes(source, name)
    with _opened(data, label) as image:
        count = read_header(data, name=label).frames
        turn = _turn(image, None, label)
        first = _first_frame(image)
        start = 0.0
        for number in range(first, first + count):
            with _faults(label if count == 1 else f"frame {number - first} of {label}"):
                image.seek(number)
                _check_pixels(image, label)
                pixels = _converted(image)
                seconds = _seconds(image)
            yield start, pixels if turn is None else _turned(pixels, turn)
            start += seconds


def read_bytes(path: Path, name: str | None = None) -> bytes:
    """The bytes of a regular file of at most ``MAX_BYTES``; devices and pipes are not opened.

    Raises:
        PictureFault: there is no such file, or it cannot be read.
    """
    label = _label(path, name)
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise PictureFault("picture_unreadable", f"{label} is not a regular file")
        if about.st_size > MAX_BYTES:
            raise PictureFault("picture_too_large", f"{label} has {about.st_size} bytes")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise PictureFault("picture_missing", f"no file {label}") from None
    except OSError as error:
        raise PictureFault("picture_unreadable", f"{label}: {error.strerror}") from None
    except ValueError:  # a null byte, or text that no file name can hold
        raise PictureFault("bad_path", f"{label!r} cannot be a file name") from None


def picture_bytes(path: Path, name: str | None = None) -> bytes:
    """The bytes of a file that is a picture by its content, as ``read_bytes`` reads them; pixels are not decoded.

    Raises:
        PictureFault: it is missing, or no picture of a known kind.
    """
    data = read_bytes(path, name)
    with _opened(data, _label(path, name)):
        return data


def path_under(root: str | Path, name: str, bounds: str | Path | None = None) -> Path:
    """The path of ``name`` under ``root``.

    Args:
        bounds: the folder out of which no symbolic link may lead; None follows all links.

    Raises:
        PictureFault: the name is absolute or climbs out of the root, or a link leads out of the bounds.
    """
    windows = PureWindowsPath(name)
    if not name or windows.drive or windows.root or PurePosixPath(name).is_absolute() or ".." in windows.parts:
        raise PictureFault("bad_path", f"{_label(Path(), name)!r} is not a name under the root folder")
    try:
        path = here(Path(root) / name)
    except TooLarge as error:
        raise PictureFault("picture_too_large", error.what) from None
    if bounds is not None and "\0" not in name and not leads_below(path, bounds):
        label = _label(Path(), name)
        raise PictureFault("bad_path", f"{label} is a link out of the root folder, which only --follow-links allows")
    return path


def _label(source: Path | bytes, name: str | None) -> str:
    """A name as a message can hold it: one line, not too long."""
    if name is None:
        name = source.name if isinstance(source, Path) else "the picture"
    return "".join(c if c.isprintable() else "?" for c in name[:200])


@contextlib.contextmanager
def _faults(label: str) -> Iterator[None]:
    """Turns whatever Pillow and OpenCV raise on a damaged file into a fault."""
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PictureFault("picture_too_large", f"{label} claims more than {MAX_PIXELS} pixels") from None
    except UnidentifiedImageError:
        what = f"{label} is not a picture of a known kind ({', '.join(FORMATS)})"
        raise PictureFault("picture_unreadable", what) from None
    except _BROKEN:
        raise PictureFault("picture_unreadable", f"{label} is damaged and cannot be decoded") from None


@contextlib.contextmanager
def _opened(data: bytes, label: str) -> Iterator[Image.Image]:
    """The picture with its header read and its size checked."""
    with _faults(label), Image.open(BytesIO(data), formats=FORMATS) as image:
        _check_pixels(image, label)
        yield image


def _check_pixels(image: Image.Image, label: str) -> None:
    if image.width * image.height > MAX_PIXELS:
        what = f"{label} is {image.width}x{image.height}, more than {MAX_PIXELS} pixels"
        raise PictureFault("picture_too_large", what)


def _turn(image: Image.Image, size: Size | None, label: str) -> Image.Transpose | None:
    """The turn that shows a picture as it is wanted, None for none."""
    if size is None:
        return _TRANSPOSE.get(image.getexif().get(_ORIENTATION, 1))
    stored = image.height, image.width
    if stored == size:
        return None
    orientation = image.getexif().get(_ORIENTATION) if stored == size[::-1] else None
    if orientation in _SIDEWAYS:
        return _TRANSPOSE[orientation]
    what = f"{label} is {image.width}x{image.height}, the annotations say {size[1]}x{size[0]}"
    raise PictureFault("picture_size", what)


def _turned(pixels: Pixels, turn: Image.Transpose) -> Pixels:
    return np.ascontiguousarray(np.asarray(Image.fromarray(pixels).transpose(turn)))


def _reduction(image: Image.Image, least: Size | None) -> int:
    """By how much a JPEG may be reduced while it is decoded: 1, 2, 4 or 8."""
    if least is None or image.format not in ("JPEG", "MPO"):
        return 1
    room = min(image.height // max(1, least[0]), image.width // max(1, least[1]))
    return next((factor for factor in (8, 4, 2) if factor <= room), 1)


def _decoded(image: Image.Image, data: bytes, reduction: int, label: str) -> Pixels:
    """The picture as stored.

    OpenCV is twice as fast for the formats that datasets come in, and from memory it refuses what is truncated.
    """
    if image.format not in _FAST or _transparent(image) or (image.format == "PNG" and _frame_count(image) > 1):
        return _converted(image)
    flags = _REDUCED[reduction] if reduction > 1 else cv2.IMREAD_COLOR_RGB
    pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    height, width = -(-image.height // reduction), -(-image.width // reduction)
    if pixels is None or pixels.shape[:2] != (height, width):
        raise PictureFault("picture_unreadable", f"{label} is damaged and cannot be decoded")
    if reduction > 1:
        cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels)
    return np.asarray(pixels, dtype=np.uint8)


def _transparent(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info


def _converted(image: Image.Image) -> Pixels:
    """The current frame through Pillow, which by itself would cut 16-bit samples off at 255.

    Raises:
        ValueError: samples of 32 bits, for which no range is known.
    """
    if image.mode == "F" or (image.mode == "I" and image.format != "PPM"):
        raise ValueError(f"samples of mode {image.mode} have no known range")
    if image.mode.startswith("I"):
        grey = (np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if _transparent(image):
        laid = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", laid.size, (0, 0, 0, 255)), laid)
    return np.array(image.convert("RGB"))


def _frame_count(image: Image.Image) -> int:
    """Frames of the animation, pages of a TIFF; further pictures of an MPO are other views, no frames."""
    count = 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))
    return max(1, count - _first_frame(image))


def _first_frame(image: Image.Image) -> int:
    return int(image.format == "PNG" and bool(image.info.get("default_image")))


def _seconds(image: Image.Image) -> float:
    """How long the current frame is shown."""
    image.load()  # WebP and AVIF know only then
    seconds = float(image.info.get("duration") or 0) / 1000
    return seconds if seconds >= _SHORTEST else _USUAL


def _all_pages_are(image: Image.Image, pages: int, size: Size) -> bool:
    for page in range(pages):
        image.seek(page)
        if (image.height, image.width) != size:
            return False
    return True
