"""What a run will take: counts from the dataset, tokens from the processor, speed from a probe or an assumption."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from capgen.errors import UserError
from capgen.pipeline.engines.base import build_engine
from capgen.pipeline.estimating.dataset_scan import (
    DatasetCounts,
    SampledRequest,
    bytes_of_plan,
    count_dataset,
    sampled_requests,
)
from capgen.pipeline.estimating.measure import Measured, measure_engine, real_requests
from capgen.pipeline.estimating.token_counter import token_counter
from capgen.pipeline.planning.model_profiles import profile_named
from capgen.pipeline.planning.preflight import check_model, check_model_path, check_pictures, tell_model
from capgen.pipeline.rendering.prompt import prompt_of
from capgen.pipeline.rendering.render import Renderer
from capgen.pipeline.settings import Settings
from capgen.pipeline.view import TokenCounter

ASSUMED_RATE = 76.0
"""Objects a second and GPU: an estimate for a model of 7 to 8 billion parameters on an H100. An H200 answered 108 a
second with random weights of that size in the default layout (benchmarks/results/gpu_check.json)."""
ASSUMED_ANSWER = 24
"""Tokens of a caption of one sentence."""

_BLOCK = {"gpu": 16, "cpu": 128}
_COARSE_BLOCK = 528
_COUNTED_REQUESTS = 48
_ROW_BYTES = 900
"""Of a row in ``candidates/``, ``captions`` and ``media`` together, without masks: out/lviscap of the sample world."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Objects a second of one engine if that is known, tokens of an answer, and where the numbers are from."""

    objects_per_s: float | None
    answer_tokens: float
    how: str


@dataclass(frozen=True, slots=True)
class RunEstimate:
    """What a run will take.

    ``computed_tokens``: prompt tokens without cached ones. Speed and time are None where nothing is known of them,
    ``price`` where none was given.
    """

    dataset: str
    model: str
    media: int
    objects: int
    unaskable: int
    requests: int
    pictures: int
    prompt_tokens: int
    cached_tokens: int
    computed_tokens: int
    output_tokens: int
    shards: int
    disk_bytes: int
    gpus: int
    engines: int
    objects_per_s: float | None
    hours: float | None
    gpu_hours: float | None
    price: float | None
    assumptions: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class EstimateRequest:
    """How a run is to be estimated.

    Args:
        gpus: of the run, 0 for the CPU; ``tensor_parallel``: GPUs of one engine.
        probe: objects to measure with; 0 measures nothing.
        rate: objects a second of one engine, measured elsewhere.
        price: of a GPU's hour, in any currency.
    """

    gpus: int
    tensor_parallel: int = 1
    probe: int = 0
    rate: float | None = None
    price: float | None = None


