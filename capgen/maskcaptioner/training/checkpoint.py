"""Checkpoints: the model as users load it, and beside it all that an exact continuation needs.

``OUT/checkpoints/step-00001000/``: ``model/`` (save_pretrained), ``state.pt`` (weights, optimizer, position),
``rng-0.pt`` (a process each). ``OUT/settings.json`` is what the training was started with. A checkpoint is written
beside its name and renamed, so a kill never leaves half of one.
"""

from __future__ import annotations

import json
import random
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from capgen.dataset.files import sync, telling_disk_trouble, write_whole
from capgen.dataset.layout import PART
from capgen.errors import CapgenError, UserError
from capgen.maskcaptioner.settings import TrainSettings

FREE = (
    "run.checkpoint_every",
    "run.keep",
    "run.log_every",
    "run.tensorboard",
    "run.wandb",
    "run.threads",
    "run.device",
)
"""Settings that change nothing of what is learnt: they may differ on resuming."""
_WITH_FILES = ("logs", "validation", "pictures", "cache")
_FREE_TABLES = ("validation.",)
_FREE_DATA = (
    *("data.workers", "data.threads", "data.prefetch", "data.cache_dir"),
    *("data.releases", "data.pictures", "data.follow_links"),
)


@dataclass(frozen=True, slots=True)
class Position:
    """How far a training is: ``step`` steps of all stages are done, by ``world`` processes."""

    step: int
    world: int


def begin(out: Path, settings: TrainSettings, data: Mapping[str, Any]) -> None:
    """Record what OUT is trained with, or compare it with the record.

    Args:
        data: counts of the data, which must be the same when a training goes on.

    Raises:
        UserError: OUT was trained with other settings or data; the first differences are named.
    """
    record = {"settings": json.loads(settings.model_dump_json()), "data": dict(data)}
    path = out / "settings.json"
    if not path.is_file():
        out.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(record, indent=1).encode() + b"\n")
        return
    try:
        before = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read ({error})", "give another --out") from error
    if not isinstance(before, dict):
        raise UserError(f"{path} is not the record of a training", "give another --out")
    differing = differences(before, record)
    if differing:
        more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
        raise UserError(
            f"{out} is a training with another configuration: {'; '.join(differing[:3])}{more}",
            "set it back to go on, or give another --out to start anew",
        )


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """``key is A there, B here`` for each setting that matters and differs, and for the data's counts."""
    old, new = _flat(before), _flat(now)
    keys = [key for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key) and not _is_free(key)]
    return [f"{key.removeprefix('settings.')} is {old.get(key)!r} there, {new.get(key)!r} here" for key in keys]


def _is_free(key: str) -> bool:
    name = key.removeprefix("settings.")
    return name in FREE + _FREE_DATA or name.startswith(_FREE_TABLES)


def _flat(tables: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tables.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def folder_of(out: Path, step: int) -> Path:
    """Where the checkpoint of a step is."""
    return out / "checkpoints" / f"step-{step:08d}"


def latest(out: Path) -> Path | None:
    """The last finished checkpoint."""
    found = sorted(path for path in (out / "checkpoints").glob("step-*") if path.suffix != PART)
    return found[-1] if found else None


def save(
    out: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    position: Position,
    *,
    rank: int,
    keep: int,
    wait: Callable[[], None],
) -> Path:
    """Write a checkpoint; every process calls it, ``wait`` holds each until all are there."""
    folder = folder_of(out, position.step)
    part = folder.with_name(folder.name + PART)
    if rank == 0:
        shutil.rmtree(part, ignore_errors=True)
        with telling_disk_trouble(out):
            part.mkdir(parents=True)
    wait()
    try:
        with telling_disk_trouble(out):
            _write(_rng(), part / f"rng-{rank}.pt")
            if rank == 0:
                model.save_pretrained(part / "model")
                state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "position": asdict(position)}
                _write(state, part / "state.pt")
                _sync_all(part)
    except CapgenError:
        shutil.rmtree(part, ignore_errors=True)  # it would keep the disk full
        raise
    wait()
    if rank == 0:
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
        sync(folder.parent)
        _forget(out, keep)
    wait()
    return folder


def save_model(out: Path, model: nn.Module) -> None:
    """Write ``OUT/model``, beside an older one until it is whole.

    Raises:
        DiskTrouble: the disk is full.
    """
    folder, part, old = (out / f"model{suffix}" for suffix in ("", PART, f".old{PART}"))
    remove_unfinished(out)
    try:
        with telling_disk_trouble(out):
            model.save_pretrained(part)
            _sync_all(part)
    except CapgenError:
        shutil.rmtree(part, ignore_errors=True)
        raise
    if folder.exists():
        folder.rename(old)
    part.rename(folder)
    sync(out)
    shutil.rmtree(old, ignore_errors=True)


