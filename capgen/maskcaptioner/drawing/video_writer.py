"""The annotated video: marked frames over a list of captions, encoded as they come."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from capgen.dataset.files import whole_file
from capgen.errors import UserError
from capgen.images import Pixels
from capgen.maskcaptioner.drawing.draw import Painter, Style, film_style, seen
from capgen.maskcaptioner.drawing.legend import Legend, banner
from capgen.maskcaptioner.inference.track import Track
from capgen.videos import import_av

_ENCODERS = ("libx264", "libopenh264", "mpeg4")
"""H.264 where PyAV's build of FFmpeg has it."""
_OPTIONS = {"libx264": {"crf": "20", "preset": "veryfast"}, "libopenh264": {"allow_skip_frames": "0"}}
_BITS_PER_PIXEL = 0.15  # of encoders that know no constant quality
_PANEL = 0.6  # the list of captions takes at most so much of the frame's height
_BT709 = 1
_TICK = Fraction(1, 60_000)  # MPEG-4 wants a denominator below 65,536


@dataclass(frozen=True)
class Annotator:
    """Makes the pictures of the film, all of one size.

    Args:
        size: height, width of the input's frames.
        everything: all captions have a place, however many there are.
        note: a warning under every picture.
        fill: tint masks, which changes the colours of objects.
    """

    tracks: Sequence[Track]
    size: tuple[int, int]
    everything: bool = False
    note: str = ""
    fill: bool = False

    @cached_property
    def _style(self) -> Style:
        return film_style(*self.size)

    @cached_property
    def _painter(self) -> Painter:
        return Painter(self.tracks, self._style, self.fill)

    @cached_property
    def _letters(self) -> int:
        return max(14, round(self._style.width / 62)) if self._style.width < 900 else round(self._style.width / 80)

    @cached_property
    def _legend(self) -> Legend:
        return Legend(self.tracks, self._style.width, self._letters, lines=4 if self.everything else 3)

    @cached_property
    def _below(self) -> list[Pixels]:
        return [banner(self.note, self._style.width, self._letters)] if self.note else []

    @cached_property
    def _entries(self) -> int:
        """How many captions have a place under the frame."""
        if self.everything or not self.tracks:
            return len(self.tracks)
        down = int((self._style.height * _PANEL - 2 * self._legend.pad) / self._legend.row_height)
        return min(len(self.tracks), max(2, down) * self._legend.columns)

    def __call__(self, frame: Pixels, index: int) -> Pixels:
        """The marked frame over the captions; those not on it are faint, and leave first if room is short."""
        marked = self._painter.paint(frame, index)
        if not self.tracks:
            return np.concatenate([marked, *self._below])
        visible = [rank for rank, track in enumerate(self.tracks) if seen(track, index) is not None]
        ranks, note = list(range(len(self.tracks))), ""
        if self._entries < len(self.tracks):
            best = sorted(ranks, key=lambda rank: (rank not in visible, -self.tracks[rank].score))
            ranks = sorted(best[: self._entries])
            hidden = max(0, len(visible) - len(ranks))
            note = f"and {hidden} more" if hidden else ""
        dim = set(ranks) - set(visible)
        height = self._legend.height(self._entries)
        return np.concatenate([marked, self._legend.draw(ranks, height, dim, note), *self._below])


class VideoWriter:
    """An mp4 file under way; it appears under its name when the last frame is in, and not at all after an error.

    Args:
        fps: frames a second.
        times: when each frame is shown, in seconds; None, or times that ``fps`` gives as well, for a constant rate.

    Raises:
        UserError: PyAV is missing, or its build has no encoder for mp4.
    """

    def __init__(self, path: Path, fps: float, times: Sequence[float] | None = None) -> None:
        import_av(path)
        self.path = path
        self._whole = ExitStack()
        self._rate = _rate(fps)
        self._times = None if times is None or _is_constant(times, fps) else times
        self._added, self._last = 0, -1
        self.encoder = _encoder()
        self._container: Any = None
        self._stream: Any = None

    def __enter__(self) -> Self:
        return self

    def add(self, frame: Pixels) -> None:
        """Encode one frame, [H, W, 3] with even H and W, the same for all."""
        import av

        if self._container is None:
            self._start(frame.shape[0], frame.shape[1])
        # Players take BT.709 for granted; FFmpeg converts to BT.601 unless told, and colours shift.
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture = picture.reformat(format="yuv420p", dst_colorspace="ITU709")
        if self._times is not None:
            self._last = max(self._last + 1, round(self._times[self._added] / _TICK))
            picture.pts, picture.time_base = self._last, _TICK
        self._added += 1
        for packet in self._stream.encode(picture):
            self._container.mux(packet)

    def _start(self, height: int, width: int) -> None:
        import av

        part = self._whole.enter_context(whole_file(self.path))
        self._container = av.open(f"file:{part}", "w", format="mp4", options={"movflags": "faststart"})
        self._stream = self._container.add_stream(self.encoder, rate=self._rate, options=_OPTIONS.get(self.encoder, {}))
        self._stream.height, self._stream.width, self._stream.pix_fmt = height, width, "yuv420p"
        context = self._stream.codec_context
        if self._times is not None:
            context.time_base = _TICK
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        if self.encoder != "libx264":
            self._stream.bit_rate = int(height * width * float(self._rate) * _BITS_PER_PIXEL)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._whole:
            if self._container is not None:
                try:
                    for packet in self._stream.encode() if error is None else ():
                        self._container.mux(packet)
                finally:
                    self._container.close()
            if error is not None:  # in here, so that the part goes
                raise error


def _is_constant(times: Sequence[float], fps: float) -> bool:
    """Whether no frame is further than a tenth of a frame from where a constant rate shows it."""
    return all(abs(seconds * fps - number) <= 0.1 for number, seconds in enumerate(times))


def _rate(fps: float) -> Fraction:
    """Frames a second as a fraction that MPEG-4 can state: its parts are below 65,536."""
    rate = Fraction(max(fps, 0.01)).limit_denominator(1001)
    return rate if rate.numerator < 65536 else Fraction(max(fps, 0.01)).limit_denominator(100)


def _encoder() -> str:
    """The first encoder that PyAV has.

    Raises:
        UserError: it has none.
    """
    import av.codec

    for name in _ENCODERS:
        try:
            return av.codec.Codec(name, "w").name
        except av.FFmpegError:
            continue
    raise UserError("this build of PyAV can write no mp4", "pip install --force-reinstall av")
