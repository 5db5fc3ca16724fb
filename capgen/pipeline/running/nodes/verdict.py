"""What is wrong with a machine, by what it said: a pure function of facts and needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from capgen.display import plain
from capgen.pipeline.running.nodes.needs import GIB, MIB, NodeNeeds

_PASSING = frozenset({"gpu", "memory", "shm", "scratch"})
"""Kinds of trouble that go away when something else ends."""
_SKEW_S = 300.0  # buckets refuse requests from 15 minutes on, and leases are renewed by the clock
_SHOWN = 4


@dataclass(frozen=True, slots=True)
class NodeTrouble:
    """One reason why a machine cannot work on a run.

    Args:
        kind: ``answer``, ``capgen``, ``python``, ``libraries``, ``out``, ``pictures``, ``model``, ``memory``,
            ``scratch``, ``shm``, ``gpu`` or ``clock``.
    """

    kind: str
    what: str
    remedy: str

    @property
    def passes(self) -> bool:
        """Whether it may be gone in a minute."""
        return self.kind in _PASSING

    def __str__(self) -> str:
        return plain(" ".join(f"{self.what}; {self.remedy}".split()))


@dataclass(frozen=True, slots=True)
class DriverFacts:
    """What the driver says of itself, to which machines are compared.

    Args:
        versions: of libraries; None where the driver has none and a machine's is compared to the others'.
    """

    capgen: Mapping[str, Any]
    python: str
    versions: Mapping[str, str | None]

    @classmethod
    def of(cls, facts: Mapping[str, Any], others: Iterable[Mapping[str, Any]] = ()) -> DriverFacts:
        """The driver's facts; a library that it lacks is compared to the version that most ``others`` have."""
        versions = dict(facts["versions"])
        told = [other["versions"] for other in others if "error" not in other["versions"]]
        for name in [name for name, version in versions.items() if version is None]:
            found = Counter(versions_of[name] for versions_of in told if versions_of.get(name))
            versions[name] = min(found, key=lambda version: (-found[version], version)) if found else None
        return cls(facts["capgen"], facts["python"], versions)


def troubles(
    facts: Mapping[str, Any], needs: NodeNeeds, driver: DriverFacts, *, engines: int = 1, free_gpus: int | None = None
) -> list[NodeTrouble]:
    """Everything that keeps a machine from the run; empty where it is fit.

    Args:
        facts: of the machine, see ``facts_of``.
        engines: how many it has room for.
        free_gpus: GPUs that Ray may still give to engines there; None where Ray was not asked.
    """
    told = _environment(facts, driver)
    if any(one.kind == "capgen" for one in told):
        return told  # what the others need of capgen says nothing
    return [
        *told,
        *_out(facts["out"], needs),
        *_pictures(facts["root"], needs),
        *_model(facts["model"]),
        *room_troubles(facts, needs, engines=engines, free_gpus=free_gpus),
    ]


def room_troubles(
    facts: Mapping[str, Any], needs: NodeNeeds, *, engines: int = 1, free_gpus: int | None = None
) -> list[NodeTrouble]:
    """What a machine has too little of for the run; all of it may be gone in a minute. See ``troubles``."""
    gpus = _gpus(facts["gpus"], needs, free_gpus) if needs.gpus and needs.loads_model else []
    return [*_room(facts, needs, engines), *gpus]


def _environment(facts: Mapping[str, Any], driver: DriverFacts) -> list[NodeTrouble]:
    """Another capgen, Python or library."""
    same = "run it from the same environment as the driver"
    there, here = facts["capgen"], driver.capgen
    if "error" in there:
        return [NodeTrouble("capgen", f"capgen cannot be looked at there: {there['error']}", same)]
    if there["version"] is None:
        return [NodeTrouble("capgen", "capgen is not installed there", f"pip install 'capgen=={here.get('version')}'")]
    if there["version"] != here.get("version"):
        what = f"capgen {there['version']} in {there['folder']}, the driver has {here.get('version')}"
        return [NodeTrouble("capgen", what, f"pip install 'capgen=={here.get('version')}'")]
    if there["code"] != here.get("code"):
        what = f"capgen {there['version']} in {there['folder']} has other code than the driver's"
        return [NodeTrouble("capgen", what, same)]
    if facts["python"] != driver.python:
        return [NodeTrouble("python", f"Python {facts['python']}, the driver has {driver.python}", same)]
    return _libraries(facts["versions"], driver)


def _libraries(versions: Mapping[str, Any], driver: DriverFacts) -> list[NodeTrouble]:
    if "error" in versions:
        return [NodeTrouble("libraries", f"its libraries cannot be listed: {versions['error']}", "mend that")]
    pairs = [(name, there, driver.versions.get(name)) for name, there in versions.items()]
    wrong = [
        f"{name} is {there or 'missing'}, the driver's {here or 'too'}"
        for name, there, here in pairs
        if _release(there) != _release(here) or there is None
    ]
    if not wrong:
        return []
    more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    return [NodeTrouble("libraries", f"{', '.join(wrong[:_SHOWN])}{more}", "install the same versions on all machines")]


