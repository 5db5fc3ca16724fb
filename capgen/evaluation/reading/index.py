"""Which elements of a JSON file belong to which video, in 16 bytes an element; one video's are read when asked for."""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from capgen.evaluation.reading.json_stream import Element, ElementBatch, unreadable
from capgen.rle import Ints


class Index:
    """Where the elements that belong to each video lie in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._video, self._offset, self._length = array("i"), array("q"), array("i")
        self._order: NDArray[np.int32] = np.zeros(0, np.int32)
        self._starts: Ints = np.zeros(1, np.int64)
        self._file: int | None = None

    def __len__(self) -> int:
        return len(self._offset)

    def extend(self, batch: ElementBatch, videos: Sequence[int]) -> None:
        """Note many elements and their videos."""
        self._video.extend(videos)
        self._offset.extend(batch.offsets)
        self._length.extend(batch.lengths)

    def add(self, element: Element, video: int = 0) -> None:
        """Note one element; its video may be given later, to ``seal``."""
        self._video.append(video)
        self._offset.append(element.offset)
        self._length.append(element.length)

    def seal(self, videos: int, assigned: Iterable[int] | None = None) -> None:
        """Sort by video; ``assigned`` are the videos where they were not known before."""
        of = np.fromiter(self._video if assigned is None else assigned, np.int32, len(self))
        self._video = array("i")
        self._order = np.argsort(of, kind="stable").astype(np.int32)
        self._starts = np.searchsorted(of[self._order], np.arange(videos + 1))

    def block(self, video: int) -> tuple[int, bytes] | None:
        """The elements of a video as one JSON list, with the number of the first, where they lie together."""
        numbers = self._order[self._starts[video] : self._starts[video + 1]]
        if not len(numbers) or numbers[-1] - numbers[0] != len(numbers) - 1:
            return None
        first, last = int(numbers[0]), int(numbers[-1])
        start = self._offset[first]
        return first, b"[" + self._bytes(self._offset[last] + self._length[last] - start, start) + b"]"

    def _bytes(self, length: int, offset: int) -> bytes:
        if self._file is None:
            self._file = os.open(self.path, os.O_RDONLY)
        return os.pread(self._file, length, offset)

    def read(self, video: int) -> list[tuple[int, Any]]:
        """The number and the value of each element of a video, in the order of the file."""
        numbers = self._order[self._starts[video] : self._starts[video + 1]].tolist()
        if not numbers:
            return []
        first = self._offset[numbers[0]]
        span = self._offset[numbers[-1]] + self._length[numbers[-1]] - first
        together = span <= 2 * sum(self._length[n] for n in numbers) + 4096
        block = self._bytes(span, first) if together else b""
        values = []
        for n in numbers:
            offset, length = self._offset[n], self._length[n]
            raw = block[offset - first : offset - first + length] if together else self._bytes(length, offset)
            try:
                values.append((n, _decoded(raw)))
            except (ValueError, RecursionError) as error:
                raise unreadable(self.path, offset, error) from error
        return values

    def close(self) -> None:
        """Give the file back."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __del__(self) -> None:
        self.close()


def _decoded(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return json.loads(raw)  # takes NaN, which is named later, with its annotation
