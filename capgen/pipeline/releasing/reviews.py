"""What people said of captions: ``OUT/reviews.jsonl``, a line a judgement, which is only ever appended to.

The last line of a key counts. A line without a verdict takes back what was said before.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from capgen.dataset.layout import RunLayout, refuse_links
from capgen.errors import LedgerError, UserError

Verdict = Literal["good", "bad", "edit", "none"]
LONGEST = 2000
"""Characters of an edited caption or of a reason."""


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
        raise UserError(f"the review of {key} is not usable: {error}", "correct it") from error


def append_reviews(out: Path, reviews: list[Review]) -> None:
    """Add judgements to a run's file, so that a crash loses none that was added before.

    Raises:
        UserError: the file is a link.
        OSError: it cannot be written.
    """
    refuse_links(out)
    lines = b"".join(msgspec.json.encode(one) + b"\n" for one in reviews)
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    descriptor = os.open(RunLayout(out).reviews, flags, 0o666)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            lines = b"\n" + lines  # what a kill cut off stays a line of its own
        os.write(descriptor, lines)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
