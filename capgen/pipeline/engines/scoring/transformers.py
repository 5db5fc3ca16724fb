"""Scores sentences with one forward pass of Hugging Face transformers each; nothing is cached between them."""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from capgen.pipeline.engines.base import EngineFault, RequestRefused, failed
from capgen.pipeline.engines.scoring.base import FIRST_TOKENS, Scored
from capgen.pipeline.engines.transformers import Model
from capgen.pipeline.view import View


@dataclass(frozen=True, slots=True)
class TransformersScorer:
    """The scorer over a session's loaded ``model``, which its ``thread`` alone uses."""

    model: Model
    thread: ThreadPoolExecutor

    async def sentence(self, view: View, sentence: str) -> Scored:
        """See ``SentenceScorer.sentence``."""
        return await asyncio.get_running_loop().run_in_executor(self.thread, self._sentence, view, sentence)

    async def first_word(self, view: View) -> Scored:
        """See ``SentenceScorer.first_word``."""
        return await asyncio.get_running_loop().run_in_executor(self.thread, self._first_word, view)

    def _sentence(self, view: View, sentence: str) -> Scored:
        ids = self.model.processor.tokenizer.encode(sentence, add_special_tokens=False)
        if not ids:
            raise EngineFault("the sentence has no token")
        values, width = self._following(view, ids)
        chosen = values[:-1].gather(1, values.new_tensor(ids).long()[:, None])[:, 0]
        return Scored(tuple(min(0.0, one) for one in chosen.tolist()), prompt_tokens=width + len(ids))

    def _first_word(self, view: View) -> Scored:
        values, width = self._following(view, [])
        top = values[-1].exp().topk(min(FIRST_TOKENS, values.shape[1]))
        choices: dict[str, float] = {}
        for token, probability in zip(top.indices.tolist(), top.values.tolist(), strict=True):
            text = str(self.model.processor.tokenizer.decode([token]))
            choices[text] = choices.get(text, 0.0) + probability
        return Scored(choices=choices, prompt_tokens=width)

    def _following(self, view: View, ids: list[int]) -> tuple[Any, int]:
        """Log-probabilities of what follows the prompt and each of ``ids``, and the prompt's length in tokens.

        Returns:
            float32 [len(ids) + 1, vocabulary].

        Raises:
            EngineFault: the model failed, or the request is too long for it.
        """
        import torch

        inputs = dict(self.model.inputs([view]))
        width = inputs["input_ids"].shape[1]
        if width + len(ids) > self.model.max_len:
            raise RequestRefused(f"transformers: {width + len(ids)} tokens are more than {self.model.max_len}")
        for name, value in inputs.items():
            if isinstance(value, torch.Tensor) and value.shape == (1, width):  # one value a token
                more = {"input_ids": ids, "attention_mask": [1] * len(ids)}.get(name, [0] * len(ids))
                inputs[name] = torch.cat([value, value.new_tensor([more])], dim=1) if ids else value
        weights = self.model.weights
        if "logits_to_keep" in inspect.signature(weights.forward).parameters:
            inputs["logits_to_keep"] = len(ids) + 1
        try:
            with torch.inference_mode():
                given = {n: v.to(weights.device) if isinstance(v, torch.Tensor) else v for n, v in inputs.items()}
                logits = weights(**given).logits[0, -len(ids) - 1 :]
                return logits.float().log_softmax(-1).cpu(), width
        except Exception as error:  # models raise what they like
            raise failed("transformers", error) from error
