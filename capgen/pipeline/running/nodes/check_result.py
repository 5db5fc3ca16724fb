"""What a check of ``capgen doctor`` is asked and answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from capgen.buckets.places import shown
from capgen.display import plain
from capgen.errors import UserError
from capgen.pipeline.settings import Settings
from capgen.redaction import message

State = Literal["ok", "note", "fault"]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check has found.

    Args:
        check: what was looked at, in a word or two.
        state: a ``fault`` stops a run; a ``note`` does not.
        remedy: what to do about a fault or a note; may be empty.
    """

    check: str
    state: State
    found: str
    remedy: str = ""

    def cleaned(self) -> CheckResult:
        """With texts of one line each: names, addresses and messages in them are somebody else's, and may hold keys."""
        found, remedy = (plain(message(shown(text))) for text in (self.found, self.remedy))
        return replace(self, found=found, remedy=remedy)

    def line(self) -> str:
        """The line that a person reads."""
        return f"{self.state:<5} {self.check}: {self.found}{'; ' if self.remedy else ''}{self.remedy}"


@dataclass(frozen=True, slots=True)
class DoctorRequest:
    """What to check.

    Args:
        out: the run's folder, or the local copy of one in a bucket; None leaves it out.
        gpus: of one engine; 0 is the CPU.
        wrong_gpus: what is wrong with the number of GPUs that is asked for.
    """

    settings: Settings
    out: Path | None
    gpus: int
    wrong_gpus: UserError | None = None
