"""Makes a random model say a given answer, so that what follows an answer can be tried on a real engine."""

from __future__ import annotations

from typing import Any

from vllm.v1.sample.logits_processor import AdapterLogitsProcessor


class ForcedAnswer(AdapterLogitsProcessor):
    """Allows nothing but the next token of ``extra_args["answer"]``, a list of tokens, where a request has one."""

    def is_argmax_invariant(self) -> bool:
        return False

    def new_req_logits_processor(self, params: Any) -> Any:
        answer = (params.extra_args or {}).get("answer")
        if answer is None:
            return None

        def force(said: list[int], logits: Any) -> Any:
            token = answer[min(len(said), len(answer) - 1)]
            kept = logits[token].clone()
            logits.fill_(float("-inf"))
            logits[token] = kept
            return logits

        return force
