"""A caption of which the model itself was not sure, by its own log-probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from capgen.pipeline.checks.base import CheckedCaption


@dataclass(frozen=True, slots=True)
class Unsure:
    """Drops a caption with a content word that the model found improbable; one without log-probabilities passes.

    Args:
        threshold: the least ``logprob_min`` that passes, a natural logarithm, at most 0. ``capgen calibrate`` finds it;
            it holds for the model and the prompt that were calibrated. None, for models that were not, lets all pass.
    """

    final: ClassVar[bool] = False

    threshold: float | None = None

    def __post_init__(self) -> None:
        if self.threshold is not None and not self.threshold <= 0:
            raise ValueError("threshold is the logarithm of a probability: at most 0")

    def __call__(self, said: CheckedCaption) -> str | None:
        """Give the log-probability of the word that was least probable."""
        if self.threshold is None or said.logprob_min is None or said.logprob_min >= self.threshold:
            return None
        return f"a word of it has the log-probability {said.logprob_min:.2f}, below {self.threshold:g}"
