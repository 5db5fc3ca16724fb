"""Frames from disk as RGB pixels, and the choice of which frames to show. Files are not trusted."""

from __future__ import annotations

import stat
from io import BytesIO
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from capgen.dataset.types import Media, MediaObject

Choice = Literal["uniform", "visible", "largest"]

MAX_PIXELS = 80_000_000  # of one picture; below Pillow's own alarm
MAX_BYTES = 1 << 29  # of one file
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")  # none of those for which Pillow starts programs
_FAST = ("JPEG", "MPO", "PNG")
_FULL_RANGE = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")  # Pillow cuts these off at 255, OpenCV scales them
_SIDEWAYS = (5, 6, 7, 8)
_TRANSPOSE = {
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112


class PictureFault(Exception):
    """A frame cannot be shown: ``reason`` is a code, ``message`` a sentence.

    Reasons: ``bad_path``, ``picture_missing``, ``picture_unreadable``, ``picture_size`` (other than declared),
    ``picture_too_large``.
    """

    def __init__(self, reason: str, message: str) -> None:
        self.reason, self.message = reason, message
        super().__init__(reason, message)

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


def load_frame(media: Media, index: int) -> NDArray[np.uint8]:
    """Frame ``index`` of a medium, uint8 RGB [height, width, 3] as declared, read-only.

    The size is checked before a pixel is decoded. Annotations belong to the pixels as stored, so an EXIF
    orientation is ignored, unless only the turned picture has the declared size.

    Raises:
        PictureFault: the file is missing, is no whole picture, or has another size.
    """
    name = _label(media.file_names[index])
    data = _read(media.root, media.file_names[index])
    try:
        with Image.open(BytesIO(data), formats=_FORMATS) as image:
            turn = _turn(image, media, name)
            pixels = _pixels(image, data, name)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PictureFault("picture_too_large", f"{name} claims more than {MAX_PIXELS} pixels") from None
    # Pillow's parsers raise all of these on broken files.
    except (OSError, ValueError, SyntaxError, EOFError, KeyError, IndexError, TypeError, OverflowError, cv2.error):
        raise PictureFault("picture_unreadable", f"{name} is damaged or not a picture") from None
    if turn is not None:
        pixels = np.ascontiguousarray(np.asarray(Image.fromarray(pixels).transpose(turn)))
    pixels.flags.writeable = False
    return pixels


def choose(choice: Choice, media: Media, obj: MediaObject | None, count: int) -> tuple[int, ...]:
    """At most ``count`` frames in the order of time, for one object or, without it, for all of the medium's.

    ``uniform``: spread evenly over all frames; where none of those shows the object, ``visible``.
    ``visible``: spread evenly over the frames that show the object. ``largest``: those that show most of it.
    """
    objects = media.objects if obj is None else (obj,)
    every = range(len(media.file_names))
    if choice == "uniform":
        spread = _spread(tuple(every), count)
        if obj is None or any(obj.counts[i] is not None for i in spread):
            return spread
    visible = tuple(i for i in every if any(o.counts[i] is not None for o in objects if o.fault is None))
    if choice == "largest":
        seen = {i: sum(o.areas[i] or 0 for o in objects if o.fault is None) for i in visible}
        return tuple(sorted(sorted(visible, key=lambda i: (-seen[i], i))[:count]))
    return _spread(visible, count)


def _spread(frames: tuple[int, ...], count: int) -> tuple[int, ...]:
    """``count`` of the frames, first and last among them; the middle one if it is one."""
    if len(frames) <= count:
        return frames
    if count == 1:
        return (frames[(len(frames) - 1) // 2],)
    return tuple(frames[i * (len(frames) - 1) // (count - 1)] for i in range(count))


def _label(name: str) -> str:
    """A name as a message can hold it: one line, not too long."""
    return "".join(c if c.isprintable() else "?" for c in name[:200])


def _read(root: str, name: str) -> bytes:
    """The bytes of a file under ``root``."""
    windows, label = PureWindowsPath(name), _label(name)
    if not name or windows.drive or windows.root or PurePosixPath(name).is_absolute() or ".." in windows.parts:
        raise PictureFault("bad_path", f"{label!r} is not a name under the root folder")
    path = Path(root) / name
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


def _turn(image: Image.Image, media: Media, name: str) -> Image.Transpose | None:
    """The turn that gives a picture its declared size, None for none."""
    declared = (media.width, media.height)
    if image.width * image.height > MAX_PIXELS:
        raise PictureFault(
            "picture_too_large", f"{name} is {image.width}x{image.height}, more than {MAX_PIXELS} pixels"
        )
    if image.size == declared:
        return None
    orientation = image.getexif().get(_ORIENTATION) if image.size == declared[::-1] else None
    if orientation in _SIDEWAYS:
        return _TRANSPOSE[orientation]
    raise PictureFault(
        "picture_size", f"{name} is {image.width}x{image.height}, the annotations say {media.width}x{media.height}"
    )


def _pixels(image: Image.Image, data: bytes, name: str) -> NDArray[np.uint8]:
    """The decoded picture as stored, uint8 RGB [H, W, 3].

    OpenCV is twice as fast for the formats that datasets come in, and from memory it refuses what is truncated.
    """
    if image.format not in _FAST and image.mode not in _FULL_RANGE:
        return np.array(image.convert("RGB"))
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    if pixels is None or pixels.shape[:2] != (image.height, image.width):
        raise PictureFault("picture_unreadable", f"{name} is damaged or not a picture")
    return np.asarray(pixels, dtype=np.uint8)
