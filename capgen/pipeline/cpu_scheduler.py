"""Answers leave vLLM's engine on the CPU once they are whole, by the engine argument ``scheduler_cls``.

vLLM sends every token of every request to the process that asked for it, with its log-probability as three arrays, also
where only the whole answer is wanted. Reading them there takes time of the process that renders the next requests. On a
GPU a scheduler of one's own would cost asynchronous scheduling.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from vllm.sampling_params import RequestOutputKind
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.outputs import LogprobsLists


class WholeAnswerScheduler(Scheduler):  # type: ignore[misc]  # vLLM's types are not read
    """vLLM's scheduler, whose outputs of a request wait until its last one, where only that is wanted."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._waiting: dict[str, list[Any]] = {}

    def update_from_output(self, *arguments: Any, **named: Any) -> dict[int, Any]:
        """Outputs by client: of requests that have ended, and of those whose tokens are wanted as they come."""
        found: dict[int, Any] = super().update_from_output(*arguments, **named)
        for client, step in list(found.items()):
            step.outputs = [whole for one in step.outputs if (whole := self._whole(one)) is not None]
            if not (step.outputs or step.scheduler_stats or step.finished_requests):
                del found[client]
        return found

    def finish_requests(self, request_ids: str | Iterable[str] | None, *arguments: Any, **named: Any) -> list[Any]:
        """Forget what waits of requests that are aborted or end by an error."""
        ended: list[Any] = super().finish_requests(request_ids, *arguments, **named)
        for request in ended:
            self._waiting.pop(request.request_id, None)
        return ended

    def _whole(self, output: Any) -> Any:
        """The output with all that waited of its request; None where it waits itself."""
        if not output.finished:
            request = self.requests.get(output.request_id)
            wanted = request.sampling_params if request is not None else None
            if wanted is None or wanted.output_kind is not RequestOutputKind.FINAL_ONLY or wanted.stop:
                return output
            self._waiting.setdefault(output.request_id, []).append(output)
            return None
        earlier = self._waiting.pop(output.request_id, None)
        return joined([*earlier, output]) if earlier else output


def joined(outputs: list[Any]) -> Any:
    """One ``EngineCoreOutput`` of several in a row of one request: the last one with the tokens and numbers of all."""
    last = outputs[-1]
    logprobs = [one.new_logprobs for one in outputs if one.new_logprobs is not None]
    last.new_token_ids = [token for one in outputs for token in one.new_token_ids]
    if logprobs:
        last.new_logprobs = LogprobsLists(
            *(np.concatenate(parts) for parts in zip(*(one[:3] for one in logprobs), strict=True))
        )
    last.events = [event for one in outputs for event in one.events or ()] or None
    for name in ("new_prompt_logprobs_tensors", "prompt_token_id_logprobs", "prefill_stats"):
        setattr(last, name, next((value for one in outputs if (value := getattr(one, name)) is not None), None))
    return last
