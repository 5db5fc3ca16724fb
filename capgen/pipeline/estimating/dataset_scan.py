"""One pass over a dataset: exact counts, and a sample of its media as requests, without reading a picture."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from capgen.dataset.layout import picture_bounds
from capgen.dataset.plan import PlannedMedia
from capgen.dataset.types import Media
from capgen.images import PictureFault
from capgen.pipeline.planning.open_source import build_source
from capgen.pipeline.rendering.render import MediumViews, Renderer
from capgen.pipeline.settings import Settings
from capgen.pipeline.sources.reading.decode import decode_media
from capgen.pipeline.view import View

_SAMPLED_MEDIA = 64


@dataclass(slots=True)
class DatasetCounts:
    """What a dataset holds.

    Args:
        objects: of the plan; ``unaskable`` of them have no usable annotation and become failed rows.
        objects_by_medium: media by how many of their objects are asked for.
        sample: media with objects, each as likely as any other; the same for the same dataset.
    """

    media: int = 0
    objects: int = 0
    unaskable: int = 0
    shards: int = 0
    objects_by_medium: Counter[int] = field(default_factory=Counter)
    sample: list[PlannedMedia] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """Objects that are asked for."""
        return self.objects - self.unaskable

    def later_objects(self, first: int) -> int:
        """Objects that have at least ``first`` objects of their medium before them."""
        return sum(max(0, count - first) * media for count, media in self.objects_by_medium.items())


@dataclass(frozen=True, slots=True)
class SampledRequest:
    """A request, and how many of its first parts are the same for all objects of its medium."""

    view: View
    shared_parts: int


def count_dataset(settings: Settings) -> DatasetCounts:
    """Count a dataset and draw a sample of it.

    Raises:
        UserError: the source is missing or not of its format.
    """
    counts, chosen = DatasetCounts(), random.Random(0)
    in_shard, split, seen = 0, "", 0
    for medium in _limited(settings):
        asked = sum(one.reason is None for one in medium.objects)
        counts.media += 1
        counts.objects += len(medium.objects)
        counts.unaskable += len(medium.objects) - asked
        counts.objects_by_medium[asked] += 1
        if counts.media == 1 or in_shard >= settings.run.shard_objects or medium.split != split:
            counts.shards, in_shard, split = counts.shards + 1, 0, medium.split
        in_shard += len(medium.objects)
        if asked:
            seen += 1
            _draw(counts.sample, medium, seen, chosen)
    return counts


def sampled_requests(settings: Settings, sample: list[PlannedMedia], renderer: Renderer) -> list[list[SampledRequest]]:
    """The requests of each sampled medium, with its real text and the real sizes of its pictures, which are black."""
    bounds = picture_bounds(settings.source.root, settings.source.follow_links)
    media = (decode_media(planned, settings.source.root or "", bounds) for planned in sample)
    return [_requests(medium, renderer) for medium in media]


def bytes_of_plan(sample: list[PlannedMedia]) -> float:
    """Bytes of an object in the plan's files, on average over the sample."""
    objects = sum(len(medium.objects) for medium in sample)
    return sum(len(msgspec.json.encode(medium)) for medium in sample) / max(1, objects)


class _BlackFrames(dict[int, NDArray[np.uint8]]):
    def __init__(self, media: Media) -> None:
        super().__init__()
        self._frame = np.zeros((media.height, media.width, 3), np.uint8)

    def __missing__(self, index: int) -> NDArray[np.uint8]:
        return self._frame


def _requests(media: Media, renderer: Renderer) -> list[SampledRequest]:
    frames = _BlackFrames(media)
    views = MediumViews(renderer, media, frames)
    shared = (0 if views.together else len(views.clean)) + bool(renderer.prompt.before)
    found = []
    for item in media.objects:
        if item.fault is None and item.visible:
            try:
                found.append(SampledRequest(views.view(item), shared))
            except PictureFault:
                continue  # becomes a failed row and is never asked for
    return found


def _limited(settings: Settings) -> Iterator[PlannedMedia]:
    left = settings.source.limit
    for medium in build_source(settings).scan():
        if left is not None:
            if left <= 0:
                return
            yield msgspec.structs.replace(medium, objects=medium.objects[:left])
            left -= len(medium.objects)
        else:
            yield medium


def _draw(sample: list[PlannedMedia], medium: PlannedMedia, seen: int, chosen: random.Random) -> None:
    """Keep a medium with the chance that every one before it had."""
    if len(sample) < _SAMPLED_MEDIA:
        sample.append(medium)
        return
    place = chosen.randrange(seen)
    if place < _SAMPLED_MEDIA:
        sample[place] = medium
