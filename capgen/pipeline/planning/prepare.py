"""From settings to a planned run: everything that can be wrong is found here, before Ray or an engine starts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from capgen.buckets.places import url_of
from capgen.dataset.card import CardInfo, check_card
from capgen.dataset.layout import RunLayout
from capgen.dataset.plan import PLAN_VERSION, ModelName, PlanRecord, ShardTable
from capgen.dataset.reader import check_root, find_plan
from capgen.dataset.shards import is_committed
from capgen.errors import UserError
from capgen.pipeline.checks.base import build_checks
from capgen.pipeline.engines import ENGINES
from capgen.pipeline.engines.base import build_engine
from capgen.pipeline.planning.adding.extend import check_limit, extend, grow
from capgen.pipeline.planning.fingerprint import (
    differences,
    digest,
    fingerprint_parts,
    further_parts,
    further_steps,
    may_have_grown,
    same_run,
)
from capgen.pipeline.planning.job import Job
from capgen.pipeline.planning.model_profiles import profile_named
from capgen.pipeline.planning.open_source import build_source, source_hashes
from capgen.pipeline.planning.plan import ChooseTasks, PlanProgress, write_plan, write_plan_json
from capgen.pipeline.planning.preflight import (
    check_distinct,
    check_masks,
    check_model,
    check_pictures,
    check_unsure,
    tell_model,
)
from capgen.pipeline.rendering.prompt import Prompt, load_prompt, prompt_of, with_highlights
from capgen.pipeline.rendering.remarks import Remarks, load_remarks
from capgen.pipeline.settings import ModelSettings, Settings
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
        checks=settings.checks.names,
        advisory=tuple(name for name in settings.checks.advisory if name not in settings.checks.names),
        threshold=settings.checks.options.get("unsure", {}).get("threshold"),
        model_terms=_model_terms(settings),
    )


def prepare(
    settings: Settings,
    out: Path,
    *,
    gpus: int,
    model: ModelName,
    fork: bool = False,
    may_grow: bool = True,
    progress: PlanProgress | None = None,
    tasks: ChooseTasks | None = None,
) -> tuple[Job, ShardTable]:
    """Plan a run, or take up the plan that OUT already has.

    A plan of other settings under which nothing was asked yet is replaced. A larger limit, and new media of a source
    whose files have changed, add to the plan.

    Args:
        gpus: GPUs of one engine.
        fork: where OUT belongs to a run of another fingerprint, plan beside it (``OUT-<fingerprint>``).
        may_grow: False refuses a source whose files have changed.
        tasks: see ``write_plan``.

    Raises:
        UserError: anything that the user can mend; a differing OUT is refused with what differs, a root that does not
            hold the planned pictures with the root that they were planned in, and a source that has not only grown with
            the media that have changed.
    """
    source, prompt = checked(settings)
    model = named(settings, model)
    tell_model(settings)
    prompts, remarks = further_prompts(settings, prompt)
    with ThreadPoolExecutor(1, thread_name_prefix="hash") as pool:
        # The largest files take seconds to hash and seconds to plan: side by side.
        hashes = pool.submit(source_hashes, source, _root(settings))
        fresh = _planned(source, out, settings, progress, tasks) if find_plan(out) is None else None
        parts = fingerprint_parts(settings, prompt, hashes.result()) | further_parts(settings, prompts, remarks)
    out = _settle_out(out, parts, fork=fork, may_grow=may_grow)
    record = find_plan(out)
    if record is None:
        record = _recorded(settings, parts, model, fresh or _planned(source, out, settings, progress, tasks))
        write_plan_json(out, record)
    elif _root(settings) != Path(record.root or "") or not _finished(out, record):
        check_root(out, record, _root(settings))
    name, revision = model.name, model.revision
    job = Job(
        out.resolve(),
        record.fingerprint,
        settings,
        prompt,
        gpus,
        name,
        revision,
        record.legacy_root,
        prompts,
        remarks,
        url=url_of(out.resolve()),
        root_url=url_of(settings.source.root),
    )
    now = _added(source, job, _recorded(settings, parts, model, ShardTable(shards=())), record, progress)
    if now.parts_now == record.parts_now:
        return job, now.table
    media, objects = now.table.media - record.table.media, now.table.objects - record.table.objects
    return job, msgspec.structs.replace(now.table, new_media=media, new_objects=objects)


def _added(
    source: Source, job: Job, wanted: PlanRecord, planned: PlanRecord, progress: PlanProgress | None
) -> PlanRecord:
    """The record of a plan, to which a larger limit and a source that has grown have added.

    Raises:
        UserError: the limit is smaller than before, or the source has not only grown.
    """
    check_limit(wanted.limit, planned.limit, job.out)
    same = same_run(planned.parts_now, wanted.parts)
    if same and wanted.limit == planned.limit:
        return planned
    if same and not planned.grown:
        return extend(source, job.out, wanted, planned)
    return grow(source, job, wanted, planned, progress)


def checked(settings: Settings) -> tuple[Source, Prompt]:
    """The source and the prompt of settings in which nothing was found wrong; nothing is planned or started.

    Raises:
        UserError: anything that the user can mend.
    """
    source = build_source(settings)
    _ = source.files  # a missing one is said before a model is looked for
    prompt = prompt_of(settings.prompt)
    build_engine(settings.engine)
    check_card(card_info(settings))
    check_model(settings)
    check_pictures(settings, prompt)
    check_masks(source, settings, prompt)
    _ = build_checks(settings.checks.all_names, settings.checks.options)
    check_unsure(settings)
    check_distinct(settings, prompt)
    _ = further_prompts(settings, prompt)
    return source, prompt


def further_prompts(settings: Settings, prompt: Prompt) -> tuple[dict[str, Prompt], Remarks | None]:
    """What further requests need beside the run's prompt: other prompt files by name, and the remarks.

    Raises:
        UserError: a file has a mistake, or a step names a highlight that is not there.
    """
    steps = further_steps(settings)
    names = {step.prompt for step in steps if step.prompt}
    prompts = {name: load_prompt(name, category=settings.prompt.category) for name in sorted(names)}
    for step in steps:
        if step.highlight:
            with_highlights(prompts[step.prompt] if step.prompt else prompt, step.highlight)
    return prompts, load_remarks(settings.tries.remarks) if any(step.tell for step in steps) else None


def named(settings: Settings, model: ModelName) -> ModelName:
    """What rows call the model: the engine's own name where the engine answers without one, as ``echo`` does."""
    return model if _needs_model(settings) else ModelName(settings.engine.name, None)


