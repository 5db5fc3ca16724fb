"""What the model said, mask by mask, as one HTML page that needs nothing else.

Pictures are inside the page, masks are SVG outlines over them, and a small script lights up the mask of the caption
under the pointer and filters. A content security policy forbids everything else, so that no text from data can run or
load anything.
"""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from capgen import rle
from capgen.dataset.files import whole_file
from capgen.dataset.layout import picture_bounds, refuse_links
from capgen.dataset.plan import PlanRecord, ShardEntry
from capgen.dataset.reader import check_root, read_plan, rows_of
from capgen.dataset.release_record import release_path
from capgen.dataset.row import Row
from capgen.dataset.shards import is_committed
from capgen.dataset.types import Box, Media
from capgen.display import html, html_head
from capgen.errors import UserError
from capgen.images import PictureFault
from capgen.pipeline.releasing import dedup
from capgen.pipeline.releasing.outcomes import join
from capgen.pipeline.rendering.frames import load_frame

_FRAMES = 6  # of a video
_SIDE = {"image": 900, "video": 480}  # pixels of the longer side of a picture in the page
_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 85)
_GOLDEN = 137.508  # degrees between the hues of neighbouring numbers
_STATUSES = ("kept", "dropped", "failed")


@dataclass(frozen=True, slots=True)
class Shown:
    """An object of a page: its row's columns, with dedup's outcome in ``status``, ``reasons`` and ``message``.

    Args:
        counts: compressed run lengths by frame.
    """

    key: str
    object_id: str
    category: str | None
    counts: dict[int, str]
    caption: str | None
    status: str
    reasons: tuple[str, ...]
    message: str | None


_Place = tuple[Path, Path | None]
"""The dataset's folder, and the folder out of which links among its pictures must not lead (None: anywhere)."""


def gallery_page(
    out: Path, file: Path, *, limit: int, root: Path | None = None, follow_links: bool | None = None
) -> int:
    """Write the page of a run, finished or not; how many images and videos are on it.

    Args:
        limit: images and videos at most, spread evenly over the shards that are committed; those without objects are
            left out.
        root: where the pictures are now, if not where they were when the run was planned.
        follow_links: whether pictures may be links out of the root; None allows it unless the root lies in a run.

    Raises:
        UserError: ``out`` is no run, nothing is committed in it yet, or the page cannot be written.
        LedgerError: the run's files are damaged.
    """
    refuse_links(out)
    plan = read_plan(out)
    if limit < 1:
        raise UserError(f"--limit {limit} shows nothing", "give 1 or more")
    table = plan.table
    done = [entry for entry in table.shards if is_committed(out, entry.index, plan.fingerprint)]
    if not done:
        raise UserError(f"no shard of {out} is done yet", "wait, or run the same `capgen run` command again")
    if root is not None:
        check_root(out, plan, root)
    folder = Path(root or plan.root or "")
    place = (folder, picture_bounds(folder, follow_links))
    note = f"{len(done)} of {len(table.shards)} shards done, {table.objects:,} objects planned"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return write_gallery(
            _chosen(out, plan, done, limit, place), file, title=f"{out.resolve().name}: captions", note=note
        )
    except OSError as error:
        raise UserError(f"cannot write {file}: {error.strerror}", "give another place with --file") from None


def write_gallery(media: Iterable[tuple[Media, Sequence[Shown]]], file: Path, *, title: str, note: str) -> int:
    """Write some media with their objects, one medium in memory at a time; how many they were.

    A frame that cannot be shown says why in its place.

    Raises:
        OSError: ``file`` cannot be written.
    """
    style, script = (Path(__file__).with_name(f"gallery.{kind}").read_text("utf-8") for kind in ("css", "js"))
    count = 0
    with whole_file(file) as part, part.open("w", encoding="utf-8", errors="replace", newline="\n") as page:
        page.write(html_head(title, style=style, script=script))
        page.write(f"<header><h1>{html(title)}</h1><p>{html(note)}</p></header>\n<main>\n")
        tally: Counter[tuple[str, str]] = Counter()
        for medium, objects in media:
            count += 1
            page.write(_article(medium, objects))
            for item in objects:
                tally.update(_facets(item))
        page.write(f"</main>\n{_filters(tally)}<script>{script}</script>\n</body></html>\n")
    return count


