"""A caption that the engine did not end by itself: cut off, looping, aborted or failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.view import normal_finish_reason


@dataclass(frozen=True, slots=True)
class NotStopped:
    """Drops every answer that the model did not end itself, however good it looks.

    ``STOP``, ``end_turn``, ``eos`` and ``stop_sequence`` are servers' other words for ``stop``.
    """

    final: ClassVar[bool] = True

    def __call__(self, said: CheckedCaption) -> str | None:
        """Name the other ``finish_reason``."""
        stopped = normal_finish_reason(said.finish_reason) == "stop"
        return None if stopped else f"finish_reason is {said.finish_reason!r}, not 'stop'"
