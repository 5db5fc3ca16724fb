"""``transformers``: the model in this process through Hugging Face transformers, for machines without a vLLM build.

Slower than vLLM (no continuous batching, no reuse of a picture's work), but it runs wherever torch does. The prompt,
the sampling and the end tokens are those of the vllm engine, so that greedy captions are the same.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, ClassVar

from capgen.errors import UserError, first_line
from capgen.pipeline.confidence import confidence
from capgen.pipeline.engines.base import (
    EngineContext,
    EngineDead,
    EngineFault,
    RequestRefused,
    failed,
    not_loaded,
    refuse_remote_code,
)
from capgen.pipeline.engines.chat_completions import template_messages
from capgen.pipeline.engines.reasoning import USUAL, Markers, special_tokens, without_reasoning
from capgen.pipeline.engines.scoring.base import SentenceScorer
from capgen.pipeline.engines.token_logprobs import LogprobRecord
from capgen.pipeline.library_warnings import hide_library_warnings
from capgen.pipeline.settings import SamplingSettings
from capgen.pipeline.template_limit import check_templates, limited
from capgen.pipeline.view import Answer, View

_GATHER_S = 0.005
_AUTO = "auto"

_Request = tuple[View, asyncio.Future[Answer]]


@dataclass(frozen=True, slots=True)
class Transformers:
    """Options of the engine.

    Args:
        batch_size: requests that are generated together; only requests with equally many pictures are.
        dtype: ``auto`` (as the weights are stored) or a torch type.
        max_model_len: tokens of prompt and answer together; None is the model's own limit.
        logprobs: note the log-probabilities of the answer's tokens, of which rows get those of its words.
        args: further arguments of ``from_pretrained``, ``attn_implementation`` for example.
    """

    loads_model: ClassVar[bool] = True
    scores: ClassVar[bool] = True
    decides: ClassVar[tuple[str, ...]] = ("dtype", "logprobs", "args")

    batch_size: int = 16
    dtype: str = _AUTO
    max_model_len: int | None = None
    logprobs: bool = True
    args: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError("batch_size must be at least 1")
        refuse_remote_code(self.args)

    @property
    def in_flight(self) -> int:
        """Two batches: one is generated while the next is gathered."""
        return 2 * self.batch_size

    async def start(self, context: EngineContext) -> TransformersSession:
        """Load the model in the thread that will also use it.

        Raises:
            UserError: transformers or torch is not installed, or there is no such model.
        """
        thread = ThreadPoolExecutor(1, thread_name_prefix="transformers")
        try:
            model = await asyncio.get_running_loop().run_in_executor(thread, load_model, self, context)
        except BaseException:
            thread.shutdown()
            raise
        session = TransformersSession(model, self.batch_size, thread)
        session.begin()
        return session


@dataclass(frozen=True, slots=True)
class Model:
    """Loaded weights with their processor; used by one thread.

    ``template``: arguments of the chat template. ``markers``: what begins and ends reasoning in an answer;
    ``specials``: the tokenizer's special tokens where a marker holds one of them.
    ``logprobs``: whether answers have log-probabilities. ``top_p``: of sampling.
    """

    processor: Any
    weights: Any
    seed: int | None
    max_tokens: int
    max_len: int
    ends: frozenset[int]
    template: Mapping[str, Any]
    markers: Markers = USUAL
    logprobs: bool = True
    top_p: float = 1.0
    specials: tuple[str, ...] = ()

    def say(self, views: Sequence[View]) -> list[Answer | EngineFault]:
        """An answer or a fault for each view; a view that fails takes no other with it.

        Raises:
            EngineDead: the device does not work any more.
        """
        try:
            return self._together(views)
        except EngineDead:
            raise
        except EngineFault as fault:
            if len(views) == 1:
                return [fault]
        return [said for view in views for said in self.say([view])]

    def _together(self, views: Sequence[View]) -> list[Answer | EngineFault]:
        """All views in one batch; one that is too long fails it.

        Raises:
            EngineFault: the batch failed.
        """
        import torch

        inputs = self.inputs(views)
        width = inputs["input_ids"].shape[1]
        most = self.max_tokens * max(view.captions for view in views)
        if width + most > self.max_len:
            raise RequestRefused(
                f"transformers: {width} tokens of prompt and {most} of answer are more than the model's "
                f"maximum of {self.max_len}"
            )
        own = self._own_sampling(views[0])
        if most != self.max_tokens:
            own["max_new_tokens"] = most
        if self.seed is not None or own:
            torch.manual_seed(_seed(self.seed or 0, views))
        record = LogprobRecord()
        try:
            with torch.inference_mode():
                further = own | ({"logits_processor": [record]} if self.logprobs else {})
                out = self.weights.generate(**inputs.to(self.weights.device), **further)
        except torch.OutOfMemoryError as error:
            raise EngineFault(f"transformers: {first_line(error)}; lower engine.options.batch_size") from error
        except Exception as error:  # one batch's failure, of whatever kind, must not end the shard
            raise failed("transformers", error) from error
        prompts = inputs["attention_mask"].sum(1).tolist()
        answers, values = out[:, width:], record.of(out)
        return [self._answer(*one) for one in zip(answers.tolist(), prompts, values, strict=True)]

    def _own_sampling(self, view: View) -> dict[str, Any]:
        """Arguments of ``generate`` for requests whose temperature is not that of the settings."""
        if view.temperature is None:
            return {}
        if view.temperature == 0:
            return {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        return {"do_sample": True, "temperature": view.temperature, "top_p": self.top_p, "top_k": 0}

    def inputs(self, views: Sequence[View]) -> Any:
        """The processor's tensors of some views; raises ``RequestRefused`` where it fails."""
        from PIL import Image

        try:
            texts = [self._prompt(view) for view in views]
            pictures = [[Image.fromarray(picture.pixels) for picture in view.pictures] for view in views]
            return self.processor(
                text=texts,
                images=pictures if pictures[0] else None,
                padding=True,
                add_special_tokens=False,
                return_tensors="pt",
            )
        except Exception as error:  # templates and processors are the model's own code, and raise what they like
            raise RequestRefused(
                f"the model's processor refused: {type(error).__name__}: {first_line(error)}"
            ) from error

    def _prompt(self, view: View) -> str:
        return str(self.processor.apply_chat_template(template_messages(view), **self.template))

    def _answer(self, tokens: list[int], prompt_tokens: int, logprobs: list[float]) -> Answer:
        """The text up to the first end token, which counts as a token of the answer."""
        end = next((i for i, token in enumerate(tokens) if token in self.ends), None)
        count = len(tokens) if end is None else end + 1
        said = self._text(tokens[: count if end is None else end])
        text = without_reasoning(said, self.markers, self.specials)
        pieces = (self._text([token]) for token in tokens[:count])
        sure = confidence(zip(pieces, logprobs, strict=False), said, text)
        return Answer(
            text=text,
            finish_reason="length" if end is None else "stop",
            prompt_tokens=prompt_tokens,
            output_tokens=count,
            logprob_min=sure.least if sure else None,
            logprob_mean=sure.mean if sure else None,
        )

    def _text(self, tokens: list[int]) -> str:
        return str(self.processor.tokenizer.decode(tokens, skip_special_tokens=not self.specials))


