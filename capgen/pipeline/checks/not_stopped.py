"""A caption that the engine did not end by itself: cut off, looping, aborted or failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from capgen.pipeline.checks.base import Said


@dataclass(frozen=True, slots=True)
class NotStopped:
    """Drops every answer whose ``finish_reason`` is not ``stop``, however good it looks."""

    final: ClassVar[bool] = True

    def __call__(self, said: Said) -> str | None:
        """Name the other ``finish_reason``."""
        return None if said.finish_reason == "stop" else f"finish_reason is {said.finish_reason!r}, not 'stop'"
