"""From settings to a planned run: everything that can be wrong is found here, before Ray or an engine starts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from capgen.dataset.card import CardInfo, check_card
from capgen.dataset.plan import PLAN_VERSION, ModelName, PlanRecord, ShardTable
from capgen.dataset.reader import find_plan
from capgen.errors import UserError
from capgen.pipeline.checks.base import build_checks
from capgen.pipeline.engines.base import build_engine
from capgen.pipeline.planning.fingerprint import differences, digest, fingerprint_parts
from capgen.pipeline.planning.job import Job
from capgen.pipeline.planning.plan import file_sha256, write_plan, write_plan_json
from capgen.pipeline.planning.preflight import check_model
from capgen.pipeline.rendering.prompt import load_prompt
from capgen.pipeline.settings import Settings
from capgen.pipeline.sources import SOURCES
from capgen.pipeline.sources.base import Source


def card_info(settings: Settings) -> CardInfo:
    """What the settings say about the card."""
    card = settings.card
    return CardInfo(
        template=card.template,
        title=card.title,
        dataset=settings.dataset,
        kind=settings.kind,
        license_source=card.license_source,
        license_captions=card.license_captions,
    )


def build_source(settings: Settings) -> Source:
    """The registered source over its root and split.

    Raises:
        UnknownName: no such source.
        UserError: no root is given, or it is not there.
    """
    root = settings.source.root
    if root is None:
        raise UserError(f"dataset {settings.name} needs its folder", "give it with --root DIR")
    if not root.is_dir():
        raise UserError(f"--root {root}: there is no such folder", "give the folder that holds the dataset")
    options = {"root": root.resolve(), "split": settings.source.split, "dataset": settings.dataset}
    source: Source = SOURCES.build(settings.source.type, settings.source.options | options, "source.options")
    return source


def prepare(
    settings: Settings, out: Path, *, gpus: int, model: ModelName, fork: bool = False
) -> tuple[Job, ShardTable]:
    """Plan a run, or take up the plan that OUT already has.

    Args:
        gpus: GPUs of one engine.
        fork: where OUT belongs to a run of another fingerprint, plan beside it (``OUT-<fingerprint>``).

    Raises:
        UserError: anything that the user can mend; a differing OUT is refused with what differs.
    """
    source = build_source(settings)
    files = source.files
    prompt = load_prompt(settings.prompt.name, category=settings.prompt.category)
    build_engine(settings.engine)
    check_card(card_info(settings))
    check_model(settings)
    _ = build_checks(settings.checks.names, settings.checks.options)
    with ThreadPoolExecutor(1, thread_name_prefix="hash") as pool:
        # The largest files take seconds to hash and seconds to plan: side by side.
        hashes = pool.submit(lambda: {file.name: file_sha256(file) for file in files})
        fresh = _planned(source, out, settings) if find_plan(out) is None else None
        parts = fingerprint_parts(settings, prompt, hashes.result())
    fingerprint = digest(parts)
    out = _settle_out(out, parts, fingerprint, fork=fork)
    plan = find_plan(out)
    legacy_root = plan.legacy_root if plan is not None else None
    job = Job(out.resolve(), fingerprint, settings, prompt, gpus, model.name, model.revision, legacy_root)
    if plan is not None:
        return job, plan.table
    table = fresh or _planned(source, out, settings)
    recorded = _wherever(settings)
    write_plan_json(
        out,
        PlanRecord(
            version=PLAN_VERSION,
            fingerprint=fingerprint,
            parts=parts,
            settings=recorded.model_dump(mode="json"),
            model=model,
            root=str(recorded.source.root),
            folders=table.folders,
            shards=table.shards,
        ),
    )
    return job, table


def _wherever(settings: Settings) -> Settings:
    """The settings with a root that means the same from any folder."""
    root = settings.source.root
    source = settings.source.model_copy(update={"root": root and root.resolve()})
    return settings.model_copy(update={"source": source})


def _planned(source: Source, out: Path, settings: Settings) -> ShardTable:
    return write_plan(source, out, shard_objects=settings.run.shard_objects, limit=settings.source.limit)


def _settle_out(out: Path, parts: dict[str, Any], fingerprint: str, *, fork: bool) -> Path:
    plan = find_plan(out)
    if plan is None or plan.fingerprint == fingerprint:
        return out
    if fork:
        return _settle_out(out.with_name(f"{out.name}-{fingerprint[:8]}"), parts, fingerprint, fork=False)
    lines = differences(plan.parts, parts)
    raise UserError(
        f"{out} holds a run with another fingerprint: {'; '.join(lines)}",
        "choose another --out, or --fork to start beside it",
    )
