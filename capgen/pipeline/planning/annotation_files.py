"""The annotation files that a run was planned from, where they are still as they were."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from capgen.dataset.plan import PlanRecord
from capgen.dataset.reader import find_plan
from capgen.dataset.release_record import stem
from capgen.errors import UserError
from capgen.pipeline.planning.open_source import file_sha256
from capgen.pipeline.sources import SOURCES
from capgen.pipeline.sources.base import Source
from capgen.pipeline.sources.reading.json_splits import JsonSplits


def annotation_files(out: Path, root: Path | None = None) -> dict[str, Path]:
    """By split as a release spells it, the JSON file that it was planned from.

    None where one is missing or has changed, and of sources whose splits are no JSON files.

    OUT may come from a stranger: only capgen's own sources are asked, and only files whose sha256 is the recorded one
    are given.

    Args:
        root: where the dataset is now; None where it was when the run was planned.

    Raises:
        LedgerError: the plan is damaged.
    """
    record = find_plan(out)
    if record is None:
        return {}
    try:
        source = _source(record, root)
        parts = source.parts() if isinstance(source, JsonSplits) else ()
    except (UserError, TypeError, ValueError):  # the dataset is gone, or the settings are nobody's
        return {}
    files = {stem(part.split): part.path for part in parts}
    hashes = _recorded_hashes(record)
    splits = {stem(split) for split in record.table.splits}
    if files.keys() != splits or any(file_sha256(file) not in hashes for file in files.values()):
        return {}
    return files


def _source(record: PlanRecord, root: Path | None) -> Source:
    table = record.settings.get("source", {})
    name, options = table.get("type"), table.get("options", {})
    folder = root or (Path(record.root) if record.root else None)
    if name not in SOURCES.own or folder is None or not isinstance(options, Mapping):
        raise UserError(f"the source {name!r} is not known here")
    own = {"root": folder.resolve(), "split": table.get("split", "all"), "dataset": record.settings.get("dataset", "")}
    source: Source = SOURCES.build(name, {**options, **own}, "source")
    return source


def _recorded_hashes(record: PlanRecord) -> set[Any]:
    recorded = record.parts_now.get("source", {})
    return set(recorded.values()) if isinstance(recorded, Mapping) else set()
