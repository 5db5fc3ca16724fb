"""Log-probabilities of sentences that somebody else wrote, from a running vLLM engine.

The sentence is appended to the rendered prompt as the model's own answer, and vLLM is asked for the log-probabilities
of the prompt. It computes such prompts anew: a request with prompt log-probabilities reads nothing from the prefix
cache (vLLM 0.32), so that each costs its whole prompt. First words of answers are asked for as usual and read it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from capgen.pipeline.engines.base import EngineDead, EngineFault
from capgen.pipeline.engines.vllm import VllmSession, messages
from capgen.pipeline.view import View

_CHOICES = 20  # of the first token, the most that vLLM gives by default


@dataclass(frozen=True, slots=True)
class Scored:
    """Log-probabilities of a sentence's tokens, or probabilities of first tokens by their text, and the cost."""

    logprobs: tuple[float, ...] = ()
    choices: Mapping[str, float] = field(default_factory=dict)
    prompt_tokens: int = 0
    cached_tokens: int = 0


class VllmScores:
    """Scores with the engine of a session."""

    def __init__(self, session: VllmSession) -> None:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        self._session = session
        self._numbers = itertools.count(1)
        common = {"max_tokens": 1, "temperature": 0.0, "output_kind": RequestOutputKind.FINAL_ONLY}
        self._of_prompt = SamplingParams(prompt_logprobs=0, **common)
        self._of_answer = SamplingParams(logprobs=_CHOICES, **common)

    async def sentence(self, view: View, sentence: str) -> Scored:
        """How probable each token of a sentence is as the answer to a request.

        Raises:
            EngineFault: the engine refuses the request, or ended.
        """
        prompt = await self._prompt(view)
        ids = self._session.engine.renderer.tokenizer.encode(sentence, add_special_tokens=False)
        if not ids:
            raise EngineFault("the sentence has no token")
        tokens = [*prompt["prompt_token_ids"], *ids]
        final = await self._run({**prompt, "prompt_token_ids": tokens}, self._of_prompt)
        told = final.prompt_logprobs[-len(ids) :]
        logprobs = tuple(min(0.0, one[token].logprob) for one, token in zip(told, ids, strict=True))
        return Scored(logprobs=logprobs, prompt_tokens=len(tokens), cached_tokens=final.num_cached_tokens or 0)

    async def first_word(self, view: View) -> Scored:
        """The probabilities of the first token of the answer to a request.

        Raises:
            EngineFault: as ``sentence``.
        """
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
            raise EngineFault(f"vLLM refused the request: {str(error).splitlines()[0][:300]}") from error
        if final is None:
            raise EngineFault("vLLM ended the request without an answer")
        return final
