"""What this user has started, by OUT: a record outside of OUT from which ``capgen resume`` takes settings and devices.

An OUT that somebody else made may say anything, so it does not decide where pictures and keys go. The records lie in
``$XDG_STATE_HOME/capgen/runs`` (``~/.local/state`` where that is not set), one file for each OUT. A record counts only
while OUT's plan has the fingerprint that the record names.
"""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path
from typing import Any

import msgspec

from capgen.buckets.places import url_of
from capgen.dataset.files import write_whole
from capgen.dataset.plan import ModelName
from capgen.dataset.reader import read_plan
from capgen.pipeline.planning.job import Job

log = logging.getLogger(__name__)

_NAME = 32  # hex digits of the hash of OUT's place


class DeviceFlags(msgspec.Struct, frozen=True, kw_only=True):
    """``--gpus``, ``--tensor-parallel`` and ``--workers`` as they were given."""

    gpus: str | None = None
    tensor_parallel: int = 1
    workers: int = 1


class OwnRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that this user has started.

    Args:
        out: folder or URL of the run.
        folder: the working directory of the command; names of files in the settings are relative to it.
        fingerprint: of the run's plan.
        settings: the pipeline's settings as JSON.
        embed: pictures that are stored in the release: ``crops``, ``media`` or None.
        root_url: of the dataset's root where that is in a bucket.
        imported: whether the captions are somebody else's: there is nothing to go on with.
    """

    out: str
    folder: str
    fingerprint: str
    settings: dict[str, Any]
    model: ModelName
    devices: DeviceFlags = DeviceFlags()
    embed: str | None = None
    root_url: str | None = None
    imported: bool = False

    @property
    def root(self) -> str | None:
        """The folder of the pictures, from anywhere; None where the run had none, or has them in a bucket."""
        root = self.settings.get("source", {}).get("root")
        return None if root is None or self.root_url else str(Path(self.folder, root).resolve())


def note_run(job: Job, devices: DeviceFlags, embed: str | None) -> None:
    """Record a run that was planned or taken up; a record that cannot be written is a warning and ends nothing."""
    run = OwnRun(
        out=place_of(job.out),
        folder=str(Path.cwd()),
        fingerprint=job.fingerprint,
        settings=job.settings.model_dump(mode="json"),
        model=ModelName(job.model_name, job.model_revision),
        devices=devices,
        embed=embed,
        root_url=job.root_url,
    )
    _note(run)


def note_import(out: Path) -> None:
    """Record an import, as ``note_run`` does, so that its pictures are looked for where this user said they are."""
    plan = read_plan(out)
    source = {**plan.settings.get("source", {}), "root": plan.root}
    run = OwnRun(
        out=place_of(out),
        folder=str(Path.cwd()),
        fingerprint=plan.fingerprint,
        settings={**plan.settings, "source": source},
        model=plan.model,
        imported=True,
    )
    _note(run)


def _note(run: OwnRun) -> None:
    try:
        file = _file(run.out)
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(file, msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home
        log.warning("capgen resume will not know this run: its record cannot be written (%s)", error)


def own_run(out: Path) -> OwnRun | None:
    """The record of the run in ``out``; None where this user did not start it, or ``out`` holds another run by now.

    Raises:
        MissingFile: ``out`` holds no run.
    """
    plan = read_plan(out)
    place = place_of(out)
    try:
        run = msgspec.json.decode(_file(place).read_bytes(), type=OwnRun)
    except (OSError, RuntimeError, msgspec.DecodeError):
        return None
    return run if run.out == place and run.fingerprint == plan.fingerprint else None


def place_of(out: Path) -> str:
    """The folder with links resolved, or the URL of which it is the copy."""
    resolved = out.resolve()
    return url_of(resolved) or str(resolved)


def _file(place: str) -> Path:
    given = Path(os.environ.get("XDG_STATE_HOME", ""))
    state = given if given.is_absolute() else Path.home() / ".local" / "state"
    name = hashlib.sha256(os.fsencode(place)).hexdigest()[:_NAME]
    return state / "capgen" / "runs" / f"{name}.json"