@dataclass(slots=True)
class TransformersSession:
    """Gathers requests into batches, one at a time."""

    model: Model
    batch_size: int
    thread: ThreadPoolExecutor
    _waiting: list[_Request] = field(default_factory=list)
    _in_hand: list[_Request] = field(default_factory=list)
    _more: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Start to answer."""
        self._task = asyncio.create_task(self._work())

    async def answer(self, view: View) -> Answer:
        """Wait for the view's batch."""
        if self._task is None or self._task.done():
            raise EngineDead("transformers: the engine has ended")
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((view, future))
        self._more.set()
        return await future

    def scorer(self) -> SentenceScorer:
        """See ``engines.scoring``."""
        from capgen.pipeline.engines.scoring.transformers import TransformersScorer

        return TransformersScorer(self.model, self.thread)

    async def stop(self) -> None:
        """End; who still waits is told that the engine is gone."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self.thread.shutdown(wait=False, cancel_futures=True)

    async def _work(self) -> None:
        """Answer batch after batch; however this ends, nobody is left waiting."""
        end = EngineDead("transformers: the engine has ended")
        try:
            while True:
                await self._batch()
        except EngineDead as error:
            end = error
        finally:
            for _, future in self._in_hand + self._waiting:
                _resolve(future, end)

    async def _batch(self) -> None:
        while not self._waiting:
            self._more.clear()
            await self._more.wait()
        if len(self._waiting) < self.batch_size:
            await asyncio.sleep(_GATHER_S)
        self._in_hand = self._next()
        views = [view for view, _ in self._in_hand]
        if views:
            said = await asyncio.get_running_loop().run_in_executor(self.thread, self.model.say, views)
            for (_, future), one in zip(self._in_hand, said, strict=True):
                _resolve(future, one)

    def _next(self) -> list[_Request]:
        """The next batch: who waits longest, with the next ones that have as many pictures and the same sampling."""
        self._waiting = [item for item in self._waiting if not item[1].done()]
        if not self._waiting:
            return []
        kind = _kind(self._waiting[0][0])
        batch = [item for item in self._waiting if _kind(item[0]) == kind][: self.batch_size]
        taken = {id(future) for _, future in batch}
        self._waiting = [item for item in self._waiting if id(item[1]) not in taken]
        return batch


def _kind(view: View) -> tuple[object, ...]:
    """What the requests of a batch must share."""
    return len(view.pictures), view.temperature, view.seed


def load_model(options: Transformers, context: EngineContext) -> Model:
    """The weights on their device, with the sampling of the context as their only generation settings.

    Raises:
        UserError: something is not installed, or there is no such model.
    """
    try:
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor
        from transformers.utils import logging as library_log
    except ImportError as error:
        raise UserError(
            f"engine transformers cannot be imported: {error}",
            "pip install 'capgen[train]', the extra that brings torch and transformers without vLLM",
        ) from error
    library_log.disable_progress_bar()
    hide_library_warnings()
    dtype = options.dtype if options.dtype == _AUTO else getattr(torch, options.dtype, None)
    if dtype is None:
        raise UserError(f"engine.options.dtype: torch has no type {options.dtype!r}", "for example bfloat16")
    model = context.model
    arguments = {
        "revision": model.revision,
        "dtype": dtype,
        "trust_remote_code": model.trust_remote_code,
        "use_safetensors": True,
        "weights_only": True,
    } | options.args
    if context.gpus > 1:
        arguments.setdefault("device_map", _AUTO)
    try:
        loading = {name: arguments[name] for name in ("revision", "trust_remote_code")}
        processor = AutoProcessor.from_pretrained(model.id, **loading)
        weights = AutoModelForImageTextToText.from_pretrained(model.id, **arguments).eval()
    except (OSError, ValueError, ImportError) as error:
        raise not_loaded("transformers", context.model, error) from error
    processor.chat_template = processor.chat_template or processor.tokenizer.chat_template
    if not processor.chat_template:
        raise UserError(f"model {context.model.id!r} has no chat template", "give an instruction-tuned model")
    check_templates(processor.chat_template, context.model.id)
    processor.apply_chat_template = limited(processor.apply_chat_template, context.model.id)
    if context.gpus == 1:
        weights.to("cuda")
    processor.tokenizer.padding_side = "left"
    ends = _set_generation(processor, weights, context.sampling)
    longest: int = weights.config.get_text_config().max_position_embeddings
    seed = context.sampling.seed if context.sampling.temperature > 0 else None
    template = {**model.template, "add_generation_prompt": True, "tokenize": False}
    markers = (*USUAL, *model.reasoning)
    length = options.max_model_len or longest
    return Model(
        processor=processor,
        weights=weights,
        seed=seed,
        max_tokens=context.sampling.max_tokens,
        max_len=length,
        ends=ends,
        template=template,
        markers=markers,
        specials=special_tokens(processor.tokenizer, markers),
        logprobs=options.logprobs,
        top_p=context.sampling.top_p,
    )


def _set_generation(processor: Any, weights: Any, sampling: SamplingSettings) -> frozenset[int]:
    """Replace the model's own generation settings, which vLLM does not use either; the tokens that end an answer."""
    from transformers import GenerationConfig

    own = weights.generation_config
    ends = _ends(own.eos_token_id, processor.tokenizer.eos_token_id)
    pad = processor.tokenizer.pad_token_id
    settings: dict[str, Any] = {"do_sample": False}
    if sampling.temperature > 0:
        settings = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
    weights.generation_config = GenerationConfig(
        max_new_tokens=sampling.max_tokens,
        eos_token_id=sorted(ends),
        pad_token_id=min(ends, default=0) if pad is None else pad,
        bos_token_id=own.bos_token_id,
        **settings,
    )
    return ends


def _ends(*given: int | list[int] | None) -> frozenset[int]:
    """The tokens that end an answer, as the model and its tokenizer name them."""
    found: set[int] = set()
    for value in given:
        found.update([] if value is None else [value] if isinstance(value, int) else value)
    return frozenset(found)


def _seed(seed: int, views: Sequence[View]) -> int:
    """A batch's seed: sampled answers depend on what is batched together, and so on when requests come."""
    drawn = seed if views[0].seed is None else views[0].seed
    digest = hashlib.blake2b("\0".join([str(drawn), *(view.key for view in views)]).encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1


def _resolve(future: asyncio.Future[Answer], said: Answer | EngineFault) -> None:
    if future.done():
        return
    if isinstance(said, EngineFault):
        future.set_exception(said)
    else:
        future.set_result(said)