def _release(version: str | None) -> str | None:
    """A version without what it was built for: ``2.13.0+cpu`` computes what ``2.13.0+cu130`` does."""
    return version.partition("+")[0] if version else None


def _out(out: Mapping[str, Any], needs: NodeNeeds) -> list[NodeTrouble]:
    if needs.out is None or not out:  # a machine that was not asked says nothing
        return []
    place = needs.url or str(needs.out)
    if "error" in out:
        remedy = "give this machine the bucket's library and credentials" if needs.url else "mend the mount"
        return [NodeTrouble("out", f"{place} cannot be used there: {out['error']}", remedy)]
    share = "mount the same file system at the same path, or give --out the URL of a bucket"
    match out["state"]:
        case "missing":
            return [NodeTrouble("out", f"it has no folder {place}", share)]
        case "other":
            return [NodeTrouble("out", f"{place} is another folder there than on the driver", share)]
        case "unwritable":
            what = f"{place} cannot be written there by user {out['user']} ({out['why']})"
            return [NodeTrouble("out", what, "give that user the right to write")]
    return []


def _pictures(root: Mapping[str, Any], needs: NodeNeeds) -> list[NodeTrouble]:
    if not root:
        return []
    place = needs.root_place
    remedy = "mount the same file system at the same path, or give --root the URL of a bucket"
    if "error" in root:
        return [NodeTrouble("pictures", f"the pictures of {place} cannot be read there: {root['error']}", remedy)]
    if root["state"] == "missing":
        return [NodeTrouble("pictures", f"it has no folder {place}", remedy)]
    if root["state"] == "other":
        name, found = root["wrong"][0], root["found"]
        differs = "is missing there" if found is None else f"has {found:,} bytes there, not {needs.files[name]:,}"
        return [NodeTrouble("pictures", f"{place}/{name} {differs}", remedy)]
    return []


def _model(model: Mapping[str, Any]) -> list[NodeTrouble]:
    if "error" in model:
        return [NodeTrouble("model", f"the model cannot be looked for: {model['error']}", "mend that")]
    return [NodeTrouble("model", model["what"], model["remedy"])] if model else []


def _room(facts: Mapping[str, Any], needs: NodeNeeds, engines: int) -> list[NodeTrouble]:
    """Too little memory, room for temporary files or shared memory."""
    found = []
    memory, scratch, shm = facts["memory"], facts["scratch"], facts["shm"]
    wanted = needs.memory * max(1, engines)
    if isinstance(memory, int) and memory < wanted:
        what = f"{memory / GIB:.1f} GiB of memory are free, and {_counted(engines)} at least {wanted / GIB:.1f}"
        found.append(NodeTrouble("memory", what, "end what holds it, or start fewer engines there"))
    if "free" in scratch and scratch["free"] < needs.scratch:
        what = f"{scratch['folder']} has {scratch['free'] / MIB:,.0f} MiB left, {needs.scratch / MIB:,.0f} are needed"
        found.append(NodeTrouble("scratch", what, "make room, or start Ray there with TMPDIR on another disk"))
    if isinstance(shm, int) and shm < needs.shm:
        what = f"/dev/shm has {shm / MIB:,.0f} MiB left, an engine needs {needs.shm / MIB:,.0f}"
        found.append(NodeTrouble("shm", what, "give the container --shm-size=16g or --ipc=host, or end what holds it"))
    return found


def _counted(engines: int) -> str:
    return "an engine takes" if engines < 2 else f"its {engines} engines take"


def _gpus(gpus: Any, needs: NodeNeeds, free_gpus: int | None) -> list[NodeTrouble]:
    """GPUs whose memory something else holds that Ray knows nothing of."""
    if gpus is None:
        return []
    if isinstance(gpus, Mapping):
        return [NodeTrouble("gpu", f"its GPUs do not answer: {gpus['error']}", "mend the driver (nvidia-smi)")]
    held = [gpu for gpu in gpus if gpu["free"] < needs.gpu_share * gpu["total"]]
    wanted = needs.gpus if free_gpus is None else free_gpus
    if len(gpus) - len(held) >= wanted:
        return []
    shown = ", ".join(
        f"GPU {gpu['index']} has {gpu['free'] / 1024:.1f} of {gpu['total'] / 1024:.1f} GiB free"
        for gpu in sorted(held, key=lambda gpu: int(gpu["free"]))[:_SHOWN]
    )
    if not held:
        return [NodeTrouble("gpu", f"it shows {len(gpus)} GPUs, {wanted} are needed", "lower --gpus")]
    what = f"{shown}, and an engine takes {needs.gpu_share:.0%}"
    return [NodeTrouble("gpu", what, "end what holds them (nvidia-smi), or start Ray there with CUDA_VISIBLE_DEVICES")]


def clock_trouble(behind_s: float) -> NodeTrouble | None:
    """A clock that differs by so many seconds from the driver's."""
    if abs(behind_s) < _SKEW_S:
        return None
    way = "behind" if behind_s > 0 else "ahead of"
    return NodeTrouble("clock", f"its clock is {abs(behind_s):,.0f} s {way} the driver's", "start NTP there (chrony)")
