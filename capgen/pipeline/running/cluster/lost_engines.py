"""Why an engine of a run did not start, or was lost: its own word, its log, or what Ray knows of its process."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from capgen.dataset.layout import RunLayout
from capgen.errors import first_line
from capgen.pipeline.engines.base import EngineDead, EngineNotStarted
from capgen.pipeline.engines.starting.causes import printed_cause, remedy_for
from capgen.pipeline.engines.starting.output import log_size, logged_since
from capgen.redaction import message

_DETAIL = re.compile(r"Worker exit detail: (.+?)(?= Some common causes| There are some potential|\n|$)", re.DOTALL)
_GONE = re.compile(r"connection error code 2|Socket closed|temporarily unavailable|is unavailable: ")
_STARTS = 3
_WITHOUT_A_WORD = "its process is gone without a word, as when memory runs out and the system kills it"


@dataclass(slots=True)
class EngineStarts:
    """What became of the starts of a run's engines, by their numbers.

    Args:
        out: the run's folder, where engines log.
        elsewhere: an engine may be started on another machine than before.
    """

    out: Path
    elsewhere: bool = False
    _failed: Counter[int] = field(default_factory=Counter)
    _sizes: dict[int, int] = field(default_factory=dict)
    _causes: dict[int, str] = field(default_factory=dict)

    def begin(self, number: int) -> None:
        """An engine is told to start: what its log holds by now is of earlier starts."""
        self._sizes[number] = log_size(RunLayout(self.out).engine_log(number))

    def fails(self, number: int, error: Exception) -> bool:
        """Count a failed start; whether there were enough of them.

        Three are, because an engine may be killed while it loads; one is where the next would end in the same way.
        """
        self._failed[number] += 1
        lasting = isinstance(error, EngineNotStarted) and error.lasting and not self.elsewhere
        return lasting or self._failed[number] >= _STARTS

    def forget(self, number: int) -> None:
        """An engine is up, or has failed often enough: its failed starts count no more."""
        self._failed.pop(number, None)

    def why_not(self, number: int, error: Exception) -> str:
        """Why a start failed, and a remedy, on one line.

        Where only the process is known to be gone it is the cause of the start before, if there was one: the process
        of a failed start is killed, and a call that was made meanwhile is lost with it.
        """
        log = RunLayout(self.out).engine_log(number)
        if isinstance(error, EngineNotStarted):
            self._causes[number] = f"{error.cause}; {error.remedy}"
            return self._causes[number]
        if isinstance(error, EngineDead):
            return str(error)
        printed, said = printed_cause(logged_since(log, self._sizes.get(number, 0))), why_lost(error)
        if printed is None and said == _WITHOUT_A_WORD and number in self._causes:
            return self._causes[number]
        cause = f"{printed} (in {log}; Ray says: {said})" if printed and printed not in said else said
        return f"{cause}; {remedy_for(printed or said) or f'look at the end of {log}'}"


def why_lost(error: Exception) -> str:
    """The error of an engine, or what Ray knows of its process: Ray's own text begins with a header."""
    if isinstance(error, EngineDead):
        return first_line(error)
    detail = _DETAIL.search(str(error))
    said = message(detail[1]) if detail else first_line(error)
    return _WITHOUT_A_WORD if _GONE.search(said) else said
