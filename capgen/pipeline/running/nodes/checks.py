"""Which machines of a Ray cluster may work on a run: each is asked before anything is placed on it."""

from __future__ import annotations

import logging
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from capgen.buckets.store import ObjectStore
from capgen.dataset.layout import RunLayout
from capgen.display import plain
from capgen.errors import Interrupted, UserError, first_line
from capgen.pipeline.running.cluster.waits import WaitNotices
from capgen.pipeline.running.nodes import facts
from capgen.pipeline.running.nodes.needs import NodeNeeds
from capgen.pipeline.running.nodes.verdict import DriverFacts, NodeTrouble, clock_trouble, room_troubles, troubles
from capgen.stop import Stop

log = logging.getLogger(__name__)

_NODE_ID = "ray.io/node-id"
_ROOM = ("memory", "scratch", "shm", "gpus")
_POLL_S = 0.5
_ANSWERS_S = 120.0  # a cold file system may take a minute to give a process its libraries
_OTHERS_S = 20.0  # so long a run waits for further machines once one is fit
_AGAIN_S = 60.0  # so long after a machine was found unfit it is asked again
_SOON_S = 10.0
_PATIENCE_S = 60.0  # so long a run waits for what another program holds on every machine
_WRITTEN_S = 5.0  # a shared file system may take seconds to show what another machine has written


@dataclass(frozen=True, slots=True)
class ClusterNode:
    """A machine of a cluster that could do something for a run.

    Args:
        name: for people: its host's name and address.
        engines: how many engines it has room for; with none it may still plan and pack.
    """

    id: str
    name: str
    engines: int


@dataclass(slots=True)
class _Unfit:
    since: float
    troubles: list[NodeTrouble]
    shown: str


