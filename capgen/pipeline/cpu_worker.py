"""What vLLM's worker does otherwise on the CPU. It imports this module by the engine argument ``worker_extension_cls``.

**Requests with a seed whose prompt is read in several steps.** vLLM draws a token after every step, drops that of a
step which ends within the prompt, and winds the request's random numbers back by an offset. Generators of the CPU have
no offset, so that the engine ended with "CPU Generator does not use offset". Here they begin anew, which is the same
where nothing that they drew was kept. A request that had drawn tokens, lost its place and is read again gets its first
numbers once more: it may end otherwise than undisturbed.

**Ranks of tokens with log-probabilities.** vLLM counts for each token how many others were more probable. Nothing here
reads that, and where the vocabulary is small the count takes as long as the log-probabilities themselves: every rank
is 0.
"""

from __future__ import annotations

from functools import wraps
from typing import Any


class CpuWorker:
    """What vLLM's worker is extended by; it has no calls of its own."""


def _begin_anew() -> None:
    """Have the model runner start the random numbers of a request anew as long as its prompt is being read."""
    from vllm.v1.worker.gpu_model_runner import GPUModelRunner

    keep_books = GPUModelRunner._bookkeeping_sync

    @wraps(keep_books)
    def with_seeds(runner: Any, *arguments: Any, **named: Any) -> Any:
        generators = runner.input_batch.generators
        unread = runner.discard_request_mask.np[: runner.input_batch.num_reqs].nonzero()[0].tolist()
        held = {number: generators.pop(number) for number in unread if number in generators}
        try:
            return keep_books(runner, *arguments, **named)
        finally:
            for generator in held.values():
                generator.manual_seed(generator.initial_seed())
            generators.update(held)

    GPUModelRunner._bookkeeping_sync = with_seeds


def _leave_ranks_out() -> None:
    """Have no ranks counted among log-probabilities."""
    from torch import int64
    from vllm.v1.sample import sampler

    def zeros(logprobs: Any, values: Any) -> Any:
        return values.new_zeros(len(logprobs), dtype=int64)

    sampler.batched_count_greater_than = zeros


_begin_anew()
_leave_ranks_out()
