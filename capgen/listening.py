"""A socket to serve from, bound before anything slow starts, and the names under which it may be asked."""

from __future__ import annotations

import socket

from capgen.errors import UserError

_EVERYWHERE = ("0.0.0.0", "::")


def listen(host: str, port: int, remedy: str) -> socket.socket:
    """A socket that listens; connections wait until somebody accepts them.

    Args:
        port: 0 takes a free one.
        remedy: what to do where the address cannot be had.

    Raises:
        UserError: the address cannot be listened on.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()
    except (OSError, UnicodeError) as error:
        listener.close()
        why = getattr(error, "strerror", None) or error
        raise UserError(f"cannot listen on {host}, port {port}: {why}", remedy) from None
    return listener


def address(host: str, port: int) -> str:
    """The address to print: ``http://HOST:PORT``, with this machine's name where it listens on all of its addresses."""
    return f"http://{_bracketed(host) if host not in _EVERYWHERE else socket.gethostname()}:{port}"


def own_names(host: str, port: int) -> list[str]:
    """The Host headers of requests that are meant for a server on this machine."""
    names = (_bracketed(host), "127.0.0.1", "localhost", socket.gethostname())
    return [f"{name}:{port}" for name in dict.fromkeys(names)]


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