@dataclass(slots=True)
class NodeChecks:
    """Asks machines, and knows which are fit. Use it as a context.

    Args:
        ray: the module, connected.
        needs: what the run needs of a machine.
        fit: by id, those on which anything of the run may be placed.
        told: what each machine said last, and by how many seconds its clock is behind.
    """

    ray: Any
    needs: NodeNeeds
    fit: dict[str, ClusterNode] = field(default_factory=dict)
    told: dict[str, dict[str, Any]] = field(default_factory=dict)
    _driver: dict[str, Any] = field(default_factory=dict)
    _unfit: dict[str, _Unfit] = field(default_factory=dict)
    _asked: dict[Any, tuple[ClusterNode, float, float]] = field(default_factory=dict)
    _free_gpus: dict[str, int] = field(default_factory=dict)

    def __enter__(self) -> NodeChecks:
        self._driver = facts.facts_of(self.needs.question("driver") | dict.fromkeys(("out", "root", "model")))
        needs = self.needs
        if needs.url is not None:
            ObjectStore(needs.url).write(needs.token_name, needs.token.encode())
        elif needs.out is not None:
            file = needs.out / needs.token_name
            shutil.rmtree(file.parent, ignore_errors=True)
            file.parent.mkdir()
            file.write_text(needs.token)
        return self

    def __exit__(self, *_: object) -> None:
        needs = self.needs
        if needs.url is not None:
            ObjectStore(needs.url).delete([needs.token_name])
        elif needs.out is not None:
            shutil.rmtree(needs.out / RunLayout.nodes_part, ignore_errors=True)

    @property
    def placement(self) -> dict[str, Any]:
        """The options of actors and tasks that may run on fit machines alone."""
        return {"label_selector": {_NODE_ID: f"in({','.join(sorted(self.fit))})"}} if self.fit else {}

    @property
    def room(self) -> int:
        """How many engines fit machines have room for."""
        return sum(node.engines for node in self.fit.values())

    @property
    def asking(self) -> bool:
        """Whether answers of machines are still to come."""
        return bool(self._asked)

    @property
    def unfit(self) -> Mapping[str, str]:
        """By the name of each machine that is left out, why."""
        return {unfit.shown: "; ".join(map(str, unfit.troubles)) for unfit in self._unfit.values()}

    def wait(self, stop: Stop) -> None:
        """Ask every machine, and wait for their answers; for late ones only until another is fit.

        Raises:
            UserError: none is fit that has room for an engine.
            Interrupted: the user ended the run.
        """
        begun, fit_at = time.monotonic(), None
        notices = WaitNotices()
        while True:
            self.look()
            if stop.asked:
                raise Interrupted
            now = time.monotonic()
            if self.room and fit_at is None:
                fit_at = now
            if not self._asked and (self.room or not self._may_pass(now - begun)):
                break
            if fit_at is not None and now - fit_at > _OTHERS_S:
                break
            late = ", ".join(node.name for node, _, _ in self._asked.values())
            notices.note(f"{late}: asked whether an engine may start there" if late else "a machine to become free")
            time.sleep(_POLL_S)
        if not self.room:
            raise self._nothing_left()

    def _may_pass(self, waited_s: float) -> bool:
        """Whether waiting makes sense although no machine is fit: something else holds what is wanted."""
        held = [one for one in self._unfit.values() if all(trouble.passes for trouble in one.troubles)]
        return bool(held) and waited_s < _PATIENCE_S

    def _nothing_left(self) -> UserError:
        if not self._unfit:
            wanted = f"{self.needs.gpus} GPUs" if self.needs.gpus else "a CPU"
            return UserError(f"no machine of the Ray cluster has {wanted} for an engine", "add one, or lower --gpus")
        if len(self._unfit) == 1:
            ((name, why),) = self.unfit.items()
            return UserError(f"the only machine of the Ray cluster, {name}, cannot be used: {why}")
        return UserError(
            f"none of the {len(self._unfit)} machines of the Ray cluster can be used: "
            + "; ".join(
                f"{name}: {unfit.troubles[0].what}"
                for name, unfit in zip(self.unfit, self._unfit.values(), strict=True)
            ),
            "mend what the lines above say of one of them, and run the same command again",
        )

    def look(self) -> bool:
        """Ask machines that are new, and unfit ones now and then; hear answers. True where another one is fit now."""
        there = {node.id: node for node in self._nodes()}
        for known in (self.fit, self._unfit, self.told):
            for gone in [node for node in known if node not in there]:
                del known[gone]
        self._ask(there.values())
        before = set(self.fit)
        heard = self._hear()
        for node, answer in heard:
            self._judge(node, answer)
        return bool(set(self.fit) - before)

    def _nodes(self) -> list[ClusterNode]:
        """The machines that live and have a CPU to give; only those may be asked for anything."""
        alive = [node for node in self.ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
        names = Counter((node["NodeManagerHostname"], node["NodeManagerAddress"]) for node in alive)
        found = []
        for node in alive:
            host, address, number = node["NodeManagerHostname"], node["NodeManagerAddress"], node["NodeID"]
            same = f", {number[:8]}" if names[host, address] > 1 else ""
            gpus = self.needs.gpus
            room = int(node["Resources"].get("GPU", 0) // gpus) if gpus else int(node["Resources"]["CPU"])
            found.append(ClusterNode(number, f"{host} ({address}{same})", room))
        return found

    def _ask(self, nodes: Iterable[ClusterNode]) -> None:
        waiting = {node.id for node, _, _ in self._asked.values()}
        now = time.monotonic()
        due = [
            node
            for node in nodes
            if node.id not in self.fit and node.id not in waiting and now - self._since(node.id) >= self._again_s
        ]
        if not due:
            return
        free = self._free_of_cluster()
        self.ray.cloudpickle.register_pickle_by_value(facts)
        try:
            kind = self.ray.remote(facts.facts_of)
            for node in due:
                options = {"num_cpus": 0, "max_retries": 0, "name": "node check"}
                strategy = {"label_selector": {_NODE_ID: node.id}}
                question = self.needs.question(node.id, engine=node.engines > 0)
                ref = kind.options(**options, **strategy).remote(question)
                self._asked[ref] = (node, time.time(), now)
                self._free_gpus[node.id] = free.get(node.id, 0)
        finally:
            self.ray.cloudpickle.unregister_pickle_by_value(facts)

    def _since(self, number: str) -> float:
        return self._unfit[number].since if number in self._unfit else float("-inf")

    @property
    def _again_s(self) -> float:
        return _AGAIN_S if self.room else _SOON_S

    def _free_of_cluster(self) -> dict[str, int]:
        """By machine, the GPUs that Ray has not given to anybody."""
        from ray._private.state import available_resources_per_node

        return {node: int(free.get("GPU", 0)) for node, free in available_resources_per_node().items()}

    def _hear(self) -> list[tuple[ClusterNode, dict[str, Any] | NodeTrouble]]:
        """The answers that have come, and what stands for those that will not come any more."""
        if not self._asked:
            return []
        ready, _ = self.ray.wait(list(self._asked), num_returns=len(self._asked), timeout=0)
        heard: list[tuple[ClusterNode, dict[str, Any] | NodeTrouble]] = []
        for ref in ready:
            node, sent, _ = self._asked.pop(ref)
            try:
                answer = self.ray.get(ref)
            except self.ray.exceptions.RayError as error:
                why = f"it did not answer: {first_line(error)}"
                heard.append((node, NodeTrouble("answer", why, "look at Ray's logs there (/tmp/ray/session_latest)")))
                continue
            now = time.time()
            answer["behind_s"] = max(0.0, sent - answer["time"]) or min(0.0, now - answer["time"])
            self.told[node.id] = answer
            heard.append((node, answer))
        for ref, (node, _, at) in list(self._asked.items()):
            if time.monotonic() - at > _ANSWERS_S:
                del self._asked[ref]
                self.ray.cancel(ref, force=True)
                what = f"it did not answer within {_ANSWERS_S:.0f} s"
                heard.append((node, NodeTrouble("answer", what, "look for a mount that hangs there")))
        return heard

    def _judge(self, node: ClusterNode, answer: dict[str, Any] | NodeTrouble) -> None:
        found = [answer] if isinstance(answer, NodeTrouble) else self._troubles(node, answer)
        before = self._unfit.pop(node.id, None)
        if not found:
            self.fit[node.id] = node
            if before is not None:
                log.warning("node %s is fit by now: engines may start there", node.name)
            return
        self._unfit[node.id] = _Unfit(time.monotonic(), found, node.name)
        if before is None or [one.kind for one in before.troubles] != [one.kind for one in found]:
            also = f" (also: {', '.join(one.what for one in found[1:])})" if found[1:] else ""
            log.warning("node %s is left out: %s%s", node.name, found[0], plain(also))

    def _troubles(self, node: ClusterNode, answer: dict[str, Any]) -> list[NodeTrouble]:
        driver = DriverFacts.of(self._driver, self.told.values())
        free = self._free_gpus.get(node.id, 0)
        engines = max(1, min(node.engines, free // self.needs.gpus)) if self.needs.gpus else 1
        found = troubles(answer, self.needs, driver, engines=engines, free_gpus=free)
        late = clock_trouble(answer["behind_s"])
        if late is not None:
            found.append(late)
        if self.needs.out is not None and answer["out"].get("state") == "ok" and not self._written(node.id):
            place = self.needs.url or self.needs.out
            what = f"what it writes to {place} is not seen by the driver"
            found.append(NodeTrouble("out", what, "mount the same file system at the same path"))
        return found

    def _written(self, number: str) -> bool:
        """Whether what a machine wrote into OUT is there."""
        needs = self.needs
        assert needs.out is not None
        until = time.monotonic() + _WRITTEN_S
        while True:
            try:
                if needs.url is None:
                    file = needs.out / needs.answer_name(number)
                    found = file.read_text()
                    file.unlink()
                else:
                    store = ObjectStore(needs.url)
                    found = store.read(needs.answer_name(number)).decode()
                    store.delete([needs.answer_name(number)])
            except FileNotFoundError:
                if time.monotonic() > until:
                    return False
                time.sleep(_POLL_S)
                continue
            return found == needs.expected(number)


def room_here(needs: NodeNeeds) -> tuple[dict[str, Any], list[NodeTrouble]]:
    """What this machine has of memory, disk and GPUs, see ``facts_of``, and what of that is too little for a run."""
    told = facts.facts_of(needs.question("here"), _ROOM)
    return told, room_troubles(told, needs)


def check_here(needs: NodeNeeds, stop: Stop) -> None:
    """That this machine has room for the engines of a run of its own; what something else holds is waited for.

    Raises:
        UserError: it has not, after a minute.
        Interrupted: the user ended the run.
    """
    notices, until = WaitNotices(0.0), time.monotonic() + _PATIENCE_S
    while True:
        _, found = room_here(needs)
        if not found:
            return
        if time.monotonic() > until:
            raise UserError(f"this machine cannot run the engine: {found[0].what}", found[0].remedy)
        if stop.asked:
            raise Interrupted
        notices.note(str(found[0]))
        time.sleep(_SOON_S / 2)
