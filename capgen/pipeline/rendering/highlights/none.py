"""No highlight: the frame as it is, for prompts that say in words which object is meant."""

from __future__ import annotations

from dataclasses import dataclass

from capgen.pipeline.rendering.highlights.base import Marked


@dataclass(frozen=True, slots=True)
class Nothing:
    """The frame unchanged."""

    def __call__(self, frame: Marked) -> Marked:
        """``frame`` itself."""
        return frame
