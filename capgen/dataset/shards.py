"""Finished shards on disk: ``OUT/candidates/00012.parquet``, then its manifest ``00012.json``.

A shard is done when both are there and agree. Everything that differs from run to run (times, rates, engine counts) is
in the manifest, so that the Parquet file of equal rows is the same byte for byte.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from capgen.dataset.files import open_parquet, part_of, publish, remove_parts, sha256_of, write_whole
from capgen.dataset.layout import RunLayout
from capgen.dataset.plan import PlanRecord, ShardEntry
from capgen.dataset.row import Row
from capgen.dataset.schema import CANDIDATES, SCHEMA_VERSION
from capgen.errors import LedgerError

_GROUP_ROWS = 500
_SHOWN = 120
_TIMES = ("started", "finished", "seconds")


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is recorded of a committed shard.

    Args:
        kept: rows with a caption that every check let pass.
        dropped, failed: rows by the first of their reasons.
        reasons: rows by any of their reasons.
        examples: by first reason, what the first such row says of it, so that nobody has to read rows to see one.
        sha256, bytes: of the Parquet file ``file``.
        started, finished, seconds: when the shard was worked on, and for how long.
        extra: what the engine and the checks counted.
    """

    version: str
    index: int
    fingerprint: str
    file: str
    rows: int
    kept: int
    dropped: dict[str, int]
    failed: dict[str, int]
    reasons: dict[str, int]
    examples: dict[str, str] = {}
    sha256: str
    bytes: int
    started: str | None = None
    finished: str | None = None
    seconds: float | None = None
    extra: dict[str, Any] = {}


class ShardState(StrEnum):
    """Where a shard stands; only ``committed`` is done."""

    COMMITTED = "committed"
    ABSENT = "not written yet"
    NO_MANIFEST = "a Parquet file without its manifest: the commit was cut off"
    NO_PARQUET = "a manifest without its Parquet file"
    BAD_MANIFEST = "its manifest cannot be read"
    OTHER_FINGERPRINT = "written by a run with another fingerprint"
    DAMAGED = "its Parquet file differs from its manifest"


def candidates_path(out: Path, index: int) -> Path:
    """The Parquet file of a shard."""
    return RunLayout(out).candidates(index)


def manifest_path(out: Path, index: int) -> Path:
    """The manifest of a shard."""
    return RunLayout(out).manifest(index)


