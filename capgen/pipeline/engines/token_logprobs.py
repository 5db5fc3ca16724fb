"""The log-probabilities of an answer's tokens, as each engine gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


def of_vllm(said: Any) -> list[tuple[str, float]]:
    """Each token of a ``CompletionOutput`` as text with its log-probability; nothing where none were asked for.

    Read are vLLM's flat log-probabilities (``SamplingParams.flat_logprobs``), which are lists of numbers and texts for
    all tokens together and cost less than objects for each: the chosen token is the first one of its position.
    """
    given = said.logprobs
    if given is None:
        return []
    return [(given.decoded_tokens[first] or "", given.logprobs[first]) for first in given.start_indices]


def of_completion(given: Any) -> list[tuple[str, float]]:
    """The tokens of ``choices[0].logprobs`` with their log-probabilities; nothing where one of them is odd."""
    content = given.get("content") if isinstance(given, Mapping) else None
    found: list[tuple[str, float]] = []
    for one in content if isinstance(content, list) else ():
        token, value = (one.get("token"), one.get("logprob")) if isinstance(one, Mapping) else (None, None)
        if not isinstance(token, str) or isinstance(value, bool) or not isinstance(value, int | float):
            return []
        found.append((token, float(value)))
    return found


@dataclass(slots=True)
class LogprobRecord:
    """Notes the log-probability of each token that ``generate`` chooses; as a processor it changes no score.

    It sees the scores of a step before the choice, which is in the ids of the next step: only one step is held.
    """

    chosen: list[Any] = field(default_factory=list)
    last: Any = None

    def __call__(self, ids: Any, scores: Any) -> Any:
        """Note the last choice and the scores of the next one."""
        self._note(ids)
        self.last = scores.float().log_softmax(-1)
        return scores

    def of(self, ids: Any) -> list[list[float]]:
        """A list for each row of the finished ids; empty lists where nothing was noted."""
        if self.last is None:
            return [[]] * len(ids)
        self._note(ids)
        return [list(row) for row in zip(*(step.squeeze(1).tolist() for step in self.chosen), strict=True)]

    def _note(self, ids: Any) -> None:
        if self.last is not None:
            self.chosen.append(self.last.gather(1, ids[:, -1:]))
