"""Text from data on its way to people: terminals, logs, HTML, Markdown, plots and drawn pictures.

Captions, names, paths and messages of servers are somebody else's text. Nothing in them may move the cursor, turn the
direction of reading, start markup or run. Every surface takes such text through one of these functions.
"""

from __future__ import annotations

import hashlib
import logging
import re
import sys
import time
import unicodedata
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import IntEnum
from html import escape
from typing import Any

from capgen.buckets.places import shown as with_urls
from capgen.redaction import plain_addresses

REPLACEMENT = "\ufffd"

log = logging.getLogger(__name__)

_PIPE = r"\|"
"""A bar in a cell of a table, in code too, where nothing else is escaped."""

_UNSEEN = frozenset(
    "\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufff9\ufffa\ufffb"
)
"""Marks that reorder text or break lines without being seen (Unicode TR 36 and 55)."""

_REFUSED = ("Cc", "Cs", "Co", "Cn")
_UNSEEN_IN_JSON = re.compile(f"[\x7f-\x9f{''.join(sorted(_UNSEEN))}]")
_BARE_ADDRESS = re.compile(r"(?i)\bwww\.")
"""What GitHub's Markdown makes a link of, without a scheme."""
_MARKDOWN = re.compile(r"[\\`*\[\]#|~!$]|(?<![^\W_])_|_(?![^\W_])")
"""What Markdown may read; an underscore between letters is none of it."""


class OutputLevel(IntEnum):
    """How much a verb prints: errors and the result alone; what it does as well; or each step with its time."""

    QUIET = 0
    USUAL = 1
    VERBOSE = 2


_LEVEL: ContextVar[OutputLevel] = ContextVar("output level", default=OutputLevel.USUAL)
_LOGGED = {OutputLevel.QUIET: logging.ERROR, OutputLevel.USUAL: logging.WARNING, OutputLevel.VERBOSE: logging.INFO}


@contextmanager
def printing(level: OutputLevel) -> Iterator[None]:
    """While this lasts, print so much: ``note``, ``progress_terminal`` and capgen's own log keep to it."""
    token, logger = _LEVEL.set(level), logging.getLogger("capgen")
    before = logger.level
    logger.setLevel(_LOGGED[level])
    try:
        yield
    finally:
        logger.setLevel(before)
        _LEVEL.reset(token)


def is_quiet() -> bool:
    """Whether nothing but errors and the result is to be printed."""
    return _LEVEL.get() is OutputLevel.QUIET


def plain(text: str, *, lines: bool = False) -> str:
    """The text without terminal controls, lone surrogates and marks that reorder it; each becomes U+FFFD.

    Args:
        lines: keep line breaks and tabs; otherwise they become blanks, so that the text stays on one line.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_plain(letter, lines=lines) for letter in text)


def html(text: str) -> str:
    """The text as it may stand between tags and in quoted attributes of an HTML page."""
    return escape(plain(text, lines=True), quote=True)


def html_head(title: str, *, style: str, script: str = "") -> str:
    """Everything before a page's body. The page may show inlined pictures and run ``script``, and nothing else.

    The policy also forbids forms and a new base address, so that text that got in as markup could not send anything.
    """
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    policy += f"; script-src 'sha256-{digest}'" if script else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{html(title)}</title><style>{style}</style></head><body>\n"
    )


def markdown(text: str) -> str:
    """The text on one line of a Markdown page, with nothing in it that Markdown or HTML would read."""
    return _without_markup(" ".join(plain(text).split()))


def markdown_with_code(text: str) -> str:
    """A sentence of capgen's own as ``markdown``, but what stands between backticks is code there."""
    parts = " ".join(plain(text).split()).split("`")
    shown = (f"`{part.replace('|', _PIPE)}`" if odd % 2 else _without_markup(part) for odd, part in enumerate(parts))
    return "".join(shown)


def _without_markup(flat: str) -> str:
    flat = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    bare = _BARE_ADDRESS.sub(lambda found: f"{found[0][:-1]}&#46;", _MARKDOWN.sub(r"\\\g<0>", flat))
    return bare.replace("://", "&#58;//").replace("@", "&#64;")


