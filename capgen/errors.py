"""Errors that reach the user: each is one sentence that names the file, the key and the remedy.

Fields go through ``super().__init__`` so that an error survives pickling across a Ray worker.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

_LONGEST = 300
_VALIDATION = re.compile(r"\d+ validation errors? for ")
_VALUE_ERROR = "Value error, "
_RAY_TASK = "ray::"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` for the closest of ``known``; empty where none is close."""
    close = get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


class CapgenError(Exception):
    """Anything that ends a command with one line instead of a traceback; ``exit_code`` is the process's."""

    exit_code = 1


class UserError(CapgenError):
    """A mistake the user can mend: ``what`` happened, and the ``remedy``.

    Args:
        what: one sentence that names the file, flag or key.
        remedy: what to do about it; may be empty where ``what`` already says it.
    """

    exit_code = 2

    def __init__(self, what: str, remedy: str = "") -> None:
        self.what, self.remedy = what, remedy
        super().__init__(what, remedy)

    def __str__(self) -> str:
        text = f"{self.what}; {self.remedy}" if self.remedy else self.what
        return " ".join(text.split())


class MissingFile(UserError):
    """A file or folder that an input needs is not where the release puts it."""

    def __init__(self, path: Path | str, remedy: str) -> None:
        self.path = str(path)
        UserError.__init__(self, f"missing {path}", remedy)
        self.args = (str(path), remedy)


class UnknownName(UserError):
    """A flag or file names a plug-in, dataset or model that does not exist."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, tuple(sorted(known))
        hint = did_you_mean(name, self.known)
        UserError.__init__(self, f"no {kind} is called {name!r}{hint}", f"known: {', '.join(self.known)}")
        self.args = (kind, name, self.known)


class LedgerError(CapgenError):
    """The accounts of a run do not close: a key is missing, doubled, or a file differs from its record."""

    exit_code = 3


class Interrupted(CapgenError):
    """The user stopped long work with Ctrl-C or SIGTERM; what is done is kept."""

    exit_code = 130

    def __init__(self, kept: str = "what is done is kept") -> None:
        super().__init__(kept)

    def __str__(self) -> str:
        return f"stopped; {self.args[0]}: run the same command again to resume"


def first_line(error: BaseException) -> str:
    """What an error of a library says in its first line, 300 characters at most; its type where it says nothing.

    The texts of some libraries begin with a header. Of pydantic's it is the first sentence that says what is wrong; of
    an error that Ray passes on it is the cause, with its type; a line that ends in a colon is told with what follows.
    An error of capgen's own is not cut.
    """
    cause = getattr(error, "cause", None)
    if isinstance(cause, BaseException) and cause is not error:
        told = first_line(cause)
        return told if isinstance(cause, CapgenError) else f"{type(cause).__name__}: {told}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if isinstance(error, CapgenError):
        return lines[0]
    return _without_header(lines)[:_LONGEST]


def _without_header(lines: list[str]) -> str:
    if _VALIDATION.match(lines[0]):
        told = next((line for line in lines[1:] if _VALUE_ERROR in line), lines[-1])
        told = told.partition(" [type=")[0]  # after it comes all that the class was given
        return told.partition(_VALUE_ERROR)[2].strip() or told
    if len(lines) > 1 and _RAY_TASK in lines[0]:
        return lines[-1]
    if lines[0].endswith(":"):
        return " ".join(" ".join(lines).split())
    return lines[0]


def first_leaf(group: BaseException) -> BaseException:
    """The first leaf of an exception group."""
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group
