"""What the model would see of some objects of a dataset, and on demand what it says to that."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from capgen.dataset.layout import picture_bounds
from capgen.dataset.lock import exclusive_file
from capgen.dataset.plan import PlannedMedia
from capgen.dataset.types import Media, MediaObject
from capgen.display import StepLog
from capgen.errors import UserError
from capgen.pipeline.pages.answers import ask_once
from capgen.pipeline.pages.request_page import PreviewItem, write_preview
from capgen.pipeline.planning.open_source import build_source
from capgen.pipeline.rendering.prompt import prompt_of
from capgen.pipeline.rendering.render import Renderer, render_media
from capgen.pipeline.settings import Settings
from capgen.pipeline.sources.reading.decode import decode_media
from capgen.pipeline.view import TokenCounter, View


@dataclass(frozen=True, slots=True)
class PreviewSample:
    """Which objects of a dataset are shown; all that are not empty must hold.

    Args:
        keys: only these objects.
        categories: only objects of these categories.
        seed: a random sample by this seed instead of the first objects.
    """

    keys: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    seed: int | None = None

    def keys_of(self, planned: PlannedMedia) -> list[str]:
        """The keys of the objects of a medium that may be shown."""
        named = ((planned.key_of(one.object_id), one.category) for one in planned.objects)
        return [
            key
            for key, category in named
            if (not self.keys or key in self.keys) and (not self.categories or category in self.categories)
        ]

    def of(self, media: Iterable[PlannedMedia], number: int | None) -> Iterator[tuple[PlannedMedia, frozenset[str]]]:
        """Media with the keys to be shown, in the order of the source; a random sample has ``number`` keys."""
        if self.seed is None or number is None:
            yield from ((planned, frozenset(keys)) for planned in media if (keys := self.keys_of(planned)))
            return
        draw, taken, seen = random.Random(self.seed), list[tuple[int, PlannedMedia, str]](), 0
        for place, planned in enumerate(media):
            for key in self.keys_of(planned):  # reservoir sampling
                seen += 1
                if len(taken) < number:
                    taken.append((place, planned, key))
                elif (at := draw.randrange(seen)) < number:
                    taken[at] = place, planned, key
        for place, planned in {place: planned for place, planned, _ in sorted(taken, key=lambda one: one[0])}.items():
            yield planned, frozenset(key for where, _, key in taken if where == place)


def preview_page(
    settings: Settings,
    out: Path,
    sample: PreviewSample | None = None,
    *,
    counter: TokenCounter | None = None,
    ask_gpus: int | None = None,
) -> int:
    """Write what the model would see of ``source.limit`` objects of a pipeline; how many they were.

    Args:
        sample: which objects; None is the first ones.
        counter: counts tokens and writes the chat template's text; None leaves both out.
        ask_gpus: ask, with one engine on so many GPUs, and show the answers too; None asks nothing.

    Raises:
        UserError: no object is of the sample, the source or the prompt is not usable, the engine cannot start, or the
            page cannot be written.
    """
    chosen = sample or PreviewSample()
    items: Iterator[PreviewItem] = islice(_items(settings, chosen), settings.source.limit)
    if ask_gpus is not None:
        items = iter(_answered(settings, list(items), ask_gpus))
    layout = prompt_of(settings.prompt).layout_for(settings.kind).highlight
    title = f"{settings.name}: what the model would see ({settings.prompt.name}, {layout})"
    if ask_gpus is not None:
        title = f"{settings.name}: what the model sees and says ({settings.prompt.name}, {layout})"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with exclusive_file(out):
            count = write_preview(items, out, title, counter)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror}", "give another place with --out") from None
    if not count and (chosen.keys or chosen.categories):
        raise UserError("no object has such a key or category", "capgen describe shows what the dataset holds")
    return count


def _items(settings: Settings, sample: PreviewSample) -> Iterator[PreviewItem]:
    """The objects of a sample with their requests."""
    renderer = Renderer(settings.render, prompt_of(settings.prompt))
    bounds = picture_bounds(settings.source.root, settings.source.follow_links)
    steps = StepLog()
    for planned, keys in sample.of(build_source(settings).scan(), settings.source.limit):
        media = decode_media(planned, settings.source.root or "", bounds)
        others = frozenset(obj.key for obj in media.objects) - keys
        shown = (obj for obj in media.objects if obj.key in keys)
        for obj, result in zip(shown, render_media(media, renderer, others), strict=True):
            steps(f"rendered {obj.key}")
            if isinstance(result, View):
                yield PreviewItem(obj, result, _labels(renderer, media, obj, result))
            else:
                yield PreviewItem(obj, result[1])


def _labels(renderer: Renderer, media: Media, obj: MediaObject, view: View) -> list[str]:
    """What each picture of a request is; nothing where the frames do not tell."""
    clean = renderer.clean_frames(media)
    marked = renderer.marked_frames(media, obj) if view.numbered is None else view.marked_frames
    if media.kind == "image":
        return [*("unmarked" for _ in clean), *("marked" for _ in marked)]
    return [*(f"frame {i + 1}" for i in clean), *(f"frame {i + 1}, marked" for i in marked)]


def _answered(settings: Settings, items: list[PreviewItem], gpus: int) -> list[PreviewItem]:
    asked = [(item.obj, item.shown) for item in items if isinstance(item.shown, View)]
    answers = iter(ask_once(settings, asked, gpus))
    return [replace(item, answer=next(answers)) if isinstance(item.shown, View) else item for item in items]
