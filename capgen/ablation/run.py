"""Does an ablation: every variant is a run of its own below OUT, all of one model through one engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from capgen.ablation.design import AblationFile, Variant, variants
from capgen.ablation.engine import SharedDevices, SharedEngine, engine_of
from capgen.ablation.measures import VariantMeasures, measured
from capgen.ablation.results import AblationResult, write_result
from capgen.dataset.layout import RunLayout
from capgen.dataset.plan import ModelName
from capgen.pipeline.engines.scoring.base import check_scores
from capgen.pipeline.judging.judge import judge_run
from capgen.pipeline.judging.records import JudgeRules
from capgen.pipeline.planning.job import Job
from capgen.pipeline.planning.prepare import checked
from capgen.pipeline.running.own_runs import DeviceFlags, note_run
from capgen.pipeline.running.session import NothingKept, RunRequest, run_session
from capgen.pipeline.settings import Settings

RUNS = "variants"
"""The folder of the runs below OUT."""

SettingsOf = Callable[[Mapping[str, Any]], tuple[Settings, ModelName]]


@dataclass(frozen=True, slots=True)
class AblationRequest:
    """Where an ablation is done.

    Args:
        name: of the file, as the user gave it.
        settings_of: from dotted keys with values to settings and the model's name.
        gpus: of the one engine; 0 is the CPU.
        facts: of the sample world that is captioned.
        console: shows how far a run is.
        told: called with a line for each variant that is done.
    """

    name: str
    found: AblationFile
    out: Path
    settings_of: SettingsOf
    gpus: int
    facts: Path | None
    console: Console
    told: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Planned:
    variant: Variant
    settings: Settings
    model: ModelName


def run_ablation(wanted: AblationRequest) -> AblationResult:
    """Do what is left of every variant, and write the result anew after each.

    Run again with the same OUT, it asks only for what is missing.

    Raises:
        UserError: a variant's settings are wrong, or its folder holds a run of other settings.
        Interrupted: the user stopped it; the same command resumes.
    """
    planned = [_Planned(variant, *wanted.settings_of(variant.settings)) for variant in variants(wanted.found)]
    for one in planned:  # a mistake in the last one is said before the first is asked
        _ = checked(one.settings)
    if wanted.found.judge:  # the first variant's engine judges
        check_scores(planned[0].settings.engine.name, "put a variant with one of them first", given="engine.name")
    order = {engine_of(one.settings): number for number, one in reversed(list(enumerate(planned)))}
    done: dict[str, VariantMeasures] = {}
    with _engine() as engine:
        for number, one in enumerate(sorted(planned, key=lambda one: order[engine_of(one.settings)]), 1):
            out = wanted.out / RUNS / one.variant.folder
            devices = SharedDevices(gpus=wanted.gpus, ray=False, engine=engine)
            request = RunRequest(out, one.model, devices, planned=_note)
            with suppress(NothingKept):  # that is what came out of this variant, and the table says so
                run_session(one.settings, request, wanted.console)
            found = done[one.variant.folder] = measured(out, one.variant.values, wanted.facts)
            wanted.told(f"{number} of {len(planned)}: {one.variant.name}: {_line(found)}")
            result = _result(wanted, planned, done, engine)
            write_result(wanted.out, result)
        if wanted.found.judge:
            for one in planned:
                out = wanted.out / RUNS / one.variant.folder
                if done[one.variant.folder].kept and not _is_judged(out):
                    first = planned[0].settings
                    judge_run(out, first, JudgeRules("fit"), running=engine.running(first, wanted.gpus))
                done[one.variant.folder] = measured(out, one.variant.values, wanted.facts)
            result = _result(wanted, planned, done, engine)
            write_result(wanted.out, result)
    return result


def _is_judged(out: Path) -> bool:
    """Whether there are scores of the captions as they are: written after every shard."""
    layout = RunLayout(out)
    if not layout.judge.is_file():
        return False
    written = layout.judge.stat().st_mtime_ns
    return all(file.stat().st_mtime_ns < written for file in layout.all_candidates())


def _note(job: Job) -> None:
    """Record a variant as a run of this user's: other commands then look for its pictures where they are."""
    note_run(job, DeviceFlags(), None)


@contextmanager
def _engine() -> Iterator[SharedEngine]:
    engine = SharedEngine()
    try:
        yield engine
    finally:
        engine.finish()


def _result(
    wanted: AblationRequest, planned: list[_Planned], done: Mapping[str, VariantMeasures], engine: SharedEngine
) -> AblationResult:
    found = [done[one.variant.folder] for one in planned if one.variant.folder in done]
    return AblationResult(
        file=wanted.name,
        source=str(wanted.found.dataset or wanted.found.pipeline),
        objects=found[0].objects,
        facts=wanted.facts.name if wanted.facts else None,
        planned=len(planned),
        engines=engine.starts,
        variants=tuple(found),
    )


def _line(found: VariantMeasures) -> str:
    right = "" if found.right is None else f", {found.right:.3f} of them right"
    rate = "" if found.objects_per_s is None else f", {found.objects_per_s:.3g} objects/s"
    return f"{found.kept} of {found.objects} kept{right}, {found.computed_tokens:,.0f} tokens computed an object{rate}"
