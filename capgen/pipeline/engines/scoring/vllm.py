"""Log-probabilities of sentences that somebody else wrote, from a running vLLM engine.

The sentence is appended to the rendered prompt as the model's own answer, and vLLM is asked for the log-probabilities
of the prompt. Left to itself it computes such prompts anew and reads nothing from the prefix cache (vLLM 0.32), since
it does not compute the values of cached tokens. Only those of the sentence are wanted here, so it is told to read the
cache; where the cache reached into the sentence, the request is made once more without it. The first sentence that
reads the cache is scored both ways, and if the values differ the cache is left alone. First words of answers are asked
for as usual.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Any

from capgen.errors import first_line
from capgen.pipeline.engines.base import EngineDead, EngineFault
from capgen.pipeline.engines.scoring.base import FIRST_TOKENS, Scored
from capgen.pipeline.engines.vllm import VllmSession, messages
from capgen.pipeline.view import View

_TRIES = 3  # under load vLLM 0.32 leaves out values of some prompts
_TOLERANCE = 0.2  # natural logarithm; batches of other sizes change less
log = logging.getLogger(__name__)


class CacheTrial:
    """Whether scores are right that the prefix cache had a part in: the first of them finds out, the others wait.

    Attributes:
        passed: None until a sentence was scored both ways.
    """

    def __init__(self) -> None:
        self.passed: bool | None = None
        self._trying = asyncio.Lock()

    async def believes(self, found: Scored, whole: Callable[[], Awaitable[Scored]]) -> bool:
        """Whether the scores of a sentence are to be taken.

        Args:
            whole: scores the same sentence without the cache; called for the first sentence that the cache knew.
        """
        if not found.cached_tokens:
            return True
        async with self._trying:
            if self.passed is None:
                pairs = zip(found.logprobs, (await whole()).logprobs, strict=True)
                self.passed = all(abs(one - other) <= _TOLERANCE for one, other in pairs)
                if not self.passed:
                    log.warning(
                        "vLLM's prefix cache changes log-probabilities: sentences are scored without it, slower"
                    )
        return self.passed


class VllmScorer:
    """The scorer over a session."""

    def __init__(self, session: VllmSession) -> None:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        self._session = session
        self._numbers = itertools.count(1)
        common = {"max_tokens": 1, "temperature": 0.0, "output_kind": RequestOutputKind.FINAL_ONLY}
        # what stands at cached positions was never filled in and must not be taken for tokens: no detokenizing
        given = common | {"prompt_logprobs": 0, "detokenize": False}
        self._of_prompt = SamplingParams(skip_reading_prefix_cache=False, **given)
        self._of_whole_prompt = SamplingParams(skip_reading_prefix_cache=True, **given)
        self._trial = CacheTrial()
        self._of_answer = SamplingParams(logprobs=FIRST_TOKENS, **common)

    async def sentence(self, view: View, sentence: str) -> Scored:
        """See ``SentenceScorer.sentence``."""
        prompt = await self._prompt(view)
        ids = self._session.engine.renderer.tokenizer.encode(sentence, add_special_tokens=False)
        if not ids:
            raise EngineFault("the sentence has no token")
        found = None if self._trial.passed is False else await self._sentence(prompt, ids, self._of_prompt)
        if found is not None and await self._trial.believes(found, lambda: self._whole(prompt, ids)):
            return found
        return await self._whole(prompt, ids)

    async def _whole(self, prompt: dict[str, Any], ids: list[int]) -> Scored:
        """A sentence scored without the prefix cache."""
        for _ in range(_TRIES):
            whole = await self._sentence(prompt, ids, self._of_whole_prompt)
            if whole is not None:
                return whole
        raise EngineFault("vLLM told no log-probabilities of the prompt")

    async def _sentence(self, prompt: dict[str, Any], ids: list[int], sampling: Any) -> Scored | None:
        """None where vLLM did not compute the values of the whole sentence."""
        before = prompt["prompt_token_ids"]
        final = await self._run({**prompt, "prompt_token_ids": [*before, *ids]}, sampling)
        cached = max(0, final.num_cached_tokens or 0)
        told = (final.prompt_logprobs or [])[-len(ids) :]
        if cached >= len(before) or len(told) != len(ids) or None in told:
            return None
        logprobs = tuple(min(0.0, one[token].logprob) for one, token in zip(told, ids, strict=True))
        return Scored(logprobs=logprobs, prompt_tokens=len(before) + len(ids), cached_tokens=cached)

    async def first_word(self, view: View) -> Scored:
        """See ``SentenceScorer.first_word``."""
        prompt = await self._prompt(view)
        final = await self._run(prompt, self._of_answer)
        choices = {(one.decoded_token or ""): math.exp(one.logprob) for one in final.outputs[0].logprobs[0].values()}
        count = len(prompt["prompt_token_ids"])
        return Scored(choices=choices, prompt_tokens=count, cached_tokens=final.num_cached_tokens or 0)

    async def _prompt(self, view: View) -> dict[str, Any]:
        _, prompts = await self._session.engine.renderer.render_chat_async([messages(view)], self._session.chat)
        return dict(prompts[0])

    async def _run(self, prompt: dict[str, Any], sampling: Any) -> Any:
        final = None
        try:
            async for output in self._session.engine.generate(prompt, sampling, f"judge#{next(self._numbers)}"):
                final = output
        except self._session.dead_error as error:
            raise EngineDead(f"vLLM's engine died: {error}") from error
        except (self._session.client_error, ValueError) as error:
            raise EngineFault(f"vLLM refused the request: {first_line(error)}") from error
        if final is None:
            raise EngineFault("vLLM ended the request without an answer")
        return final
