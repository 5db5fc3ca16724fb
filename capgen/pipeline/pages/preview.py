"""What the model would see, as one HTML page that needs nothing else."""

from __future__ import annotations

import random
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2

from capgen.dataset.files import whole_file
from capgen.dataset.layout import picture_bounds
from capgen.dataset.plan import PlannedMedia
from capgen.dataset.types import Fault, MediaObject
from capgen.display import html, html_head
from capgen.errors import UserError
from capgen.pipeline.planning.open_source import build_source
from capgen.pipeline.rendering.prompt import prompt_of
from capgen.pipeline.rendering.render import Renderer, render_media
from capgen.pipeline.settings import Settings
from capgen.pipeline.sources.reading.decode import decode_media
from capgen.pipeline.view import Part, Picture, View

_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 64rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
article { border: 1px solid #8886; border-radius: .5rem; margin: 1.5rem 0; padding: 0 1rem 1rem; }
h2 { font-size: 1rem; }
.part { margin: .75rem 0; }
.part > small, summary { opacity: .7; }
p, dd { white-space: pre-wrap; margin: .25rem 0; }
figure { display: inline-block; margin: .25rem .75rem .25rem 0; vertical-align: top; }
figcaption { font-size: .8rem; opacity: .7; }
img { display: block; max-width: 100%; height: auto; }
"""


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


def preview_page(settings: Settings, out: Path, sample: PreviewSample | None = None) -> int:
    """Write what the model would see of ``source.limit`` objects of a pipeline; how many they were.

    Args:
        sample: which objects; None is the first ones.

    Raises:
        UserError: no object is of the sample, the source or the prompt is not usable, or the page cannot be written.
    """
    prompt = prompt_of(settings.prompt)
    renderer = Renderer(settings.render, prompt)
    bounds = picture_bounds(settings.source.root, settings.source.follow_links)

    chosen = sample or PreviewSample()

    def shown() -> Iterator[tuple[MediaObject, View | Fault]]:
        for planned, keys in chosen.of(build_source(settings).scan(), settings.source.limit):
            media = decode_media(planned, settings.source.root or "", bounds)
            for obj, result in zip(media.objects, render_media(media, renderer), strict=True):
                if obj.key in keys:
                    yield obj, result if isinstance(result, View) else result[1]

    title = f"{settings.name}: what the model would see ({prompt.name}, {prompt.layout_for(settings.kind).highlight})"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        count = write_preview(islice(shown(), settings.source.limit), out, title)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror}", "give another place with --out") from None
    if not count and (chosen.keys or chosen.categories):
        raise UserError("no object has such a key or category", "capgen describe shows what the dataset holds")
    return count


def write_preview(views: Iterable[tuple[MediaObject, View | Fault]], file: Path, title: str) -> int:
    """Write the requests of some objects, part by part in the order the model gets them; how many they were.

    The page needs nothing else: pictures are inside it. Every text from data is escaped, and it runs no script. An
    object that cannot be shown has its fault there instead.

    Raises:
        OSError: ``file`` cannot be written.
    """
    with whole_file(file) as part, part.open("w", encoding="utf-8", errors="replace") as page:
        page.write(f"{html_head(title, style=_STYLE)}<h1>{html(title)}</h1>\n")
        count = 0
        for obj, view in views:
            count += 1
            page.write(_article(obj, view) if isinstance(view, View) else _fault(obj, view))
        page.write(f"<p>{count} objects, each as one request.</p>\n</body></html>\n")
    return count


def _heading(obj: MediaObject) -> str:
    category = f" · {html(obj.category)}" if obj.category else ""
    return f"<h2>{html(obj.key)}{category}</h2>\n"


def _fault(obj: MediaObject, fault: Fault) -> str:
    return f"<article>{_heading(obj)}<p>not asked: {html(fault.reason)}, {html(fault.message)}</p></article>\n"


def _article(obj: MediaObject, view: View) -> str:
    examples = "".join(
        f"<div class=part><small>example</small><p>{html(turn.user)}</p><p>→ {html(turn.assistant)}</p></div>"
        for turn in view.examples
    )
    fixed = f"<p>{html(view.system)}</p>{examples}"
    frames = ", ".join(str(i + 1) for i in view.marked_frames)
    return (
        f"<article>{_heading(obj)}"
        f"<details><summary>system text, {len(view.examples)} examples</summary>{fixed}</details>\n"
        + "".join(_part(part) for part in view.parts)
        + f"<small>marked on frame {frames}</small></article>\n"
    )


def _part(part: Part) -> str:
    if isinstance(part, str):
        return f"<div class=part><small>text</small><p>{html(part)}</p></div>\n"
    return f"<figure>{_image(part)}</figure>\n"


def _image(picture: Picture) -> str:
    """Nearly without loss, and colours at full resolution, so that a line of one pixel is as the model sees it."""
    height, width = picture.pixels.shape[:2]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2BGR), _JPEG)
    source = "data:image/jpeg;base64," + b64encode(data.tobytes()).decode("ascii")
    caption = f"<figcaption>{width} x {height}</figcaption>"
    return f'<img src="{source}" width="{width}" height="{height}" alt="">{caption}'
