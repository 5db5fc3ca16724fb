"""What a machine says of itself. Ray sends these functions to nodes by value: nothing of capgen has to be there.

So that a node with another capgen, or with none, still answers, this module imports the standard library alone,
question and answer are plain dictionaries, and what needs capgen is imported where it is used.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

_SMI = "index,name,memory.total,memory.free,driver_version"
_SMI_S = 60


def facts_of(question: Mapping[str, Any], only: Collection[str] = ()) -> dict[str, Any]:
    """The answers to a question, which ``NodeNeeds.question`` makes.

    A part that could not be found out is ``{"error": TEXT}``.

    Args:
        only: the parts to find out; none is all.

    Returns:
        ``host``; ``time`` in seconds since 1970; ``python``; ``capgen`` and ``versions``; ``out``, ``root``, ``model``;
        ``memory``, ``scratch`` and ``shm`` in free bytes; ``gpus``.
    """
    parts: dict[str, Callable[[Mapping[str, Any]], Any]] = {
        "capgen": _capgen,
        "versions": _versions,
        "out": _out,
        "root": _root,
        "model": _model,
        "memory": _memory,
        "scratch": _scratch,
        "shm": _shm,
        "gpus": _gpus,
    }
    told: dict[str, Any] = {"host": socket.gethostname(), "time": time.time(), "python": platform.python_version()}
    for name, look in parts.items():
        if only and name not in only:
            continue
        try:
            told[name] = look(question)
        except Exception as error:  # noqa: BLE001 - whatever a machine runs into is its answer
            told[name] = {"error": " ".join(f"{type(error).__name__}: {error}".split())[:300]}
    return told


def _capgen(_: Mapping[str, Any]) -> dict[str, Any]:
    """Version, and a digest of all modules: two checkouts of one version may differ."""
    found = importlib.util.find_spec("capgen")
    if found is None or not found.submodule_search_locations:
        return {"version": None}
    folder = Path(next(iter(found.submodule_search_locations)))
    said = re.search(r'^__version__ = "([^"]+)"', (folder / "__init__.py").read_text(encoding="utf-8"), re.MULTILINE)
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes())
    return {"version": said[1] if said else "unknown", "code": digest.hexdigest(), "folder": str(folder)}


def _versions(question: Mapping[str, Any]) -> dict[str, str | None]:
    """By library, its version; of a library that goes by several names, that of the first which is installed."""
    found: dict[str, str | None] = {}
    for library, names in question["libraries"].items():
        found[library] = None
        for name in names:
            try:
                found[library] = importlib.metadata.version(name)
                break
            except importlib.metadata.PackageNotFoundError:
                continue
    return found


def _out(question: Mapping[str, Any]) -> dict[str, Any]:
    """Read the driver's token in OUT, and write one back.

    ``state`` is ``ok``, ``missing``, ``other`` (there is a folder, without the token) or ``unwritable``.
    """
    out = question.get("out")
    if out is None:
        return {}
    answer = f"{out['token']} {question['node']}"
    return _out_in_bucket(out, answer) if out["url"] else _out_in_folder(out, answer)


def _out_in_bucket(out: Mapping[str, Any], answer: str) -> dict[str, Any]:
    from capgen.buckets.store import ObjectStore

    store = ObjectStore(out["url"])
    same = store.read(out["token_file"]).decode() == out["token"]
    store.write(out["answer_file"], answer.encode())
    Path(out["folder"]).mkdir(parents=True, exist_ok=True)  # its copy on this machine
    return {"state": "ok" if same else "other", "free": shutil.disk_usage(out["folder"]).free}


def _out_in_folder(out: Mapping[str, Any], answer: str) -> dict[str, Any]:
    folder = Path(out["folder"])
    if not folder.is_dir():
        return {"state": "missing"}
    try:
        if (folder / out["token_file"]).read_text() != out["token"]:
            return {"state": "other"}
    except FileNotFoundError:
        return {"state": "other"}
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        descriptor = os.open(folder / out["answer_file"], flags, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(answer)
    except OSError as error:
        return {"state": "unwritable", "why": os.strerror(error.errno or 0), "user": os.getuid()}
    return {"state": "ok", "free": shutil.disk_usage(folder).free}


def _root(question: Mapping[str, Any]) -> dict[str, Any]:
    """Whether the pictures are here: ``wrong`` names the first that is missing or of another size."""
    root = question.get("root")
    if root is None:
        return {}
    if root["url"]:
        from capgen.buckets.store import ObjectStore

        store = ObjectStore(root["url"])
        if not root["files"]:
            store.check()
        sizes = {name: store.size(name) for name in root["files"]}
    else:
        folder = Path(root["folder"])
        if not folder.is_dir():
            return {"state": "missing"}
        sizes = {name: _size(folder / name) for name in root["files"]}
    wrong = [name for name, size in root["files"].items() if sizes[name] != size]
    return {"state": "other" if wrong else "ok", "wrong": wrong[:1], "found": sizes[wrong[0]] if wrong else None}


def _size(file: Path) -> int | None:
    """Bytes of a file that can be read; None where there is none."""
    try:
        with file.open("rb") as opened:
            opened.read(1)
        return file.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return None


def _model(question: Mapping[str, Any]) -> dict[str, Any]:
    """Whether the model is here or can be fetched: ``what`` is wrong, and the ``remedy``; empty where nothing is."""
    model = question.get("model")
    if model is None:
        return {}
    for name, size in model["files"].items():
        found = _size(Path(model["id"], name))
        if found != size:
            what = "is missing" if found is None else f"has {found:,} bytes, not {size:,}"
            return {
                "what": f"the model's file {Path(model['id'], name)} {what}",
                "remedy": "copy the model there, to the same path",
            }
    if model["files"]:
        return {}
    from capgen.errors import UserError
    from capgen.pipeline.planning.preflight import check_model
    from capgen.pipeline.settings import Settings

    try:
        check_model(Settings.model_validate_json(model["settings"]))
    except UserError as error:
        return {"what": error.what, "remedy": error.remedy}
    return {}


def _memory(_: Mapping[str, Any]) -> int:
    """Bytes that are free in this machine and in its container."""
    free = next(
        int(line.split()[1]) * 1024
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemAvailable:")
    )
    group = Path("/sys/fs/cgroup")
    try:
        most = (group / "memory.max").read_text().strip()
        used = int((group / "memory.current").read_text())
        kept = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return free
    return free if most == "max" else min(free, int(most) - used + int(kept.get("inactive_file", 0)))


def _scratch(_: Mapping[str, Any]) -> dict[str, Any]:
    """The folder for temporary files, and what is free there."""
    folder = tempfile.gettempdir()
    return {"folder": folder, "free": shutil.disk_usage(folder).free}


def _shm(_: Mapping[str, Any]) -> int | None:
    """Free bytes of shared memory; None where the machine has no ``/dev/shm``."""
    return shutil.disk_usage("/dev/shm").free if Path("/dev/shm").is_dir() else None


def _gpus(question: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Every GPU of this machine, with its memory in MiB; None where nobody can tell."""
    if not question["gpus"] or shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", f"--query-gpu={_SMI}", "--format=csv,noheader,nounits"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SMI_S, check=False)
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines() or ["nvidia-smi failed"]
        raise OSError(lines[0])
    found = []
    for line in done.stdout.splitlines():
        index, name, total, free, driver = (part.strip() for part in line.split(","))
        found.append({"index": index, "name": name, "total": int(total), "free": int(free), "driver": driver})
    return found
