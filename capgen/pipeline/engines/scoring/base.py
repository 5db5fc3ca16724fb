"""What a scorer is, and which engines have one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from capgen.errors import UserError
from capgen.pipeline.engines import ENGINES
from capgen.pipeline.view import View

FIRST_TOKENS = 20
"""Most probable first tokens that are asked for: the most that vLLM and the OpenAI API give by default."""

BUILT_IN = ("vllm", "openai", "transformers")
"""Engines of this package that have a scorer; others say so with a class attribute ``scores = True``."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What one request to a scorer gave.

    Args:
        logprobs: of ``sentence``: the log-probability of each of its tokens, in order, at most 0.
        choices: of ``first_word``: the probability of each of the most probable first tokens, by its text.
        prompt_tokens, cached_tokens: of the request, the sentence among them; those that were not computed again.
    """

    logprobs: tuple[float, ...] = ()
    choices: Mapping[str, float] = field(default_factory=dict)
    prompt_tokens: int = 0
    cached_tokens: int = 0


class SentenceScorer(Protocol):
    """A started engine that tells probabilities of what somebody else wrote."""

    async def sentence(self, view: View, sentence: str) -> Scored:
        """How probable each token of a sentence is as the answer to a request.

        Raises:
            EngineFault: the engine refuses the request, or ended.
            UserError: the engine's server tells no log-probabilities of prompts.
        """
        ...

    async def first_word(self, view: View) -> Scored:
        """The probabilities of the first token of the answer to a request.

        Raises:
            EngineFault: as ``sentence``.
            UserError: the engine's server tells no log-probabilities.
        """
        ...


def check_scores(engine: str, remedy: str, *, given: str = "--engine") -> None:
    """That an engine has a scorer, before it is started.

    Args:
        engine: its registered name.
        remedy: what to do beside choosing another engine.
        given: how the engine is chosen.

    Raises:
        UserError: it has none.
    """
    if not getattr(ENGINES.load(engine), "scores", False):
        raise UserError(
            f"engine {engine} tells no log-probabilities of sentences that it did not write",
            f"use {given} {' or '.join(BUILT_IN)}; or {remedy}",
        )


def scorer_of(session: Any) -> SentenceScorer:
    """The scorer over a started engine for which ``check_scores`` raises nothing."""
    scorer: SentenceScorer = session.scorer()
    return scorer
