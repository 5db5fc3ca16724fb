"""What a worker needs to do any shard of a run; travels by pickle, holds nothing that is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from capgen.dataset.layout import RunLayout, picture_bounds
from capgen.dataset.plan import PlannedMedia, ShardEntry
from capgen.dataset.reader import read_media
from capgen.dataset.row import Rle, Row, Status
from capgen.dataset.types import Fault, Media, MediaObject
from capgen.pipeline.checks.base import CheckedCaption, NamedChecks, build_checks, judge
from capgen.pipeline.engines.base import Engine, EngineContext, build_engine
from capgen.pipeline.planning.fingerprint import deciding_options
from capgen.pipeline.rendering.prompt import Prompt
from capgen.pipeline.rendering.render import Renderer
from capgen.pipeline.settings import Settings
from capgen.pipeline.sources.reading.decode import decode_media
from capgen.pipeline.view import Settled
from capgen.text import tidy

CheckFindings = tuple[tuple[str, str], ...]
"""Reason codes with their sentences, the one that is counted first."""


@dataclass(frozen=True)
class Job:
    """A planned run, seen from a worker.

    Args:
        out: the run's folder, the same path on every machine of the cluster.
        gpus: GPUs of one engine.
        model_name, model_revision: what the rows say of the model.
        legacy_root: see ``PlanRecord``.
    """

    out: Path
    fingerprint: str
    settings: Settings
    prompt: Prompt
    gpus: int
    model_name: str
    model_revision: str | None
    legacy_root: str | None = None

    @cached_property
    def renderer(self) -> Renderer:
        """The renderer of the prompt's layout."""
        return Renderer(self.settings.render, self.prompt)

    @cached_property
    def engine(self) -> Engine:
        """The engine's options."""
        return build_engine(self.settings.engine)

    @cached_property
    def checks(self) -> NamedChecks:
        """The checks that drop a caption, with their codes."""
        settings = self.settings.checks
        options = {name: given for name, given in settings.options.items() if name in settings.names}
        return build_checks(settings.names, options)

    def judge(self, item: MediaObject, settled: Settled) -> CheckFindings:
        """What the checks say of an answer; nothing where it is a caption."""
        return judge(self.checks, CheckedCaption(settled.text, settled.finish_reason, item.category, item.synonyms))

    @property
    def context(self) -> EngineContext:
        """What the engine is told."""
        return EngineContext(self.settings.model, self.settings.sampling, self.gpus, self.out)

    @cached_property
    def salt(self) -> str:
        """What, beside the prompt, decides an answer."""
        options = deciding_options(self.settings.engine)
        chosen = f":{json.dumps(options, sort_keys=True, default=str)}" if options else ""
        return f"{self.settings.model.id}@{self.model_revision}:{self.settings.sampling.model_dump_json()}{chosen}"

    def planned(self, entry: ShardEntry) -> Iterator[PlannedMedia]:
        """The planned media of a shard, in order; see ``read_media``."""
        return read_media(self.out, entry, legacy_root=self.legacy_root)

    def decode(self, planned: PlannedMedia) -> Media:
        """A planned medium with its masks, its pictures where this run was told that they are."""
        return decode_media(planned, self.settings.source.root or "", self.bounds)

    @cached_property
    def bounds(self) -> Path | None:
        """The folder out of which links among the pictures must not lead; None follows all links."""
        return picture_bounds(self.settings.source.root, self.settings.source.follow_links)

    def journal_dir(self, index: int) -> Path:
        """Where a shard's unfinished answers are kept."""
        return RunLayout(self.out).journal_dir(index)


def failed(job: Job, media: Media, item: MediaObject, fault: Fault, settled: Settled | None = None) -> Row:
    """The row of an object that has no answer."""
    return _row(
        job, media, item, settled, status="failed", reasons=(fault.reason,), message=fault.message, caption=None
    )


def judged(job: Job, media: Media, item: MediaObject, settled: Settled, findings: CheckFindings) -> Row:
    """The row of an answer: kept, or dropped for the checks' reasons."""
    return _row(
        job,
        media,
        item,
        settled,
        status="dropped" if findings else "kept",
        reasons=tuple(code for code, _ in findings),
        message="; ".join(message for _, message in findings) or None,
        caption=tidy(settled.text),
    )


def _row(
    job: Job,
    media: Media,
    item: MediaObject,
    settled: Settled | None,
    *,
    status: Status,
    reasons: tuple[str, ...],
    message: str | None,
    caption: str | None,
) -> Row:
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
        caption=caption,
        status=status,
        reasons=reasons,
        message=message,
        model=job.model_name,
        model_revision=job.model_revision,
        engine=job.settings.engine.name,
        prompt=job.prompt.name,
        prompt_sha256=job.prompt.sha256,
        highlight=job.prompt.layout_for(media.kind).highlight,
        seed=job.settings.sampling.seed,
        finish_reason=settled.finish_reason or None if settled else None,
        prompt_tokens=settled.prompt_tokens if settled else 0,
        cached_tokens=settled.cached_tokens if settled else 0,
        output_tokens=settled.output_tokens if settled else 0,
        attempts=settled.attempts if settled else 0,
        logprob_min=settled.logprob_min if settled else None,
        logprob_mean=settled.logprob_mean if settled else None,
        request_sha256=settled.request if settled else None,
    )


def _released_mask(media: Media, counts: str | None) -> Rle | None:
    return None if counts is None else Rle(size=[media.height, media.width], counts=counts)