def estimate_run(settings: Settings, wanted: EstimateRequest) -> RunEstimate:
    """Estimate a run without starting it.

    Raises:
        UserError: the engine's name or options are wrong, the dataset cannot be read, it has no objects, or the probe
            fails.
    """
    build_engine(settings.engine)
    check_model_path(settings)
    prompt = prompt_of(settings.prompt)
    check_pictures(settings, prompt)
    if wanted.probe or settings.model.trust_remote_code:
        tell_model(settings)
    counts = count_dataset(settings)
    by_medium = sampled_requests(settings, counts.sample, Renderer(settings.render, prompt))
    requests = [one for medium in by_medium for one in medium]
    if not requests:
        raise UserError(f"the dataset has no object that can be asked for ({counts.objects} objects)", "check --root")
    counter = token_counter(settings)
    prompt_tokens, cached = _tokens(settings, counts, requests, counter, cpu=wanted.gpus == 0)
    measured = _measured(settings, counts, wanted)
    speed = _speed(settings, wanted, measured)
    if measured is not None:
        prompt_tokens = round(measured.prompt_tokens / measured.answered * counts.requests)
        cached = round(measured.cached_tokens / measured.answered * counts.requests)
    engines = max(1, wanted.gpus // wanted.tensor_parallel)
    rate = None if speed.objects_per_s is None else speed.objects_per_s * engines
    hours = None if rate is None else counts.requests / rate / 3600
    gpu_hours = None if hours is None else hours * wanted.gpus
    return RunEstimate(
        dataset=settings.name,
        model=settings.model.id,
        media=counts.media,
        objects=counts.objects,
        unaskable=counts.unaskable,
        requests=counts.requests,
        pictures=_pictures(counts, by_medium),
        prompt_tokens=prompt_tokens,
        cached_tokens=cached,
        computed_tokens=prompt_tokens - cached,
        output_tokens=round(speed.answer_tokens * counts.requests),
        shards=counts.shards,
        disk_bytes=round(counts.objects * (bytes_of_plan(counts.sample) * 3 + _ROW_BYTES)),
        gpus=wanted.gpus,
        engines=engines,
        objects_per_s=rate,
        hours=hours,
        gpu_hours=gpu_hours,
        price=None if wanted.price is None or gpu_hours is None else gpu_hours * wanted.price,
        assumptions=_assumptions(counter.how, speed, measured),
    )


def _measured(settings: Settings, counts: DatasetCounts, wanted: EstimateRequest) -> Measured | None:
    if not wanted.probe:
        return None
    check_model(settings)
    gpus = min(wanted.gpus, wanted.tensor_parallel)
    return measure_engine(settings, real_requests(settings, counts.sample, wanted.probe), gpus)


def _speed(settings: Settings, wanted: EstimateRequest, measured: Measured | None) -> Speed:
    answer = min(ASSUMED_ANSWER, settings.sampling.max_tokens)
    if measured is not None:
        how = f"{measured.answered} objects were asked here: {measured.objects_per_s:.3g} a second and engine"
        return Speed(measured.objects_per_s, measured.output_tokens / measured.answered, how)
    caption = f"a caption has {answer} tokens"
    if wanted.rate is not None:
        return Speed(wanted.rate, answer, f"{wanted.rate:g} objects a second and engine were given; {caption}")
    if not wanted.gpus:
        return Speed(None, answer, f"nothing is known of the speed on the CPU: give --probe 50; {caption}")
    rate = ASSUMED_RATE * wanted.tensor_parallel
    how = (
        f"{ASSUMED_RATE:g} objects a second and GPU, for a model of 7 to 8 billion parameters on an H100: an "
        "assumption (an H200 answered 108 with random weights of that size); --probe 500 on the machine, or --rate, "
        f"replaces it; {caption}"
    )
    return Speed(rate, answer, how)


def _tokens(
    settings: Settings, counts: DatasetCounts, requests: Sequence[SampledRequest], counter: TokenCounter, *, cpu: bool
) -> tuple[int, int]:
    """Prompt tokens and cached tokens of all requests, from a part of the sampled ones."""
    chosen = requests
    if len(requests) > _COUNTED_REQUESTS:
        chosen = random.Random(0).sample(list(requests), _COUNTED_REQUESTS)
    profile = profile_named(settings.model.profile)
    prefix = profile.prefix if profile else "shared"
    block = _COARSE_BLOCK if prefix == "coarse" else _BLOCK["cpu" if cpu else "gpu"]
    prompt = fmean(counter.prompt(one.view) / one.view.captions for one in chosen)
    if prefix == "none":
        return round(prompt * counts.requests), 0
    shared = fmean(counter.beginning(one.view, one.shared_parts) // block * block / one.view.captions for one in chosen)
    first = chosen[0].view
    text = counter.beginning(first, 1) // block * block / first.captions if prefix == "shared" else 0
    later = counts.later_objects(2 if prefix == "coarse" else 1)
    return round(prompt * counts.requests), round(shared * later + text * (counts.requests - later))


def _pictures(counts: DatasetCounts, by_medium: Sequence[Sequence[SampledRequest]]) -> int:
    """Pictures that are encoded: the shared ones of a medium once, an object's own each time."""
    with_objects = sum(media for count, media in counts.objects_by_medium.items() if count)
    shared = fmean(_shared_pictures(one[0]) for one in by_medium if one)
    own = fmean(
        (len(one.view.pictures) - _shared_pictures(one)) / one.view.captions for medium in by_medium for one in medium
    )
    return round(shared * with_objects + own * counts.requests)


def _shared_pictures(request: SampledRequest) -> int:
    return sum(not isinstance(part, str) for part in request.view.parts[: request.shared_parts])


def _assumptions(tokens: str, speed: Speed, measured: Measured | None) -> tuple[str, ...]:
    counted = tokens if measured is None else "tokens are those of the probe"
    return (
        speed.how,
        counted,
        "every object is asked once; engines start in minutes, which are not counted",
        "cached tokens: the objects of a picture go to one engine, one after the other",
        "disk: plan, candidates and release, masks in each; pictures stay where they are",
    )
