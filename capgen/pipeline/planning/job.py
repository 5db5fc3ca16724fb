"""What a worker needs to do any shard of a run; travels by pickle, holds nothing that is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from capgen.buckets.roots import open_root
from capgen.dataset.layout import RunLayout, picture_bounds
from capgen.dataset.plan import PlannedMedia, ShardEntry
from capgen.dataset.reader import read_media
from capgen.dataset.remote.mirror import Mirror
from capgen.dataset.types import Media, MediaObject
from capgen.pipeline.checks.base import CheckedCaption, NamedChecks, build_checks, judge
from capgen.pipeline.engines.base import Engine, EngineContext, build_engine
from capgen.pipeline.planning.fingerprint import deciding_options
from capgen.pipeline.rendering.prompt import Prompt, with_highlights
from capgen.pipeline.rendering.remarks import Remarks
from capgen.pipeline.rendering.render import Renderer
from capgen.pipeline.settings import Settings, TryAgain
from capgen.pipeline.sources.reading.decode import decode_media
from capgen.pipeline.view import Settled

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
        prompts: further prompt files that second tries name, by that name.
        remarks: what further requests say; None where there are none.
        url: the OUT in a bucket that ``out`` is the copy of; None where it is a folder.
        root_url: the same of the dataset's root.
    """

    out: Path
    fingerprint: str
    settings: Settings
    prompt: Prompt
    gpus: int
    model_name: str
    model_revision: str | None
    legacy_root: str | None = None
    prompts: Mapping[str, Prompt] = field(default_factory=dict)
    remarks: Remarks | None = None
    url: str | None = None
    root_url: str | None = None

    def in_this_process(self) -> None:
        """Have pictures fetched where the dataset's root is in a bucket."""
        if self.root_url is not None and self.settings.source.root is not None:
            open_root(self.root_url, Path(self.settings.source.root))

    @cached_property
    def mirror(self) -> Mirror | None:
        """What keeps ``out`` equal to a bucket; None where it is in none."""
        return None if self.url is None else Mirror(self.url, self.out)

    @cached_property
    def renderer(self) -> Renderer:
        """The renderer of the prompt's layout."""
        return Renderer(self.settings.render, self.prompt)

    def renderer_of(self, step: TryAgain) -> Renderer:
        """The renderer of a further request."""
        prompt = self.prompts[step.prompt] if step.prompt else self.prompt
        if step.highlight:
            prompt = with_highlights(prompt, step.highlight)
        if step.category is not None and step.category != prompt.category:
            prompt = replace(prompt, category=step.category)
        return self.renderer if prompt is self.prompt else Renderer(self.settings.render, prompt)

    @cached_property
    def engine(self) -> Engine:
        """The engine's options."""
        return build_engine(self.settings.engine)

    @property
    def in_flight(self) -> int:
        """Objects that keep the engine busy: where a request is about several, about half of them are there at once."""
        return self.engine.in_flight * (self.prompt.layout_for(self.settings.kind).objects_per_request + 1) // 2

    @cached_property
    def checks(self) -> NamedChecks:
        """The checks that drop a caption, with their codes."""
        return self._built(self.settings.checks.names)

    @cached_property
    def advisers(self) -> NamedChecks:
        """The checks that only advise, with their codes."""
        names = self.settings.checks
        return self._built(tuple(name for name in names.advisory if name not in names.names))

    def _built(self, names: tuple[str, ...]) -> NamedChecks:
        options = self.settings.checks.options
        return build_checks(names, {name: given for name, given in options.items() if name in names})

    def judge(self, item: MediaObject, settled: Settled) -> tuple[CheckFindings, CheckFindings]:
        """What the checks that drop an answer say, and where they say nothing, what those say that only advise."""
        said = CheckedCaption(settled.text, settled.finish_reason, item.category, item.synonyms, settled.logprob_min)
        findings = judge(self.checks, said)
        return findings, () if findings else judge(self.advisers, said)

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
