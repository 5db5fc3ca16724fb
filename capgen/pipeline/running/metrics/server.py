"""The HTTP server that Prometheus scrapes while a run goes on: ``/metrics`` and nothing else.

On the loopback address it answers under this machine's own names alone: a web page whose name its owner points at
127.0.0.1 could read it otherwise (DNS rebinding).
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from capgen.errors import UserError
from capgen.listening import address, listen, own_names
from capgen.pipeline.running.metrics.run_metrics import RunMetrics

log = logging.getLogger(__name__)

PATH = "/metrics"
_POLL_S = 0.2
_PATIENCE_S = 10.0


@contextmanager
def serving(metrics: RunMetrics, host: str, port: int) -> Iterator[str]:
    """Serve the metrics while the block runs; gives the address.

    Args:
        port: 0 takes a free one.

    Raises:
        UserError: prometheus_client is not installed, or the address cannot be listened on.
    """
    app = _metrics_app(metrics)
    listener = listen(host, port, "give another --metrics-port or --metrics-host")
    at, port = listener.getsockname()[:2]
    names = own_names(host, port) if ipaddress.ip_address(at).is_loopback else None
    server = _MetricsServer(listener, _guarded(app, names))
    thread = threading.Thread(target=server.serve_forever, args=(_POLL_S,), name="metrics", daemon=True)
    thread.start()
    try:
        yield f"{address(host, port)}{PATH}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _metrics_app(metrics: RunMetrics) -> WSGIApplication:
    try:
        from prometheus_client import CollectorRegistry, make_wsgi_app
    except ModuleNotFoundError as error:
        raise UserError("--metrics-port needs prometheus_client", "pip install 'capgen[metrics]'") from error
    from capgen.pipeline.running.metrics.collector import RunCollector

    registry = CollectorRegistry(auto_describe=True)
    registry.register(RunCollector(metrics))
    return make_wsgi_app(registry)


def _guarded(app: WSGIApplication, names: Collection[str] | None) -> WSGIApplication:
    """The application for requests of its path that name this server; every server where ``names`` is None."""

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        status = None
        if names is not None and environ.get("HTTP_HOST") not in names:
            status, told = "403 Forbidden", "This server is not asked under that name.\n"
        elif environ.get("PATH_INFO") != PATH:
            status, told = "404 Not Found", f"The metrics are at {PATH}.\n"
        if status is None:
            return app(environ, start)
        start(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [told.encode()]

    return answer


class _Handler(WSGIRequestHandler):
    """One scrape; who keeps a connection open without asking is let go."""

    timeout = _PATIENCE_S

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the library's
        """Scrapes are no news."""
        log.debug(format, *args)


class _MetricsServer(ThreadingMixIn, WSGIServer):
    """A thread for each scrape, on a socket that listens already."""

    daemon_threads = True

    def __init__(self, listener: socket.socket, app: WSGIApplication) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        # WSGIServer's own bind would ask the name service for this, which may take seconds.
        self.server_name, self.server_port = listener.getsockname()[:2]
        self.setup_environ()
        self.set_app(app)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the library's signature
        """A client that goes away in the middle is no trouble of the run's."""
        log.debug("a scrape by %s failed", client_address, exc_info=True)