def remove_unfinished(out: Path) -> None:
    """Delete what a killed training left half-written; call it only while nobody else writes to ``out``."""
    model, old = out / "model", out / f"model.old{PART}"
    if old.is_dir() and not model.exists():
        old.rename(model)  # it was killed between the two renames
    below = (part for name in _WITH_FILES for part in (out / name).rglob(f"*{PART}"))
    for part in (*out.glob(f"*{PART}"), *(out / "checkpoints").glob(f"*{PART}"), *below):
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def _write(content: Any, path: Path) -> None:
    with path.open("wb") as file:  # torch's own files hide what went wrong
        torch.save(content, file)


def _sync_all(folder: Path) -> None:
    for path in folder.rglob("*"):
        sync(path)


def _forget(out: Path, keep: int) -> None:
    found = sorted(path for path in (out / "checkpoints").glob("step-*") if path.suffix != PART)
    for path in found[:-keep]:
        shutil.rmtree(path, ignore_errors=True)


def load_state(folder: Path, *, world: int) -> dict[str, Any]:
    """Everything that ``save`` wrote but the random state.

    Raises:
        UserError: the checkpoint is damaged, or belongs to another number of processes.
    """
    state = _load(folder / "state.pt")
    with _own_content(folder / "state.pt"):
        there = Position(**state["position"]).world
        if not all(isinstance(value, torch.Tensor) for value in state["model"].values()):
            raise TypeError
        _ = state["optimizer"]["param_groups"]
    if there != world:
        raise UserError(
            f"{folder} was written by {there} processes, this is {world}",
            "start as many as before: the order of the data depends on it",
        )
    return state


@contextmanager
def _own_content(path: Path) -> Iterator[None]:
    """While what a training wrote is looked at: what has another form becomes one line."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        what = f"{path} is no state of a training"
        raise UserError(what, f"delete {path.parent} to go on from the checkpoint before") from error


def _load(path: Path) -> dict[str, Any]:
    """What torch wrote there.

    Raises:
        UserError: the file is missing, empty or damaged.
    """
    try:
        found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        _check_sums(path)
    except PermissionError:
        raise
    except Exception as error:  # torch raises whatever the bytes of a damaged file lead to
        what = "is missing" if not path.exists() else "is empty" if not path.stat().st_size else "is damaged"
        raise UserError(f"{path} {what}", f"delete {path.parent} to go on from the checkpoint before") from error
    return found


def _check_sums(path: Path) -> None:
    """Compare the checksums in a file of torch's, which torch itself does not.

    Raises:
        ValueError: a part of it was changed.
    """
    with zipfile.ZipFile(path) as archive:
        if (name := archive.testzip()) is not None:
            raise ValueError(f"{name} is not what was written")


def restore_weights(model: nn.Module, state: Mapping[str, Any], folder: Path) -> None:
    """Give a model the weights of a checkpoint.

    Raises:
        UserError: they are of another model; the first names and shapes that differ are said.
    """
    own, theirs = model.state_dict(), state["model"]
    shapes = {name: tuple(value.shape) for name, value in own.items()}
    found = {name: tuple(value.shape) for name, value in theirs.items()}
    differing = [name for name in dict.fromkeys([*shapes, *found]) if shapes.get(name) != found.get(name)]
    if differing:
        name = differing[0]
        raise UserError(
            f"{folder} holds another model: {len(differing)} weights differ, first {name}, "
            f"{found.get(name, 'absent')} there, {shapes.get(name, 'absent')} here",
            "give another --out, or the settings that it was trained with",
        )
    model.load_state_dict(theirs)


def restore_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any], folder: Path) -> None:
    """Give an optimizer its averages of a checkpoint.

    Raises:
        UserError: they are those of other weights.
    """
    with _own_content(folder / "state.pt"):
        optimizer.load_state_dict(state["optimizer"])


def _rng() -> dict[str, Any]:
    kind, keys, at, has_gauss, gauss = np.random.get_state()  # noqa: NPY002 - whoever draws from it must go on exactly
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), at, has_gauss, gauss),
    }


def restore_rng(folder: Path, rank: int) -> None:
    """Put the random generators where they were.

    Raises:
        UserError: this process has no random state in the checkpoint, or it is damaged.
    """
    state = _load(folder / f"rng-{rank}.pt")
    with _own_content(folder / f"rng-{rank}.pt"):
        torch.set_rng_state(state["torch"])
        if state["cuda"] is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(state["cuda"])
        version, internal, gauss_next = state["python"]
        random.setstate((version, tuple(internal), gauss_next))
        kind, keys, at, has_gauss, gauss = state["numpy"]
        np.random.set_state((kind, keys.numpy().astype(np.uint32), at, has_gauss, gauss))  # noqa: NPY002