def _model_terms(settings: Settings) -> tuple[str, str] | None:
    """The licence of the model and what captions may be used for; None where no model writes them."""
    if not _needs_model(settings):
        return None
    name = settings.model.profile  # a plan of before there were profiles names none
    profile = None if name == ModelSettings.model_fields["profile"].default else profile_named(name)
    if profile is None:
        return "not known here", "read the model's own card"
    return profile.licence, profile.captions


def _needs_model(settings: Settings) -> bool:
    return bool(getattr(ENGINES.load(settings.engine.name), "needs_model", True))


def _recorded(settings: Settings, parts: dict[str, Any], model: ModelName, table: ShardTable) -> PlanRecord:
    """What ``plan.json`` is to say, with a root that means the same from any folder."""
    root = _root(settings)
    source = settings.source.model_copy(update={"root": root})
    return PlanRecord(
        version=PLAN_VERSION,
        fingerprint=digest(parts),
        parts=parts,
        settings=settings.model_copy(update={"source": source}).model_dump(mode="json"),
        model=model,
        root=str(root),
        limit=settings.source.limit,
        folders=table.folders,
        left_out=table.left_out,
        shards=table.shards,
    )


def _finished(out: Path, record: PlanRecord) -> bool:
    return all(is_committed(out, entry.index, record.fingerprint) for entry in record.shards)


def _root(settings: Settings) -> Path:
    root = settings.source.root
    assert root is not None  # build_source has refused settings without one
    return root.resolve()


def _planned(
    source: Source, out: Path, settings: Settings, progress: PlanProgress | None, tasks: ChooseTasks | None
) -> ShardTable:
    run, limit = settings.run, settings.source.limit
    return write_plan(source, out, shard_objects=run.shard_objects, limit=limit, progress=progress, tasks=tasks)


def _settle_out(out: Path, parts: dict[str, Any], *, fork: bool, may_grow: bool) -> Path:
    """The folder of the run with these parts; a plan in it that nothing was asked of and that differs is removed.

    Raises:
        UserError: OUT holds another run.
    """
    plan = find_plan(out)
    if plan is None or same_run(plan.parts_now, parts):
        return out
    if not RunLayout(out).has_answers():
        RunLayout(out).plan_json.unlink()
        return out
    if fork:
        return _settle_out(out.with_name(f"{out.name}-{digest(parts)[:8]}"), parts, fork=False, may_grow=may_grow)
    found = differences(plan.parts_now, parts)
    if may_have_grown(plan.parts_now, parts):
        if may_grow:
            return out
        raise UserError(
            f"the dataset of {out} is not as it was captioned: {found}", f"`capgen resume {out}` first, then retry"
        )
    raise UserError(
        f"{out} holds a run with other settings: {found}",
        "give this run a folder of its own with --out, or --fork to start beside it",
    )