def json_text(text: str) -> str:
    """JSON for a terminal: controls and marks that reorder text, which JSON may hold as they are, become escapes."""
    return _UNSEEN_IN_JSON.sub(lambda mark: f"\\u{ord(mark[0]):04x}", text)


def mathless(text: str) -> str:
    """The text for a plot: matplotlib reads what stands between dollar signs as a formula."""
    return plain(text).replace("$", r"\$")


class PlainFormatter(logging.Formatter):
    """Formats log records on one line, without control characters and passwords of addresses in a message."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of plain text, of a step with its time; a traceback keeps its lines."""
        line = plain(plain_addresses(with_urls(super().format(record))), lines=record.exc_info is not None)
        return f"{self.formatTime(record, '%H:%M:%S')} {line}" if record.levelno == logging.INFO else line


class StderrHandler(logging.Handler):
    """Writes log records to what ``sys.stderr`` is at that time: a progress bar puts itself in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            sys.stderr.write(f"{self.format(record)}\n")
            sys.stderr.flush()
        except (OSError, ValueError):  # nobody reads it any more
            self.handleError(record)


class StepLog:
    """Logs with ``--verbose`` where long work stands, at most once a second; use it as the callback of a progress."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, line: str) -> None:
        """Log where the work stands."""
        if time.monotonic() >= self._next:
            log.info("%s", line)
            self._next = time.monotonic() + 1.0


def terminal(*, stderr: bool = False, quiet: bool = False, file: Any = None) -> Any:
    """A Rich console that reads no markup and no emoji codes in what it prints, and passes no terminal controls on."""
    from rich.console import Console
    from rich.status import Status
    from rich.text import Text

    class PlainStatus(Status):
        """A line beside a spinner; Rich reads markup in it whatever the console says."""

        def update(self, status: Any = None, **options: Any) -> None:
            super().update(Text(with_urls(plain(status))) if isinstance(status, str) else status, **options)

    class PlainConsole(Console):
        """Strings, in table cells and beside spinners too, are text."""

        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(with_urls(plain(text, lines=True)), **options)

        def status(self, status: Any, **options: Any) -> Status:
            shown = PlainStatus("", console=self, **options)
            shown.update(status)
            return shown

    return PlainConsole(stderr=stderr, quiet=quiet, file=file, markup=False, highlight=False, emoji=False)


def progress_terminal(*, stderr: bool = True, quiet: bool = False) -> Any:
    """A ``terminal`` for what is said on the way to a result; silent where ``is_quiet``."""
    return terminal(stderr=stderr, quiet=quiet or is_quiet())


@contextmanager
def working(what: str) -> Iterator[Callable[[str], None]]:
    """Show on a terminal that something is done; what is given may be called with a line on where it stands."""
    begun, steps = time.monotonic(), StepLog()
    with progress_terminal().status(what) as shown:

        def tell(line: str) -> None:
            shown.update(plain(line))
            steps(line)

        steps(what)
        yield tell
    log.info("%s took %.1f s", what, time.monotonic() - begun)


def note(text: str, *, stderr: bool = False) -> None:
    """``echo`` what is neither an error nor the result; nothing where ``is_quiet``."""
    if not is_quiet():
        echo(text, stderr=stderr)


def echo(text: str, *, stderr: bool = False) -> None:
    """Print text of several lines; what the terminal cannot encode is replaced."""
    stream = sys.stderr if stderr else sys.stdout
    encoding = stream.encoding or "utf-8"
    shown = with_urls(plain(text, lines=True)).encode(encoding, errors="replace").decode(encoding)
    stream.write(f"{shown}\n")
    stream.flush()


def _plain(letter: str, *, lines: bool) -> str:
    if letter in "\n\t\r":
        return letter if lines and letter != "\r" else " "
    if letter in _UNSEEN or unicodedata.category(letter) in _REFUSED:
        return REPLACEMENT
    return letter