def write_candidates(rows: Iterable[Row], out: Path, index: int, manifest_extra: Mapping[str, Any]) -> Manifest:
    """Commit a shard: its Parquet file, then its manifest, each by one rename. An earlier commit is withdrawn first.

    Args:
        rows: every row of the shard, in the order of the plan.
        manifest_extra: ``fingerprint`` of the run, ``started``, ``finished`` and ``seconds`` where known, and
            anything else that JSON can hold, which goes to the manifest's ``extra``.

    Raises:
        LedgerError: a key comes twice, a row says another key than its ids, or its status and reasons disagree.
    """
    path = candidates_path(out, index)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(path)
    tally = _Tally()
    try:
        with open_parquet(part, CANDIDATES) as writer:
            rows = iter(rows)
            while group := list(islice(rows, _GROUP_ROWS)):
                for row in group:
                    tally.add(row, path)
                writer.write_table(to_table(group))
        manifest_path(out, index).unlink(missing_ok=True)
        publish(part, path)
    finally:
        part.unlink(missing_ok=True)
    extra = dict(manifest_extra)
    fingerprint = str(extra.pop("fingerprint"))
    times = {name: extra.pop(name) for name in _TIMES if name in extra}
    manifest = Manifest(
        version=SCHEMA_VERSION,
        index=index,
        fingerprint=fingerprint,
        file=path.name,
        rows=len(tally.keys),
        kept=tally.kept,
        dropped=dict(sorted(tally.dropped.items())),
        failed=dict(sorted(tally.failed.items())),
        reasons=dict(sorted(tally.reasons.items())),
        examples=dict(sorted(tally.examples.items())),
        sha256=sha256_of(path),
        bytes=path.stat().st_size,
        **times,
        extra=extra,
    )
    write_whole(manifest_path(out, index), msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
    return manifest


class _Tally:
    """Counts of a shard's rows, and the only place where a row's own consistency is held."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.kept = 0
        self.dropped: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.examples: dict[str, str] = {}

    def add(self, row: Row, path: Path) -> None:
        if row.key != row.key_of(row.object_id):
            raise LedgerError(f"{path}: the row of {row.key} has the ids of another object")
        if row.key in self.keys:
            raise LedgerError(f"{path}: the key {row.key} comes twice")
        if (row.status == "kept") != (not row.reasons) or (row.status == "kept" and row.caption is None):
            raise LedgerError(f"{path}: {row.key} is {row.status} with reasons {list(row.reasons)}")
        self.keys.add(row.key)
        self.kept += row.status == "kept"
        self.reasons.update(set(row.reasons))
        if row.status != "kept":
            (self.dropped if row.status == "dropped" else self.failed)[row.reasons[0]] += 1
            if row.reasons[0] not in self.examples:
                self.examples[row.reasons[0]] = example_text(row.message or row.reasons[0], row.caption)


def example_text(said: str, caption: str | None = None) -> str:
    """What an object says of its reason, and of a dropped caption the beginning."""
    if not caption:
        return said
    return f"{said}: {caption}" if len(caption) <= _SHOWN else f"{said}: {caption[: _SHOWN - 1]}…"


def to_table(rows: list[Row]) -> pa.Table:
    """Rows as an Arrow table of the candidates' schema."""
    columns: dict[str, list[Any]] = {name: [getattr(row, name) for row in rows] for name in CANDIDATES.names}
    for name in ("answers", "fits"):
        columns[name] = [msgspec.to_builtins(values) for values in columns[name]]
    return pa.Table.from_pydict(columns, CANDIDATES)


def read_manifest(out: Path, index: int) -> Manifest | None:
    """The manifest of a shard; None where there is none.

    Raises:
        LedgerError: there is one, but it is not readable.
    """
    path = manifest_path(out, index)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        return None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise LedgerError(
            f"{path} is not a shard's manifest ({error}); delete it to have the shard made again"
        ) from error


def shard_state(out: Path, index: int, fingerprint: str, *, deep: bool = False) -> ShardState:
    """Where a shard stands under a run's fingerprint; ``deep`` also reads its Parquet file and compares the sha256."""
    try:
        manifest = read_manifest(out, index)
    except LedgerError:
        return ShardState.BAD_MANIFEST
    return _state_by(manifest, candidates_path(out, index), fingerprint, deep=deep)


def _state_by(manifest: Manifest | None, path: Path, fingerprint: str, *, deep: bool) -> ShardState:
    """Where a shard stands by its manifest, if it has one, and its Parquet file ``path``."""
    if manifest is None:
        return ShardState.NO_MANIFEST if path.exists() else ShardState.ABSENT
    if manifest.fingerprint != fingerprint:
        return ShardState.OTHER_FINGERPRINT
    if not path.exists():
        return ShardState.NO_PARQUET
    same = path.stat().st_size == manifest.bytes and (not deep or sha256_of(path) == manifest.sha256)
    return ShardState.COMMITTED if same else ShardState.DAMAGED


def committed_manifest(out: Path, index: int, fingerprint: str) -> Manifest | None:
    """The manifest of a shard that is done; None where it is not done.

    The manifest is read once: another writer may withdraw it at any time.
    """
    try:
        manifest = read_manifest(out, index)
    except LedgerError:
        return None
    state = _state_by(manifest, candidates_path(out, index), fingerprint, deep=False)
    return manifest if state is ShardState.COMMITTED else None


def is_committed(out: Path, index: int, fingerprint: str, *, deep: bool = False) -> bool:
    """Whether a shard is done; see ``shard_state``."""
    return shard_state(out, index, fingerprint, deep=deep) is ShardState.COMMITTED


def finished_shards(out: Path, plan: PlanRecord) -> Iterator[ShardEntry]:
    """The shards of a run that are done, in the order of the plan."""
    return (entry for entry in plan.shards if is_committed(out, entry.index, plan.fingerprint))


def damage_of(out: Path, index: int, fingerprint: str) -> str | None:
    """How a shard that was done differs from what its manifest says, with the file; None where it does not."""
    state = shard_state(out, index, fingerprint)
    if state not in (ShardState.DAMAGED, ShardState.NO_PARQUET, ShardState.BAD_MANIFEST):
        return None
    path = manifest_path if state is ShardState.BAD_MANIFEST else candidates_path
    return f"{path(out, index)}: {state.value}"


def withdraw(out: Path, index: int) -> None:
    """Undo the commit of a shard, so that it is asked anew; call it only while no worker writes to ``out``."""
    manifest_path(out, index).unlink(missing_ok=True)
    candidates_path(out, index).unlink(missing_ok=True)


def examples_of(manifests: Iterable[Manifest]) -> dict[str, str]:
    """An example of each reason over several shards: that of the first shard which has one."""
    found: dict[str, str] = {}
    for manifest in manifests:
        found = {**manifest.examples, **found}
    return dict(sorted(found.items()))


def such_as(example: str | None) -> str:
    """`` (such as: ...)``, to stand after a reason and its count; empty where no example is known."""
    return f" (such as: {' '.join(example.split())})" if example else ""


def remove_leftovers(out: Path) -> list[Path]:
    """Delete half-written files of killed workers; call it only while no worker writes to ``out``."""
    return remove_parts(RunLayout(out).candidates_dir)