def _chosen(
    out: Path, plan: PlanRecord, done: Sequence[ShardEntry], limit: int, place: _Place
) -> Iterator[tuple[Media, Sequence[Shown]]]:
    """Media with objects: as many of every shard as its size and the limit allow, evenly spaced within it."""
    repeated = dedup.left_out(out) if release_path(out).is_file() else {}
    left = limit
    # Small shards first, so that what they leave over goes to larger ones; shown in the order of the plan.
    quotas: dict[int, int] = {}
    for number, entry in enumerate(sorted(done, key=lambda entry: entry.media)):
        quotas[entry.index] = min(entry.media, -(-left // (len(done) - number)))
        left -= quotas[entry.index]
    for entry in done:
        if quotas[entry.index]:
            shard = _of_shard(out, plan, entry, place, repeated)
            yield from (shard[i] for i in _spread(len(shard), quotas[entry.index]))


def _spread(length: int, count: int) -> list[int]:
    if count >= length:
        return list(range(length))
    return [i * length // count for i in range(count)]


def _of_shard(
    out: Path, plan: PlanRecord, entry: ShardEntry, place: _Place, repeated: Mapping[str, tuple[str, str]]
) -> list[tuple[Media, Sequence[Shown]]]:
    shard = join(out, entry, {}, legacy_root=plan.legacy_root)
    rows = rows_of(shard.rows)
    root, bounds = place
    found: list[tuple[Media, Sequence[Shown]]] = []
    for planned in shard.media:
        objects = [_shown(next(rows), repeated) for _ in planned.objects]
        if objects:
            folder = str(root / planned.folder)
            medium = Media(**planned.header(), root=folder, bounds=str(bounds) if bounds else None)
            found.append((medium, objects))
    return found


def _shown(row: Row, repeated: Mapping[str, tuple[str, str]]) -> Shown:
    shown = Shown(
        key=row.key,
        object_id=row.object_id,
        category=row.category,
        counts={
            i: encoded["counts"] if encoded else _rectangle(box, (row.height, row.width))
            for i, encoded, box in zip(row.frame_index, row.segmentation, row.bbox, strict=True)
        },
        caption=row.caption,
        status=row.status,
        reasons=row.reasons,
        message=row.message,
    )
    if row.key not in repeated or row.status != "kept":
        return shown
    reason, message = repeated[row.key]
    return replace(shown, status="dropped", reasons=(reason,), message=message)


def _rectangle(box: Box, size: rle.Size) -> str:
    """The box of an object that has no mask, as counts."""
    x, y, width, height = box
    corners = [x, y, x + width, y, x + width, y + height, x, y + height]
    return rle.rasterise([rle.usable_polygons([corners], size)], size)[0].decode("ascii")


def _facets(item: Shown) -> Iterator[tuple[str, str]]:
    yield "status", item.status
    yield "category", item.category or ""
    yield from (("reason", reason) for reason in dict.fromkeys(item.reasons))


def _filters(tally: Counter[tuple[str, str]]) -> str:
    """The form. It is written last, when all is counted; the script puts it on top."""
    boxes = "".join(
        f'<label class="{status}"><input type=checkbox name=status value={status} checked> {status} '
        f"<b>{tally['status', status]:,}</b></label>"
        for status in _STATUSES
    )
    selects = "".join(
        _select(name, every, tally) for name, every in (("reason", "any reason"), ("category", "all categories"))
    )
    return (
        f"<form hidden>{boxes}{selects}<input type=search name=q placeholder='search captions' aria-label=search>"
        "<label><input type=checkbox name=masks value=off> hide masks</label><output></output></form>\n"
    )


def _select(name: str, every: str, tally: Counter[tuple[str, str]]) -> str:
    values = sorted((value, count) for (facet, value), count in tally.items() if facet == name and value)
    options = "".join(f'<option value="{html(value)}">{html(value)} ({count:,})</option>' for value, count in values)
    return f'<select name={name} aria-label={name}><option value="">{every}</option>{options}</select>'


def _article(medium: Media, objects: Sequence[Shown]) -> str:
    frames = _frames(medium, objects)
    figures = "".join(_figure(medium, objects, index) for index in frames)
    captions = "".join(_item(number, item) for number, item in enumerate(objects, 1))
    return (
        f'<article class="{html(medium.kind)}"><h2>{html(medium.name)}</h2>\n'
        f"<div class=frames>{figures}</div>\n<ol>{captions}</ol></article>\n"
    )


def _frames(medium: Media, objects: Sequence[Shown]) -> list[int]:
    """Frames evenly spaced over those that show an object; the first where no object is to be seen."""
    seen = sorted({index for item in objects for index in item.counts})
    return [seen[i] for i in _spread(len(seen), _FRAMES)] if seen else list(range(len(medium.file_names)))[:1]


def _figure(medium: Media, objects: Sequence[Shown], index: int) -> str:
    label = f"<figcaption>frame {index + 1} of {len(medium.file_names)}</figcaption>" if medium.kind == "video" else ""
    try:
        source, scale = _picture(load_frame(medium, index), _SIDE[medium.kind])
    except PictureFault as fault:
        shape = f"aspect-ratio: {medium.width} / {medium.height}"
        return f'<figure class=missing style="{shape}">{html(str(fault))}</figure>'
    size = (medium.height, medium.width)
    paths = "".join(
        _mask(number, item, rle.decode(item.counts[index], size), scale)
        for number, item in _large_first(objects, index, size)
    )
    return (
        f'<figure><img src="{source}" alt="" width={medium.width} height={medium.height} loading=lazy>'
        f'<svg viewBox="0 0 {medium.width} {medium.height}">{paths}</svg>{label}</figure>'
    )


def _large_first(objects: Sequence[Shown], index: int, size: rle.Size) -> list[tuple[int, Shown]]:
    """What is small lies on top, so that the pointer reaches it."""
    here = [(number, item) for number, item in enumerate(objects, 1) if index in item.counts]
    return sorted(here, key=lambda pair: -rle.area(pair[1].counts[index], size))


def _picture(pixels: NDArray[np.uint8], side: int) -> tuple[str, float]:
    """The frame as a JPEG data URI, and how much smaller it became."""
    height, width = pixels.shape[:2]
    scale = min(1.0, side / max(height, width))
    if scale < 1:
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA).astype(np.uint8)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), _JPEG)
    return "data:image/jpeg;base64," + b64encode(data.tobytes()).decode("ascii"), scale


