"""A selection of a run as static files: a page, its pictures beside it, and nothing that has to be fetched."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from markupsafe import Markup

from capgen.dataset.files import put_by_content, remove_parts, telling_disk_trouble, whole_file
from capgen.dataset.layout import OwnEntries, RunLayout, refuse_links
from capgen.dataset.lock import exclusive_file
from capgen.dataset.shards import damage_of
from capgen.encoding import check_name
from capgen.errors import LedgerError, UserError
from capgen.images import PictureFault
from capgen.pipeline.gallery.media_store import MediaStore, ShownMedium, scaled_jpeg
from capgen.pipeline.gallery.row_index import IndexedRow, RowIndex
from capgen.pipeline.gallery.selection import STATUSES, Selection
from capgen.pipeline.gallery.templating import environment, render, static_text
from capgen.pipeline.gallery.views import Figure, MediumGroup, marks
from capgen.videos.frames import read_frames

_FRAMES = 6  # of a video
_SIDE = {"image": 900, "video": 480}  # pixels of the longer side of a picture
_PAGE = "index.html"
_PICTURES = "pictures"
_PICTURE = re.compile(r"\d{5,}-\d{5,}(-[0-9a-f]{16})?\.jpg")
"""The names of pictures of a page."""
EXPORTED_GALLERY = OwnEntries(frozenset({_PAGE}), frozenset({_PICTURES}))


def export_run(
    out: Path,
    folder: Path,
    *,
    limit: int,
    selection: Selection | None = None,
    root: Path | None = None,
    follow_links: bool | None = None,
) -> int:
    """``export_gallery`` of what a run has finished by now.

    Args:
        root, follow_links: see ``MediaStore``.
    """
    index = RowIndex(out)
    try:
        store = MediaStore(out, index.plan, root, follow_links=follow_links)
        index.refresh()
        return export_gallery(index, store, selection or Selection(), folder, limit=limit)
    finally:
        index.close()


def export_gallery(index: RowIndex, store: MediaStore, selection: Selection, folder: Path, *, limit: int) -> int:
    """Write ``folder/index.html`` and ``folder/pictures/``; how many images and videos are on the page.

    A frame that cannot be shown says why in its place. A page that was there before stays as it is, with its pictures,
    until the new one is whole.

    Args:
        limit: images and videos at most, spread evenly over all that hold an object of the selection.

    Raises:
        InUse: another process writes a page into the folder.
        UserError: nothing is finished or selected yet, or the folder cannot be written, or holds links.
        LedgerError: the run's files are damaged.
    """
    if limit < 1:
        raise UserError(f"--limit {limit} shows nothing", "give 1 or more")
    if RunLayout(folder).plan_json.is_file():
        raise UserError(f"{folder} is the folder of a run", "give another folder with --export")
    refuse_links(folder, EXPORTED_GALLERY)
    if not index.facets()["split"]:
        _refuse_damaged(index)
        raise UserError(f"no shard of {index.out} is done yet", "wait, or run the same `capgen run` command again")
    media = index.media(selection, limit)
    if not media:
        raise UserError(f"{index.out}: no finished object fits the filters", "choose others")
    check_name(folder)
    try:
        with telling_disk_trouble(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with exclusive_file(folder / _PAGE):
                (folder / _PICTURES).mkdir(exist_ok=True)
                remove_parts(folder / _PICTURES, _PICTURE)
                shown = _write_page(index, store, selection, folder, media)
                _forget_others(folder / _PICTURES, shown)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror}", "give another folder with --export") from None
    return len(media)


def _refuse_damaged(index: RowIndex) -> None:
    """Name the file of a shard that was done and is damaged.

    Raises:
        LedgerError: there is one.
    """
    for entry in index.plan.shards:
        damage = damage_of(index.out, entry.index, index.plan.fingerprint)
        if damage is not None:
            raise LedgerError(f"{damage}; the same `capgen run` makes it again, `capgen verify` names others")


def _write_page(
    index: RowIndex, store: MediaStore, selection: Selection, folder: Path, media: Sequence[tuple[int, str]]
) -> set[str]:
    """Write the page; the names of its pictures."""
    style, script = static_text("gallery.css"), static_text("export.js")
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    policy = (
        "default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
        f"script-src 'sha256-{digest}'"
    )
    title = f"{index.out.resolve().name}: captions"
    article = environment().get_template("article.html").module.article  # type: ignore[attr-defined]
    tally: Counter[tuple[str, str]] = Counter()
    shown: set[str] = set()
    with (
        whole_file(folder / _PAGE) as part,
        part.open("w", encoding="utf-8", errors="replace", newline="\n") as page,
    ):
        page.write(render("export.html", title=title, note=index.note, style=_markup(style), policy=policy))
        for number, (shard, name) in enumerate(media):
            rows = index.of_medium(name, selection)
            figures = list(_figures(store.of_row(shard, name), rows, folder, number))
            shown.update(figure.src.rpartition("/")[2] for figure in figures)
            page.write(article(MediumGroup(shard, name, rows[0].kind, figures, rows), links=False, reviews=False))
            for row in rows:
                tally.update(_facets(row))
        page.write(_end(tally, script))
    return shown


def _forget_others(pictures: Path, shown: set[str]) -> None:
    """Delete the pictures of an earlier page, which nothing shows any more."""
    for path in pictures.iterdir():
        if _PICTURE.fullmatch(path.name) and path.name not in shown and path.is_file():
            path.unlink(missing_ok=True)


def _figures(shown: ShownMedium, rows: Sequence[IndexedRow], folder: Path, number: int) -> Iterator[Figure]:
    media = shown.media
    chosen = shown.seen_frames(_FRAMES)
    names = [media.file_names[index] for index in chosen]
    read = dict(read_frames(media.root, names, size=(media.height, media.width), bounds=media.bounds))
    for index in chosen:
        label = f"frame {index + 1} of {len(media.file_names)}" if media.kind == "video" else ""
        found = read[media.file_names[index]]
        if isinstance(found, PictureFault):
            yield Figure("", media.width, media.height, "", label, [], fault=str(found))
            continue
        data, scale = scaled_jpeg(found, _SIDE[media.kind])
        name = f"{_PICTURES}/{put_by_content(folder / _PICTURES, f'{number:05d}-{index:05d}', '.jpg', data)}"
        drawn = marks(shown, index, scale, [row.number for row in rows])
        yield Figure(name, media.width, media.height, f"{media.kind} {media.name}", label, drawn)


def _facets(row: IndexedRow) -> Iterator[tuple[str, str]]:
    yield "status", row.status
    yield "category", row.category or ""
    yield "judge", row.judged or ""
    yield from (("reason", reason) for reason in dict.fromkeys(row.reasons))


def _end(tally: Counter[tuple[str, str]], script: str) -> str:
    """The form, written last when all is counted (the script puts it on top), and the script."""
    selects = [
        (name, every, sorted((value, count) for (facet, value), count in tally.items() if facet == name and value))
        for name, every in (("reason", "any reason"), ("category", "all categories"), ("judge", "any verdict"))
    ]
    selects = [one for one in selects if one[2] or one[0] != "judge"]
    scored = any(name == "judge" for name, *_ in selects)
    by_status = {status: tally["status", status] for status in STATUSES}
    return render("export_end.html", by_status=by_status, selects=selects, scored=scored, script=_markup(script))


def _markup(text: str) -> Markup:
    """A style sheet or script of capgen's own, which is not escaped."""
    if re.search("</", text):
        raise ValueError("a script or style sheet that ends its own element")
    return Markup(text)
