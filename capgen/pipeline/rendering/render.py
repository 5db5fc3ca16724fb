"""Media in, views out: each frame is decoded once, each clean picture made once, whatever the number of objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_128

from capgen import rle
from capgen.dataset.types import Box, Fault, Media, MediaObject
from capgen.images import PictureFault
from capgen.pipeline.rendering.frames import choose, shown_area
from capgen.pipeline.rendering.highlights.base import Fit, Marked, show, whole
from capgen.pipeline.rendering.places import Place, place
from capgen.pipeline.rendering.prompt import Prompt, numbered_variables, variables
from capgen.pipeline.settings import RenderSettings
from capgen.pipeline.view import Numbered, Part, Picture, View
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
        view = View(
            key=obj.key,
            system=self.prompt.system,
            examples=self.prompt.examples,
            parts=tuple(part for part in parts if part != ""),
            category=category if isinstance(category, str) else None,
            marked_frames=tuple(i for i, (_, at) in zip(indices, marked, strict=True) if at is not None),
        )
        return self._placed(view)

    def numbered_views(
        self,
        media: Media,
        group: tuple[MediaObject, ...],
        frames: Mapping[int, NDArray[np.uint8]],
        clean: tuple[Picture, ...],
    ) -> dict[str, View]:
        """The views of objects that one request is about, by key; those that none of its frames shows are left out."""
        layout = self.prompt.layout_for(media.kind)
        alone = msgspec.structs.replace(media, objects=group)
        indices = choose(layout.marked_choice, alone, None, layout.marked_frames)
        shown = tuple(obj for obj in group if any(obj.boxes[i] is not None for i in indices))
        marked = [self._mark_all(media, shown, i, frames[i], clean) for i in indices]
        places = [tuple(at[number] for _, at in marked) for number in range(len(shown))]
        text = self.prompt.text(numbered_variables(self.prompt, media, shown, places, indices))
        parts: tuple[Part, ...] = (self.prompt.before, *clean, *(drawn for drawn, _ in marked), text)
        parts = tuple(part for part in parts if part != "")
        schema = captions_schema(len(shown))
        views = [
            View(
                key=obj.key,
                system=self.prompt.system,
                examples=self.prompt.examples,
                parts=parts,
                category=obj.category if self.prompt.category else None,
                marked_frames=tuple(i for i in indices if obj.boxes[i] is not None),
                schema=schema,
                numbered=Numbered(number, len(shown), shown[0].key),
            )
            for number, obj in enumerate(shown, 1)
        ]
        return {view.key: self._placed(view) for view in views}

    def _placed(self, view: View) -> View:
        """The view with its system text where the model's chat template takes it."""
        return view if self.settings.system == "message" else view.with_system_in_user()

    def _mark_all(
        self,
        media: Media,
        group: tuple[MediaObject, ...],
        index: int,
        frame: NDArray[np.uint8],
        clean: tuple[Picture, ...],
    ) -> tuple[Picture, list[Place | None]]:
        """One picture with all objects of a group marked on it, and where each is."""
        fit = Fit(self.settings.patch, self._marked_pixels(media), self.settings.square)
        pixels = show(frame, whole(frame), fit)
        seen = [self._seen(media, obj, index) for obj in group]
        colors: dict[int, str | None] = {}
        last: Marked | None = None
        for highlight in self.prompt.layout_for(media.kind).highlights:  # no label under a later object's box
            for number, one in enumerate(seen, 1):
                if one is None:
                    continue
                color = colors.get(number)
                marked = Marked(frame, one[0], one[1], whole(frame), fit, number=number, color=color)
                if last is not None:
                    marked = replace(marked, drawn=last.drawn, labels=last.labels)
                last = highlight(marked)
                colors[number] = last.color
        sent, size = self._sent(media, pixels, clean), (media.width, media.height)
        coordinates = self.settings.coordinates
        places = [
            None
            if one is None
            else place(one[1], one[2], size, index, colors.get(number), coordinates=coordinates, sent=sent)
            for number, one in enumerate(seen, 1)
        ]
        return picture(pixels if last is None or last.drawn is None else last.drawn), places

    def _seen(self, media: Media, obj: MediaObject, index: int) -> tuple[str | None, Box, int] | None:
        """The mask, the box and the area that are shown of an object on a frame; None where it is not on it.

        Raises:
            PictureFault: it has no mask, and a highlight needs one.
        """
        counts, box, area = obj.counts[index], obj.boxes[index], shown_area(obj, index)
        needing = self.prompt.layout_for(media.kind).needs_mask
        if box is None:
            return None
        if counts is None and needing:
            raise PictureFault("no_mask", f"the object has a box and no mask, which {needing[0]} needs")
        if self.settings.pieces == "largest" and counts is not None:
            counts = rle.largest_piece(counts, (media.height, media.width))
            box, area = rle.box(counts, (media.height, media.width)), rle.area(counts, (media.height, media.width))
        return counts, box, area

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
        fit = Fit(self.settings.patch, self._marked_pixels(media), self.settings.square)
        seen = self._seen(media, obj, index)
        if seen is None:
            return picture(show(frame, whole(frame), fit)), None
        counts, box, area = seen
        marked = Marked(frame, counts, box, whole(frame), fit, self.settings.margin)
        for highlight in self.prompt.layout_for(media.kind).highlights:
            marked = highlight(marked)
        size, sent = (media.width, media.height), self._sent(media, marked.pixels, clean)
        coordinates = self.settings.coordinates
        where = place(box, area, size, index, marked.color, coordinates=coordinates, sent=sent)
        return picture(marked.pixels), where