def _mask(number: int, item: Shown, bitmap: NDArray[np.bool_], scale: float) -> str:
    """An SVG path round the mask's pieces and holes, with its number at the point deepest inside."""
    outlines, _ = cv2.findContours(bitmap.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    path = []
    for outline in outlines:
        points = cv2.approxPolyDP(outline, 0.5 / scale, closed=True).reshape(-1, 2)
        path.append("M" + "L".join(f"{x} {y}" for x, y in points.tolist()) + "Z")
    if not path:
        return ""
    depth = cv2.distanceTransform(np.pad(bitmap.view(np.uint8), 1), cv2.DIST_L2, 3)
    _, _, _, (x, y) = cv2.minMaxLoc(depth)
    return (
        f'<g data-n={number} class="{html(item.status)}" style="--c: {_colour(number)}">'
        f'<path d="{"".join(path)}"/><text x={x - 0.5} y={y - 0.5}>{number}</text></g>'
    )


def _item(number: int, item: Shown) -> str:
    said = f"<q>{html(item.caption)}</q>" if item.caption else "<i>no caption</i>"
    codes = "".join(f"<code>{html(reason)}</code> " for reason in item.reasons)
    why = f"<p class=why>{codes}{html(item.message or '')}</p>" if item.reasons or item.message else ""
    reasons = html(" ".join(item.reasons))
    return (
        f'<li data-n={number} data-status="{html(item.status)}" data-category="{html(item.category or "")}" '
        f'data-reasons="{reasons}" class="{html(item.status)}" style="--c: {_colour(number)}" tabindex=0>'
        f"<b>{number}</b><div><small>{html(item.category or 'no category')} · {html(item.object_id)}"
        f"{'' if item.status == 'kept' else f' · {html(item.status)}'}</small><p>{said}</p>{why}</div></li>\n"
    )


def _colour(number: int) -> str:
    return f"hsl({number * _GOLDEN % 360:.0f} 90% 66%)"
