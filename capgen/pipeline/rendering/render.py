"""Media in, views out: each frame is decoded once, each clean picture made once, whatever the number of objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_128

from capgen import rle
from capgen.dataset.types import Fault, Media, MediaObject
from capgen.images import PictureFault
from capgen.pipeline.rendering.frames import choose, shown_area
from capgen.pipeline.rendering.highlights.base import Fit, Marked, show, whole
from capgen.pipeline.rendering.prompt import Place, Prompt, place, variables
from capgen.pipeline.settings import RenderSettings
from capgen.pipeline.view import Part, Picture, View
from capgen.videos.frames import file_of, read_frames, split_frame_name

RENDER_VERSION = "2"
"""Part of a run's fingerprint and of every picture's digest: changes when the same input gives other pixels."""


def picture(pixels: NDArray[np.uint8]) -> Picture:
    """Pixels, uint8 RGB [H, W, 3], with their digest."""
    pixels = np.ascontiguousarray(pixels)
    digest = xxh3_128(f"{RENDER_VERSION} {pixels.shape} ".encode())
    digest.update(pixels.data)
    return Picture(pixels, digest.hexdigest())


@dataclass(frozen=True, slots=True)
class Renderer:
    """How objects are shown: picture sizes from the settings, everything else from the prompt."""

    settings: RenderSettings
    prompt: Prompt

    def clean_frames(self, media: Media) -> tuple[int, ...]:
        """The frames that every object of a medium is shown with, unmarked."""
        layout = self.prompt.layout_for(media.kind)
        return choose(layout.clean_choice, media, None, layout.clean_frames) if layout.clean_frames else ()

    def marked_frames(self, media: Media, obj: MediaObject) -> tuple[int, ...]:
        """The frames on which an object is marked."""
        layout = self.prompt.layout_for(media.kind)
        return choose(layout.marked_choice, media, obj, layout.marked_frames)

    def shown_pieces(self, media: Media, obj: MediaObject) -> dict[int, str]:
        """By marked frame, the piece of the object's mask that is shown, as counts, where that is not all of it."""
        if self.settings.pieces == "all":
            return {}
        size = (media.height, media.width)
        counts = {i: counts for i in self.marked_frames(media, obj) if (counts := obj.counts[i]) is not None}
        pieces = {i: rle.largest_piece(whole_mask, size) for i, whole_mask in counts.items()}
        return {i: piece for i, piece in pieces.items() if piece != counts[i]}

    def clean(self, media: Media, frames: Mapping[int, NDArray[np.uint8]]) -> tuple[Picture, ...]:
        """The unmarked pictures, made once for all objects of a medium."""
        fit = Fit(self.settings.patch, self.settings.clean_pixels, self.settings.square)
        return tuple(picture(show(frames[i], whole(frames[i]), fit)) for i in self.clean_frames(media))

    def view(
        self, media: Media, obj: MediaObject, frames: Mapping[int, NDArray[np.uint8]], clean: tuple[Picture, ...]
    ) -> View:
        """One object's view: fixed text, clean pictures, its own marked pictures, its text."""
        indices = self.marked_frames(media, obj)
        marked = tuple(self._mark(media, obj, i, frames[i], clean) for i in indices)
        said = variables(self.prompt, media, obj, tuple(at for _, at in marked), indices)
        text = self.prompt.text(said)
        parts: tuple[Part, ...] = (self.prompt.before, *clean, *(shown for shown, _ in marked), text)
        category = said["category"]
        return View(
            key=obj.key,
            system=self.prompt.system,
            examples=self.prompt.examples,
            parts=tuple(part for part in parts if part != ""),
            category=category if isinstance(category, str) else None,
            marked_frames=tuple(i for i, (_, at) in zip(indices, marked, strict=True) if at is not None),
        )

    def _marked_pixels(self, media: Media) -> int:
        """The budget of a marked picture: a whole frame has to show as much as a clean one, a close-up has not."""
        if self.prompt.layout_for(media.kind).close_up:
            return self.settings.marked_pixels
        return max(self.settings.marked_pixels, self.settings.clean_pixels)

    def _sent(self, media: Media, marked: NDArray[np.uint8], clean: tuple[Picture, ...]) -> tuple[int, int] | None:
        """Width and height in which the model sees whole frames; None where it sees none."""
        shown = marked
        if self.prompt.layout_for(media.kind).close_up:
            if not clean:
                return None
            shown = clean[0].pixels
        return shown.shape[1], shown.shape[0]

    def _mark(
        self, media: Media, obj: MediaObject, index: int, frame: NDArray[np.uint8], clean: tuple[Picture, ...]
    ) -> tuple[Picture, Place | None]:
        """One marked picture and where the object is on it; the whole frame and None where it is not on it."""
        counts, box, area = obj.counts[index], obj.boxes[index], shown_area(obj, index)
        fit = Fit(self.settings.patch, self._marked_pixels(media), self.settings.square)
        needing = self.prompt.layout_for(media.kind).needs_mask
        if box is not None and counts is None and needing:
            raise PictureFault("no_mask", f"the object has a box and no mask, which {needing[0]} needs")
        if box is None:
            return picture(show(frame, whole(frame), fit)), None
        if self.settings.pieces == "largest" and counts is not None:
            counts = rle.largest_piece(counts, (media.height, media.width))
            box, area = rle.box(counts, (media.height, media.width)), rle.area(counts, (media.height, media.width))
        marked = Marked(frame, counts, box, whole(frame), fit, self.settings.margin)
        for highlight in self.prompt.layout_for(media.kind).highlights:
            marked = highlight(marked)
        size, sent = (media.width, media.height), self._sent(media, marked.pixels, clean)
        coordinates = self.settings.coordinates
        where = place(box, area, size, index, marked.color, coordinates=coordinates, sent=sent)
        return picture(marked.pixels), where


