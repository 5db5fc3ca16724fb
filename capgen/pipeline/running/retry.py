"""Ask again for objects that failed or were dropped, and for nothing else; the normal run does the asking.

The shards concerned are reopened (``carried.py``): their other rows are carried over as they stand. From then on this
is a run with unfinished shards: a kill is resumed, and the release made, as always.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from capgen.dataset.plan import ModelName, ShardTable
from capgen.dataset.reader import holds_media, read_columns, read_plan
from capgen.dataset.release_record import Release, read_release
from capgen.dataset.shards import Manifest, committed_manifest, is_committed
from capgen.encoding import read_text
from capgen.errors import UserError, did_you_mean
from capgen.layered_toml import merge, nested, sentence
from capgen.pipeline.asking.retry_state import REFUSED, earlier, is_reopened, reopen
from capgen.pipeline.planning.job import Job
from capgen.pipeline.planning.recorded_settings import check_fingerprint, refuse_unconfirmed, without_links
from capgen.pipeline.releasing import dedup
from capgen.pipeline.releasing.embedded import Embed
from capgen.pipeline.running.own_runs import own_run
from capgen.pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class Recorded:
    """What OUT itself says of its run: the settings, and what the rows call the model."""

    settings: Settings
    model: ModelName
    embed: Embed | None


def recorded(
    out: Path, overrides: Mapping[str, Any], assignments: Iterable[str] = (), *, trusted: bool = False
) -> Recorded:
    """The run in ``out``, with changes that a resume may make.

    Args:
        overrides, assignments: as for ``load_settings``.
        trusted: the user allows what ``refuse_unconfirmed`` would ask about.

    Raises:
        MissingFile: ``out`` holds no run.
        UserError: the captions were imported, an assignment is wrong, or OUT names a server, a key variable, a folder
            or code that neither the user nor the user's own record of the run gives.
        LedgerError: the plan's fingerprint is not that of its parts.
    """
    plan = read_plan(out)
    check_fingerprint(out, plan)
    if "import" in plan.parts:
        raise UserError(f"{out} holds imported captions: nothing was asked", "caption its dataset with capgen run")
    given = nested(overrides, assignments)
    if not trusted:
        own = own_run(out)
        refuse_unconfirmed(out, plan.settings, given, None if own is None else own.settings)
    settings = settings_with(without_links(plan.settings), overrides, assignments)
    release = read_release(out)
    if release is not None:
        return Recorded(settings, plan.model, embed_of(release))
    return Recorded(settings, plan.model, "media" if holds_media(out) else None)  # the record alone is gone


def settings_with(tables: Mapping[str, Any], overrides: Mapping[str, Any], assignments: Iterable[str]) -> Settings:
    """Recorded settings with changes.

    Raises:
        UserError: a change is malformed or not allowed.
    """
    try:
        return Settings.model_validate(merge(tables, nested(overrides, assignments)))
    except ValidationError as error:
        raise UserError(f"--set: {sentence(error, Settings)}", "correct it") from error


def ask_again(
    job: Job, table: ShardTable, codes: Sequence[str], refused: Collection[str] = frozenset()
) -> Counter[str]:
    """Reopen the shards that hold objects to be asked again; how many these are, by reason.

    Call it only while nobody writes to OUT. Shards that an earlier retry has reopened are finished by this one.

    Args:
        codes: reasons, as ``capgen status`` counts them (the first of each row); none is every reason of failed rows,
            or no reason at all where keys are ``refused``.
        refused: keys whose captions somebody finds wrong, and which are asked for further answers; failed objects too.

    Raises:
        UserError: the run was never finished, or no object has such a reason.
    """
    _check_finished(job, table)
    done: list[Manifest] = []
    for entry in table.shards:
        manifest = committed_manifest(job.out, entry.index, job.fingerprint)
        if manifest is not None:
            done.append(manifest)
    there = sum((Counter(manifest.failed) + Counter(manifest.dropped) for manifest in done), Counter[str]())
    if len(done) == len(table.shards):
        _check(codes, there, job.out)
    asked: Counter[str] = Counter()
    for manifest in done:
        wanted = set(codes or (() if refused else manifest.failed))
        again = _again(job.out, manifest.index, wanted, refused, dropped=bool(codes))
        if again:
            before = earlier(manifest.extra)
            reopen(job.out, manifest.index, job.journal_dir(manifest.index), again, before)
            asked.update(again.values())
    return asked


def read_keys(file: Path) -> list[str]:
    """Keys of objects, one a line.

    Raises:
        MissingFile: there is no such file.
        UserError: it cannot be read, or is not UTF-8 text.
    """
    text = read_text(file, "give a text file with a key a line, dataset/split/media_id/object_id")
    return [line.strip() for line in text.splitlines() if line.strip()]


def check_keys(out: Path, wanted: Collection[str]) -> None:
    """Find out whether a run has all objects that somebody names; those of unfinished shards count as had.

    Raises:
        UserError: it lacks one.
    """
    left = set(wanted)
    plan = read_plan(out)
    for entry in plan.shards:
        if not left or not is_committed(out, entry.index, plan.fingerprint):
            return
        left.difference_update(read_columns(out, entry.index, ["key"]).column("key").to_pylist())
    if left:
        more = f" and {len(left) - 1:,} more" if len(left) > 1 else ""
        raise UserError(
            f"no object of {out} has the key {min(left)!r}{more}", "keys are dataset/split/media_id/object_id"
        )


def reopen_grown(job: Job, table: ShardTable) -> None:
    """Reopen the shards that were finished before a larger limit added to them; all of their rows stay as they are.

    Call it only while nobody writes to OUT.
    """
    for entry in table.shards:
        manifest = committed_manifest(job.out, entry.index, job.fingerprint)
        if manifest is not None and manifest.rows < entry.objects:
            reopen(job.out, entry.index, job.journal_dir(entry.index), {}, earlier(manifest.extra))


def _check_finished(job: Job, table: ShardTable) -> None:
    """Refuse to retry while there are objects that were never asked for: nobody wants to caption those unawares.

    Raises:
        UserError: there are.
    """
    never = [
        entry
        for entry in table.shards
        if not is_committed(job.out, entry.index, job.fingerprint) and not is_reopened(job.journal_dir(entry.index))
    ]
    if never:
        raise UserError(
            f"{job.out} is not finished: {len(never)} of its {len(table.shards)} shards are still to be captioned",
            "run the `capgen run` command that began it to its end, then retry",
        )


def _again(out: Path, index: int, wanted: set[str], refused: Collection[str], *, dropped: bool) -> dict[str, str]:
    if not wanted and not refused:
        return {}
    columns = read_columns(out, index, ["key", "status", "reasons"]).to_pydict()
    again = {}
    for key, status, reasons in zip(columns["key"], columns["status"], columns["reasons"], strict=True):
        if reasons and reasons[0] in wanted and (dropped or status == "failed"):
            again[key] = reasons[0]
        elif key in refused:
            again[key] = reasons[0] if status == "failed" and reasons else REFUSED
    return again


def _check(codes: Sequence[str], there: Mapping[str, int], out: Path) -> None:
    for code in codes:
        if code in dedup.REASONS:
            raise UserError(
                f"--reason {code}: which captions repeat each other is decided when all are there",
                "run with --set dedup.enabled=false into another --out to release them",
            )
        if code not in there:
            known = ", ".join(f"{name} {count:,}" for name, count in sorted(there.items()))
            raise UserError(
                f"--reason {code}: no object of {out} has it{did_you_mean(code, there)}",
                f"there are: {known or 'none'}",
            )


def embed_of(release: Release) -> Embed | None:
    """The pictures that a release holds."""
    return "media" if release.embed_media else "crops" if release.embed == "crops" else None
