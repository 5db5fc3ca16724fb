"""``--metrics-port`` and ``--metrics-host`` of the verbs that ask."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Annotated, Any

import typer

from capgen.display import echo, note
from capgen.errors import UserError
from capgen.pipeline.running.metrics.run_metrics import RunMetrics

_LOOPBACK = "127.0.0.1"

_PortFlag = Annotated[
    int | None,
    typer.Option(
        metavar="PORT", min=0, max=65535, help="Serve Prometheus metrics of the run on this port; 0 takes a free one."
    ),
]
_HostFlag = Annotated[
    str | None,
    typer.Option(
        metavar="HOST",
        help=f"Address that the metrics are served on. Default: {_LOOPBACK}, which only this machine reaches.",
    ),
]


def with_metrics(verb: Callable[..., None]) -> Callable[..., None]:
    """Gives a verb ``--metrics-port`` and ``--metrics-host``; its argument ``metrics`` is what is served there.

    The server is there before the verb begins, so that a port in use ends the command at once.
    """
    flags = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=flag)
        for name, flag in (("metrics_port", _PortFlag), ("metrics_host", _HostFlag))
    ]

    @wraps(verb)
    def served(*args: Any, metrics_port: int | None = None, metrics_host: str | None = None, **options: Any) -> None:
        with _served(metrics_port, metrics_host) as metrics:
            verb(*args, metrics=metrics, **options)

    signature = inspect.signature(verb, eval_str=True)
    parameters = [one for name, one in signature.parameters.items() if name != "metrics"]
    served.__signature__ = signature.replace(parameters=[*parameters, *flags])  # type: ignore[attr-defined]
    return served


@contextmanager
def _served(port: int | None, host: str | None) -> Iterator[RunMetrics | None]:
    """The metrics that are served at an address; None without a port.

    Raises:
        UserError: there is a host without a port, or nothing can be served there.
    """
    if port is None:
        if host is not None:
            raise UserError("--metrics-host says where --metrics-port is", "give --metrics-port too")
        yield None
        return
    from capgen.pipeline.running.metrics.server import serving

    metrics = RunMetrics()
    with serving(metrics, host or _LOOPBACK, port) as where:
        tell = note if port else echo  # nobody knows a free port who is not told
        tell(f"metrics: {where}", stderr=True)
        yield metrics
