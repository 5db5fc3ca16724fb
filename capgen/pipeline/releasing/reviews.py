"""What people said of captions: ``OUT/reviews.jsonl``, a line a judgement, which is only ever appended to.

The last line of a key counts. A line without a verdict takes back what was said before.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from capgen.dataset.files import telling_disk_trouble
from capgen.dataset.layout import RunLayout, refuse_links
from capgen.errors import LedgerError, UserError

Verdict = Literal["good", "bad", "edit", "none"]
LONGEST = 2000
"""Characters of an edited caption or of a reason."""
_LONGEST_LINE = 2**20  # bytes


class Review(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One person's judgement of one caption.

    Args:
        key: the object.
        verdict: ``good``; ``bad``, so that the caption is left out; ``edit``, so that ``caption`` takes its place;
            ``none`` takes an earlier judgement back.
        why: what is wrong with it.
        caption: the caption that takes its place; of ``edit`` only.
        said: the caption that was judged: a judgement of an answer that was replaced since counts no more.
        by, at: who, and when (UTC, ISO 8601).
    """

    key: str
    verdict: Verdict
    by: str
    at: str
    why: str | None = None
    caption: str | None = None
    said: str | None = None

    def __post_init__(self) -> None:
        if (self.verdict == "edit") != (self.caption is not None and self.caption.strip() != ""):
            raise ValueError("an edit needs a caption, and nothing else has one")
        if any(len(text or "") > LONGEST for text in (self.why, self.caption)):
            raise ValueError(f"a caption or reason is longer than {LONGEST:,} characters")


def review(
    key: str, verdict: str, by: str, *, why: str | None = None, caption: str | None = None, said: str | None = None
) -> Review:
    """A judgement of now.

    Raises:
        UserError: it is none.
    """
    values = {
        "key": key,
        "verdict": verdict,
        "why": (why or "").strip() or None,
        "caption": " ".join(caption.split()) if caption and verdict == "edit" else None,
        "said": said,
        "by": by,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    try:
        return msgspec.convert(values, Review)
    except msgspec.ValidationError as error:
        raise UserError(f"the review of {key[:200]} is not usable: {error}", "correct it") from error


def append_reviews(out: Path, reviews: list[Review]) -> None:
    """Add judgements to a run's file: all of them or none, and a crash loses none that was added before.

    Raises:
        UserError: the file is a link.
        DiskTrouble: the disk is full, or the file may not be written.
    """
    refuse_links(out)
    lines = b"".join(msgspec.json.encode(one) + b"\n" for one in reviews)
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    with telling_disk_trouble(out):
        descriptor = os.open(RunLayout(out).reviews, flags, 0o666)
        try:
            with suppress(OSError):  # some network file systems have no locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            size = _without_torn_line(descriptor)
            try:
                _write_all(descriptor, lines)
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)


def _without_torn_line(descriptor: int) -> int:
    """Make the file end with a line's end, and give its size; what a kill has cut off of a last line is no review."""
    size = os.fstat(descriptor).st_size
    begun = max(0, size - _LONGEST_LINE)
    last = os.pread(descriptor, size - begun, begun).rpartition(b"\n")[2]
    if not last:
        return size
    try:
        msgspec.json.decode(last, type=Review)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        os.ftruncate(descriptor, size - len(last))
        return size - len(last)
    os.write(descriptor, b"\n")
    return size + 1


def _write_all(descriptor: int, data: bytes) -> None:
    while data:  # a disk that is nearly full takes a part
        data = data[os.write(descriptor, data) :]


def read_reviews(out: Path) -> dict[str, Review]:
    """By key, the judgement that counts; see ``judgements``."""
    file = RunLayout(out).reviews
    try:
        return judgements(file.read_bytes(), file)
    except FileNotFoundError:
        return {}


def judgements(data: bytes, file: Path) -> dict[str, Review]:
    """By key, the judgement that counts; none where a later line takes it back.

    A last line that was cut off is left out.

    Args:
        data: the file's bytes.

    Raises:
        LedgerError: another line is damaged.
    """
    lines = data.split(b"\n")
    decoder = msgspec.json.Decoder(Review)
    found: dict[str, Review] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            one = decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            if number == len(lines):
                continue
            raise LedgerError(f"{file}, line {number}, is no review ({error}); correct or delete it") from error
        found[one.key] = one
    return {key: one for key, one in found.items() if one.verdict != "none"}
