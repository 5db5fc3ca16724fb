"""Why an engine of a run did not start, or was lost: its own word, its log, or what Ray knows of its process."""

from __future__ import annotations

import re
from pathlib import Path

from capgen.pipeline.engines.base import EngineDead, EngineNotStarted
from capgen.pipeline.engines.starting.causes import printed_cause, remedy_for
from capgen.pipeline.engines.starting.output import logged_since
from capgen.pipeline.running.ray_connect import first_line
from capgen.redaction import message

_DETAIL = re.compile(r"Worker exit detail: (.+?)(?= Some common causes| There are some potential|\n|$)", re.DOTALL)
_GONE = re.compile(r"connection error code 2|Socket closed|temporarily unavailable|is unavailable: ")
_WITHOUT_A_WORD = "its process is gone without a word, as when memory runs out and the system kills it"


def why_not_started(error: Exception, log: Path, start: int) -> str:
    """The cause and a remedy, on one line.

    Args:
        start: the size of the engine's log when it was told to start.
    """
    if isinstance(error, EngineNotStarted):
        return f"{error.cause}; {error.remedy}"
    if isinstance(error, EngineDead):
        return str(error)
    printed, said = printed_cause(logged_since(log, start)), why_lost(error)
    cause = f"{printed} (in {log}; Ray says: {said})" if printed and printed not in said else said
    return f"{cause}; {remedy_for(printed or said) or f'look at the end of {log}'}"


def why_lost(error: Exception) -> str:
    """The error of an engine, or what Ray knows of its process: Ray's own text begins with a header."""
    if isinstance(error, EngineDead):
        return first_line(error)
    detail = _DETAIL.search(str(error))
    said = message(detail[1]) if detail else first_line(error)
    return _WITHOUT_A_WORD if _GONE.search(said) else said
