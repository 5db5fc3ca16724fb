"""What the tests of ``predict`` see: squares that move over a gradient, and a stream that knows where they are."""

from __future__ import annotations

import av
import numpy as np

from capgen import rle
from capgen.maskcaptioner.inference.track import Track

HEIGHT, WIDTH = 48, 64


def frame(index: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Grey from left to right, a bright red square at x = 4 + 2 * index, a green mark at the top left."""
    picture = np.repeat(np.tile(np.linspace(40, 160, width, dtype=np.uint8), (height, 1))[..., None], 3, 2)
    picture[20:32, 4 + 2 * index : 16 + 2 * index] = (230, 30, 30)
    picture[:8, :8] = (20, 220, 40)
    return np.ascontiguousarray(picture)


def write_video(path, count: int = 12, fps: int = 8, rotation: int = 0, size: tuple[int, int] = (HEIGHT, WIDTH)):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "8"})
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        if rotation:
            stream.set_display_rotation(rotation)
        for index in range(count):
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame(index, *size), format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def square(index: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> dict:
    bitmap = np.zeros(size, np.bool_)
    bitmap[20:32, 4 + 2 * index : 16 + 2 * index] = True
    return {"size": list(size), "counts": rle.encode(bitmap)}


def track(track_id: int = 1, frames=range(12), caption: str | None = "a red square that moves to the right", **changes):
    frames = list(frames)
    made = {
        "category_id": 2,
        "category": "square",
        "score": 0.75,
        "boxes": [(4.0 + 2 * i, 20.0, 12.0, 12.0) for i in frames],
        "masks": [square(i) for i in frames],
    }
    return Track(track_id=track_id, caption=caption, frames=frames, **(made | changes))


class Knowing:
    """A stream that was told the answer, and remembers what it was shown."""

    def __init__(self, *tracks: Track) -> None:
        self.tracks, self.clips = list(tracks), []

    def push(self, frames) -> None:
        self.clips.append([picture.shape for picture in frames])

    def finish(self) -> list[Track]:
        return self.tracks
