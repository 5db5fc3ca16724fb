"""Media of a run with the masks of their objects, read from plan and candidates when somebody looks at them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from capgen import rle
from capgen.dataset.layout import RunLayout, picture_bounds
from capgen.dataset.plan import PlanRecord
from capgen.dataset.reader import check_root, read_columns, read_media, rows_of
from capgen.dataset.row import Row
from capgen.dataset.types import Media
from capgen.errors import LedgerError
from capgen.images import PictureFault
from capgen.pipeline.gallery.outlines import Outline, outline
from capgen.videos.frames import file_of, read_frames

_SHARDS = 8  # held in memory; one of images takes about 2 MB
_AHEAD = 32  # frames of a video file that are decoded together
_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 90)


@dataclass(frozen=True, slots=True)
class ShownMedium:
    """An image or video and its rows, in order."""

    media: Media
    rows: tuple[Row, ...]

    def masks(self, index: int) -> dict[int, str]:
        """Compressed run lengths of the objects on a frame, by their number from 1; large ones first.

        What is small lies on top, so that the pointer reaches it.
        """
        size = (self.media.height, self.media.width)
        found = {}
        for number, row in enumerate(self.rows, 1):
            if index in row.frame_index:
                found[number] = _counts(row, row.frame_index.index(index), size)
        return dict(sorted(found.items(), key=lambda one: -rle.area(one[1], size)))

    def outlines(self, index: int, scale: float = 1.0) -> dict[int, Outline]:
        """The outlines of the objects on a frame, by their number from 1; large ones first."""
        size = (self.media.height, self.media.width)
        drawn = {number: outline(rle.decode(counts, size), scale) for number, counts in self.masks(index).items()}
        return {number: one for number, one in drawn.items() if one is not None}

    def seen_frames(self, most: int) -> list[int]:
        """Frames spread evenly over those that show an object; the first where no object is to be seen."""
        seen = sorted({index for row in self.rows for index in row.frame_index})
        if not seen:
            return list(range(len(self.media.file_names)))[:1]
        return [seen[i * len(seen) // min(most, len(seen))] for i in range(min(most, len(seen)))]


class MediaStore:
    """Reads media of one run; a few shards stay in memory.

    Args:
        root: where the pictures are; None where they were when the run was planned.
        follow_links: whether pictures may be links out of the root; None allows it unless the root lies in a run.

    Raises:
        UserError: ``root`` holds none of the pictures.
    """

    def __init__(
        self, out: Path, plan: PlanRecord, root: Path | None = None, *, follow_links: bool | None = None
    ) -> None:
        if root is not None:
            check_root(out, plan, root)
        self.out, self.plan = out, plan
        self.root = Path(root or plan.root or "")
        self.bounds = picture_bounds(self.root, follow_links)
        self._shards: OrderedDict[int, tuple[object, Mapping[str, ShownMedium]]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, shard: int, medium: str) -> ShownMedium:
        """A medium by its shard and its name, ``dataset/split/media_id``.

        Raises:
            KeyError: there is none.
            LedgerError: the shard cannot be read, or plan and candidates do not fit.
        """
        return self.shard(shard)[medium]

    def of_row(self, shard: int, medium: str) -> ShownMedium:
        """The medium that a row of a shard names.

        Raises:
            LedgerError: the plan has no such medium, or the shard cannot be read.
        """
        try:
            return self.get(shard, medium)
        except KeyError:
            path = RunLayout(self.out).candidates(shard)
            raise LedgerError(f"{path} has rows of {medium!r}, which is not planned; capgen verify says more") from None

    def shard(self, index: int) -> Mapping[str, ShownMedium]:
        """The media of a finished shard by name, in the order of the plan; see ``get``."""
        stamp = self._stamp(index)
        with self._lock:
            held = self._shards.get(index)
            if held is not None and held[0] == stamp:
                self._shards.move_to_end(index)
                return held[1]
        read = self._read(index)
        with self._lock:
            self._shards[index] = (stamp, read)
            while len(self._shards) > _SHARDS:
                self._shards.popitem(last=False)
        return read

    def _stamp(self, index: int) -> tuple[int, int]:
        try:
            found = RunLayout(self.out).candidates(index).stat()
        except FileNotFoundError:
            raise KeyError(index) from None
        return found.st_mtime_ns, found.st_size

    def _read(self, index: int) -> dict[str, ShownMedium]:
        if not 0 <= index < len(self.plan.shards):
            raise KeyError(index)
        entry = self.plan.shards[index]
        rows = {row.key: row for row in rows_of(read_columns(self.out, index))}
        bounds = str(self.bounds) if self.bounds else None
        found = {}
        for planned in read_media(self.out, entry, legacy_root=self.plan.legacy_root):
            try:
                own = tuple(rows.pop(planned.key_of(item.object_id)) for item in planned.objects)
            except KeyError as error:
                raise LedgerError(
                    f"{RunLayout(self.out).candidates(index)} lacks {error}, which plan/{entry.file} plans; "
                    "capgen verify says more"
                ) from None
            media = Media(**planned.header(), root=str(self.root / planned.folder), bounds=bounds)
            found[planned.name] = ShownMedium(media, own)
        return found


def _counts(row: Row, place: int, size: rle.Size) -> str:
    """The mask of an object on one of its frames; the rectangle of its box where it has no mask."""
    encoded = row.segmentation[place]
    if encoded is not None:
        return encoded["counts"]
    x, y, width, height = row.bbox[place]
    corners = [x, y, x + width, y, x + width, y + height, x, y + height]
    return rle.rasterise([rle.usable_polygons([corners], size)], size)[0].decode("ascii")


class FrameCache:
    """Frames as JPEGs. The frames that follow in a video file are made along, so that playing it decodes it once.

    Args:
        held: bytes of pictures that stay in memory.
    """

    def __init__(self, held: int = 64 << 20) -> None:
        self._held = held
        self._size = 0
        self._frames: OrderedDict[tuple[str, str, int], bytes | PictureFault] = OrderedDict()
        self._lock = threading.Lock()

    def jpeg(self, media: Media, index: int, side: int) -> bytes:
        """A frame with no side longer than ``side``.

        Raises:
            PictureFault: the frame cannot be shown.
        """
        name = media.file_names[index]
        with self._lock:
            found = self._frames.get((media.root, name, side))
        if found is None:
            found = self._made(media, index, side)
        if isinstance(found, PictureFault):
            raise found
        return found

    def _made(self, media: Media, index: int, side: int) -> bytes | PictureFault:
        wanted = media.file_names[index]
        ahead = [wanted]
        if file_of(wanted) != wanted:
            ahead = [one for one in media.file_names[index : index + _AHEAD] if file_of(one) == file_of(wanted)]
        read = read_frames(media.root, ahead, size=(media.height, media.width), bounds=media.bounds)
        first: bytes | PictureFault | None = None
        for name, pixels in read:
            made = pixels if isinstance(pixels, PictureFault) else scaled_jpeg(pixels, side)[0]
            first = made if name == wanted else first
            if len(ahead) > 1:
                self._keep((media.root, name, side), made)
        return first or PictureFault("picture_missing", f"{wanted} was not found")

    def _keep(self, key: tuple[str, str, int], made: bytes | PictureFault) -> None:
        with self._lock:
            self._frames[key] = made
            self._size += _bytes_of(made)
            while self._size > self._held and len(self._frames) > 1:
                self._size -= _bytes_of(self._frames.popitem(last=False)[1])


def _bytes_of(made: bytes | PictureFault) -> int:
    return 1000 if isinstance(made, PictureFault) else len(made)


def scaled_jpeg(pixels: NDArray[np.uint8], side: int) -> tuple[bytes, float]:
    """A picture as a JPEG with no side longer than ``side``, and how much smaller it is than the source."""
    height, width = pixels.shape[:2]
    scale = min(1.0, side / max(height, width))
    if scale < 1:
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA).astype(np.uint8)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), _JPEG)
    return data.tobytes(), scale
