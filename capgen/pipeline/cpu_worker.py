"""What vLLM's worker does otherwise on the CPU. It imports this module by the engine argument ``worker_extension_cls``.

**Requests with a seed whose prompt is read in several steps.** vLLM draws a token after every step, drops that of a
step which ends within the prompt, and winds the request's random numbers back by an offset. Generators of the CPU have
no offset, so that the engine ended with "CPU Generator does not use offset". Here they begin anew, which is the same
where nothing that they drew was kept. A request that had drawn tokens, lost its place and is read again gets its first
numbers once more: it may end otherwise than undisturbed.

**Ranks of tokens with log-probabilities.** vLLM counts them in a compiled kernel, whose call takes longer than the
count itself where the vocabulary is small, and much longer where other work has the machine's cores.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

_SMALL = 1_000_000
"""Log-probabilities of a step, up to which they are compared without the compiled kernel."""


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


def _count_small_ranks() -> None:
    """Count ranks among few log-probabilities by plain operations; the numbers are the same."""
    from vllm.v1.sample import sampler

    compiled = sampler.batched_count_greater_than

    @wraps(compiled)
    def counted(logprobs: Any, values: Any) -> Any:
        return (logprobs >= values).sum(-1) if logprobs.numel() <= _SMALL else compiled(logprobs, values)

    sampler.batched_count_greater_than = counted


_begin_anew()
_count_small_ranks()