def captions_schema(count: int) -> dict[str, Any]:
    """The JSON schema of an answer with a caption for each number from 1 to ``count``."""
    numbers = [str(number) for number in range(1, count + 1)]
    return {
        "type": "object",
        "properties": {number: {"type": "string"} for number in numbers},
        "required": numbers,
        "additionalProperties": False,
    }


class MediumViews:
    """Makes the views of one medium's objects; what objects of one request share is made once.

    Which objects a request is about does not depend on which of them are asked for now.

    Args:
        frames: the frames of the medium.
    """

    def __init__(self, renderer: Renderer, media: Media, frames: Mapping[int, NDArray[np.uint8]]) -> None:
        self._renderer, self._media, self._frames = renderer, media, frames
        self._clean: tuple[Picture, ...] | None = None
        self._made: dict[str, View] | PictureFault = {}
        self._group: tuple[MediaObject, ...] = ()
        layout = renderer.prompt.layout_for(media.kind)
        size = layout.objects_per_request
        asked = [obj for obj in media.objects if obj.fault is None and obj.visible]
        if layout.needs_mask:
            asked = [obj for obj in asked if all(obj.counts[i] is not None for i in obj.visible)]
        groups = [tuple(asked[i : i + size]) for i in range(0, len(asked), size)] if size > 1 else []
        self._groups = {obj.key: group for group in groups for obj in group}

    @property
    def together(self) -> bool:
        """Whether requests are about several objects."""
        return self._renderer.prompt.layout_for(self._media.kind).objects_per_request > 1

    @property
    def clean(self) -> tuple[Picture, ...]:
        """The unmarked pictures of the medium.

        Raises:
            PictureFault: a frame cannot be read.
        """
        if self._clean is None:
            self._clean = self._renderer.clean(self._media, self._frames)
        return self._clean

    def view(self, obj: MediaObject) -> View:
        """The view of an object.

        Raises:
            PictureFault: there is none.
        """
        if not self.together:
            return self._renderer.view(self._media, obj, self._frames, self.clean)
        group = self._groups.get(obj.key)
        if group is None:
            raise PictureFault("no_mask", "the object has a box and no mask, which the highlights need")
        if group is not self._group:
            self._group, self._made = group, self._views(group)
        if isinstance(self._made, PictureFault):
            raise self._made
        if obj.key not in self._made:
            raise PictureFault("not_shown", "the object is on none of the frames that its request shows")
        return self._made[obj.key]

    def _views(self, group: tuple[MediaObject, ...]) -> dict[str, View] | PictureFault:
        try:
            return self._renderer.numbered_views(self._media, group, self._frames, self.clean)
        except PictureFault as fault:
            return fault


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
    views = MediumViews(renderer, media, frames)
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
            shown: View | tuple[MediaObject, Fault] = views.view(obj)
        except PictureFault as fault:
            shown = obj, Fault(fault.reason, fault.message)
        yield shown
