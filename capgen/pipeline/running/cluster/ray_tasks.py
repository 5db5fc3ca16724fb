"""Parts of the work as tasks of a Ray cluster; every machine of it must see the run's folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from capgen.errors import CapgenError, first_line
from capgen.pipeline.running.cluster.waits import WaitNotices
from capgen.pipeline.running.nodes.checks import NodeChecks
from capgen.pipeline.tasks import Item, Result, TaskLost, Tell, counted, in_order, nothing, tune_worker

_RETRIES = 3
_EACH_CPU = 2
_LONG_S = 60.0


class RayTasks:
    """Tasks of one CPU each, spread over the nodes; one whose machine is lost is done again elsewhere.

    Args:
        ray: the module, connected.
        nodes: the machines that are fit; None takes all.
    """

    def __init__(self, ray: Any, nodes: NodeChecks | None = None) -> None:
        self._ray, self._nodes = ray, nodes

    def map(
        self,
        work: Callable[[Item, Tell], Result],
        items: Sequence[Item],
        tell: Tell = nothing,
        *,
        idle: Tell = nothing,
        memory: int = 0,
    ) -> Iterator[Result]:
        """See ``TaskRunner``."""
        options: dict[str, Any] = {"num_cpus": 1, "max_retries": _RETRIES, "scheduling_strategy": "SPREAD"}
        if memory:
            options["memory"] = memory
        if self._nodes is not None:
            self._nodes.look()
            options |= self._nodes.placement
        kind = self._ray.remote(_part).options(name=work.__name__.strip("_"), **options)
        at_once = _EACH_CPU * max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        yield from in_order(_RayCalls(self._ray, kind, work), items, at_once, tell, idle)


def _part(work: Callable[[Any, Tell], Any], item: Any) -> tuple[Any, int]:
    tune_worker()
    return counted(work, item)


class _RayCalls:
    """Calls of a remote function."""

    def __init__(self, ray: Any, kind: Any, work: Callable[[Any, Tell], Any]) -> None:
        self._ray, self._kind, self._work = ray, kind, work
        self._waits = WaitNotices(_LONG_S)

    def send(self, item: Any) -> Any:
        return self._kind.remote(self._work, item)

    def ended(self, running: Sequence[Any], seconds: float) -> Iterable[Any]:
        if not running:
            return ()
        self._ray.wait(list(running), timeout=seconds)
        ready: list[Any] = self._ray.wait(list(running), num_returns=len(running), timeout=0)[0]
        idle = not ready and self._ray.available_resources().get("CPU", 0) < 1
        self._waits.note(
            "no CPU of the Ray cluster is free for a task; end what holds it, or add a node" if idle else None
        )
        return ready

    def take(self, call: Any) -> tuple[Any, int]:
        try:
            result: tuple[Any, int] = self._ray.get(call)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, CapgenError | OSError):
                raise error.cause from None
            raise
        except self._ray.exceptions.RayError as error:
            raise TaskLost(first_line(error)) from error
        return result

    def drop(self, running: Iterable[Any]) -> None:
        for call in running:
            with suppress(self._ray.exceptions.RayError, ValueError):
                self._ray.cancel(call, force=True)