class _Frames(dict[int, NDArray[np.uint8]]):
    """The frames of a medium, decoded when first asked for; a bad one raises its ``PictureFault`` each time.

    Args:
        shown: the frames that will be asked for: those of one video file are decoded together, in one pass.
    """

    def __init__(self, media: Media, shown: Iterable[int]) -> None:
        super().__init__()
        self.media = media
        self.shown = frozenset(shown)
        self.faults: dict[int, PictureFault] = {}

    def __missing__(self, index: int) -> NDArray[np.uint8]:
        if index not in self.faults:
            self._load(index)
        if index in self.faults:
            raise self.faults[index]
        return self[index]

    def _load(self, index: int) -> None:
        names, media = self.media.file_names, self.media
        file, number = split_frame_name(names[index])
        together = {index} if number is None else {i for i in self.shown if file_of(names[i]) == file} | {index}
        wanted = [names[i] for i in sorted(together)]
        read = dict(read_frames(media.root, wanted, size=(media.height, media.width), bounds=media.bounds))
        for i in together:
            found = read[names[i]]
            if isinstance(found, PictureFault):
                self.faults[i] = found
            else:
                found.flags.writeable = False
                self[i] = found


def render_media(
    media: Media, renderer: Renderer, skip: frozenset[str] = frozenset()
) -> Iterator[View | tuple[MediaObject, Fault]]:
    """A view of every object whose key is not in ``skip``, or the object with the reason why there is none, in order.

    A frame is read and decoded when the first object needs it, and only once, a video file once for all of its frames;
    nothing is read for objects that are skipped or have a fault.
    """
    asked = [obj for obj in media.objects if obj.key not in skip and obj.fault is None and obj.visible]
    marked = (renderer.marked_frames(media, obj) for obj in asked)
    frames = _Frames(media, chain(renderer.clean_frames(media), *marked) if asked else ())
    clean: tuple[Picture, ...] | None = None
    for obj in media.objects:
        if obj.key in skip:
            continue
        if obj.fault is not None:
            yield obj, obj.fault
            continue
        if not obj.visible:
            yield obj, Fault("empty_mask", "the object is visible on no frame")
            continue
        try:
            if clean is None:
                clean = renderer.clean(media, frames)
            shown: View | tuple[MediaObject, Fault] = renderer.view(media, obj, frames, clean)
        except PictureFault as fault:
            shown = obj, Fault(fault.reason, fault.message)
        yield shown
