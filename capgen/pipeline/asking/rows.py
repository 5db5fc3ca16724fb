"""What an object becomes in its shard: a row that is kept, dropped for the checks' reasons, or failed for good."""

from __future__ import annotations

from capgen.dataset.row import GivenAnswer, NeighbourFit, Rle, Row, Status
from capgen.dataset.types import Fault, Media, MediaObject
from capgen.pipeline.asking.tries import JudgedAnswer, Tries, prompt_of, seed_of, taken_step, temperature_of
from capgen.pipeline.planning.job import Job
from capgen.pipeline.rendering.render import Renderer


def failed_row(job: Job, media: Media, item: MediaObject, fault: Fault, answer: JudgedAnswer | None = None) -> Row:
    """The row of an object that has no answer."""
    return _row(job, media, item, answer, status="failed", reasons=(fault.reason,), message=fault.message)


def answered_row(
    job: Job,
    media: Media,
    item: MediaObject,
    tries: Tries,
    chosen: JudgedAnswer,
    fits: tuple[NeighbourFit, ...] = (),
) -> Row:
    """The row of an object that was answered: kept, or dropped for the findings of the answer that was chosen."""
    return _row(
        job,
        media,
        item,
        chosen,
        status="dropped" if chosen.findings else "kept",
        reasons=tuple(code for code, _ in chosen.findings),
        message="; ".join(message for _, message in chosen.findings) or None,
        tries=tries,
        fits=fits,
    )


def _row(
    job: Job,
    media: Media,
    item: MediaObject,
    answer: JudgedAnswer | None,
    *,
    status: Status,
    reasons: tuple[str, ...],
    message: str | None,
    tries: Tries | None = None,
    fits: tuple[NeighbourFit, ...] = (),
) -> Row:
    settled = answer.settled if answer else None
    answers = tries.all if tries else [answer] if answer else []
    step = taken_step(job, settled.step) if settled else None
    prompt = prompt_of(job, step)
    return Row(
        **media.header(),
        key=item.key,
        object_id=item.object_id,
        category_id=item.category_id,
        category=item.category,
        frame_index=item.visible,
        segmentation=tuple(_released_mask(media, item.counts[i]) for i in item.visible),
        bbox=tuple(box for box in item.boxes if box is not None),
        area=tuple(item.areas[i] for i in item.visible),
        caption=answer.caption if answer and status != "failed" else None,
        status=status,
        reasons=reasons,
        message=message,
        model=job.model_name,
        model_revision=job.model_revision,
        engine=job.settings.engine.name,
        prompt=prompt.name,
        prompt_sha256=prompt.sha256,
        highlight=prompt.layout_for(media.kind).highlight,
        seed=seed_of(job, step),
        finish_reason=settled.finish_reason or None if settled else None,
        prompt_tokens=settled.prompt_tokens if settled else 0,
        cached_tokens=settled.cached_tokens if settled else 0,
        output_tokens=settled.output_tokens if settled else 0,
        attempts=sum(one.settled.attempts for one in answers),
        logprob_min=settled.logprob_min if settled else None,
        logprob_mean=settled.logprob_mean if settled else None,
        request_sha256=settled.request if settled else None,
        advice=tuple(code for code, _ in answer.advice) if answer else (),
        tries=max(1, len(answers)),
        answers=tuple(_given(job, media, one, released=one.settled is settled) for one in answers)
        if len(answers) > 1
        else (),
        fits=fits,
        shown=_shown(Renderer(job.settings.render, prompt), media, item) if settled else (),
    )


def _shown(renderer: Renderer, media: Media, item: MediaObject) -> tuple[Rle | None, ...]:
    """The pieces of masks that were shown instead of the masks, an entry for each visible frame; empty if none was."""
    pieces = renderer.shown_pieces(media, item)
    return tuple(_released_mask(media, pieces.get(i)) for i in item.visible) if pieces else ()


def _given(job: Job, media: Media, answer: JudgedAnswer, *, released: bool) -> GivenAnswer:
    """One of several answers as the row tells it."""
    settled = answer.settled
    step = taken_step(job, settled.step)
    prompt = prompt_of(job, step)
    failed = settled.fault is not None
    said = "; ".join(text for _, text in (*answer.findings, *answer.advice)) or None
    return GivenAnswer(
        caption=None if failed else answer.caption,
        step=settled.step or None,
        reasons=(settled.fault,) if settled.fault else tuple(code for code, _ in answer.findings),
        advice=tuple(code for code, _ in answer.advice),
        message=settled.message if failed else said,
        told=settled.told,
        prompt=prompt.name,
        highlight=prompt.layout_for(media.kind).highlight,
        temperature=temperature_of(job, step),
        seed=seed_of(job, step),
        finish_reason=settled.finish_reason or None,
        prompt_tokens=settled.prompt_tokens,
        cached_tokens=settled.cached_tokens,
        output_tokens=settled.output_tokens,
        logprob_min=settled.logprob_min,
        logprob_mean=settled.logprob_mean,
        attempts=settled.attempts,
        request_sha256=settled.request or None,
        released=released,
    )


def _released_mask(media: Media, counts: str | None) -> Rle | None:
    return None if counts is None else Rle(size=[media.height, media.width], counts=counts)
