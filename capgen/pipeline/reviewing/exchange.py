"""Objects of a run out to an annotation tool, and its file's judgements into ``OUT/reviews.jsonl``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from capgen.dataset.files import remove_parts, telling_disk_trouble
from capgen.dataset.lock import exclusive_file
from capgen.dataset.reader import read_columns, read_plan
from capgen.dataset.shards import finished_shards
from capgen.encoding import read_bytes
from capgen.errors import UserError
from capgen.pipeline.gallery.media_store import MediaStore
from capgen.pipeline.gallery.row_index import RowIndex
from capgen.pipeline.gallery.selection import Selection
from capgen.pipeline.releasing.reviewed import outdated
from capgen.pipeline.releasing.reviews import Review, append_reviews, read_reviews
from capgen.pipeline.reviewing.cvat import read_cvat, write_cvat
from capgen.pipeline.reviewing.label_studio import is_label_studio, read_label_studio, write_label_studio
from capgen.pipeline.reviewing.objects import PICTURE, PICTURES, Tool, write_pictures

_FILES = re.compile(r"annotations\.xml|labels\.json|tasks\.json|label_config\.xml")
"""What is written beside the pictures."""
_WRITERS = {"label-studio": write_label_studio, "cvat": write_cvat}


@dataclass(frozen=True, slots=True)
class TakenReviews:
    """What an import did.

    Args:
        new: judgements by verdict that were added.
        known: judgements that stand in the file already.
        silent: objects of which nothing was said.
        outdated: of ``new``, those of a caption that the object no longer has.
        strange: keys that no object of the run has, which are left out.
    """

    new: Mapping[str, int]
    known: int
    silent: int
    outdated: int
    strange: int


def send(out: Path, tool: Tool, folder: Path, selection: Selection, root: Path | None = None) -> int:
    """Write a selection of a run's objects for an annotation tool; how many.

    Raises:
        InUse: another process writes into ``folder``.
        UserError: nothing fits the selection, or ``folder`` cannot be written.
    """
    index = RowIndex(out)
    try:
        index.refresh()
        store = MediaStore(out, index.plan, root)
        with telling_disk_trouble(folder):
            pictures = write_pictures(index, store, selection, folder)
            with exclusive_file(folder / PICTURES):
                remove_parts(folder, _FILES)
                remove_parts(folder / PICTURES, PICTURE)
                count = _WRITERS[tool](pictures, folder)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}", "give another folder") from None
    finally:
        index.close()
    if not count:
        raise UserError(f"{out}: not one picture of these objects can be read", "give their folder with --root")
    return count


def take(out: Path, file: Path) -> TakenReviews:
    """Add the judgements of an annotation tool's file to those of a run.

    Raises:
        MissingFile: there is no such file.
        UserError: it is of no tool that is known, or has judgements that are none.
    """
    data = read_bytes(file, "give what Label Studio or CVAT exported")
    said = list(read_label_studio(data, file) if is_label_studio(data) else read_cvat(data, file))
    captions = _captions(out, {one.key for one in said})
    before = read_reviews(out)
    new: list[Review] = []
    silent = known = strange = 0
    for one in said:
        found = one.review()
        strange += one.key not in captions
        silent += found is None
        if found is None or one.key not in captions:
            continue
        if _same(found, before.get(one.key)):
            known += 1
        else:
            new.append(found)
    if new:
        append_reviews(out, new)
    late = sum(outdated(one, captions[one.key]) for one in new)
    return TakenReviews(Counter(one.verdict for one in new), known, silent, late, strange)


def count_reviews(out: Path) -> dict[str, int]:
    """The judgements that count, by verdict, and those that are outdated."""
    found = read_reviews(out)
    captions = _captions(out, set(found))
    counts: Counter[str] = Counter()
    for key, one in found.items():
        counts["outdated" if key not in captions or outdated(one, captions[key]) else one.verdict] += 1
    return dict(counts)


def _captions(out: Path, keys: set[str]) -> dict[str, str | None]:
    """The captions of objects that are finished, by key."""
    plan = read_plan(out)
    found: dict[str, str | None] = {}
    for entry in finished_shards(out, plan):
        if len(found) == len(keys):
            break
        columns = read_columns(out, entry.index, ("key", "caption")).to_pydict()
        found |= {k: c for k, c in zip(columns["key"], columns["caption"], strict=True) if k in keys}
    return found


def _same(one: Review, other: Review | None) -> bool:
    return other is not None and (one.verdict, one.caption, one.said) == (other.verdict, other.caption, other.said)
