"""What is at RAY_ADDRESS, found out before Ray itself tries for a minute: each way to be wrong is one line."""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from capgen.display import plain
from capgen.errors import UserError

_LISTENS_S = 5.0
_ANSWERS_S = 30.0
_TOKEN_FILE = Path(".ray") / "auth_token"
_RIGHT = "give the address of the cluster's head as `ray start --head` prints it, HOST:6379"


def find_cluster(address: str) -> str:
    """Where the cluster of RAY_ADDRESS is, as ``HOST:PORT``; of ``auto`` the one that Ray finds on this machine.

    Raises:
        UserError: there is none on this machine, or the address is of another kind.
    """
    if address == "auto":
        answer = _asked(address, "disabled")
        if "address" not in answer:
            raise _refused(
                address,
                "no Ray cluster is found on this machine",
                "start one (`ray start --head`), name one, or unset it to run on this machine alone",
            )
        return str(answer["address"])
    host, _, port = address.rpartition(":")
    if "://" not in address and address != "local" and ("/" in address or not host or not port.isdecimal()):
        raise _refused(address, "this is no HOST:PORT", _RIGHT)
    return address


def check_cluster(address: str) -> str | None:
    """That a cluster of this Ray answers, and that this process may join it.

    A process that sends tokens does not work with a cluster that has none: its head calls the process without one.

    Args:
        address: as ``find_cluster`` gives it; ``local`` has Ray start one.

    Returns:
        The mode of authentication to join with, for RAY_AUTH_MODE; None where nobody can tell.

    Raises:
        UserError: nothing or something else answers there, the token is missing or wrong, or versions differ.
    """
    if "://" in address:
        kind = "a Ray client's" if address.startswith("ray://") else "a dashboard's"
        raise _refused(address, f"this is {kind} address; engines join the cluster itself", _RIGHT)
    if address == "local":
        return None
    host, _, port = address.rpartition(":")
    _check_listens(address, host.strip("[]"), int(port))
    if _is_dashboard(address):
        raise _refused(address, "this is a web server, such as Ray's dashboard", _RIGHT)
    token = os.environ.get("RAY_AUTH_MODE") == "token"
    open_answer = _asked(address, "disabled")
    if "error" not in open_answer:
        if token:
            raise _refused(address, "the cluster has no authentication, and RAY_AUTH_MODE=token is set", "unset it")
        _check_versions(address, open_answer)
        return "disabled"
    if open_answer["error"] != "token":
        raise _not_ray(address, open_answer)
    _check_versions(address, _with_token(address))
    return "token"


def not_connected(address: str, why: str) -> UserError:
    """Nobody answers at an address."""
    return UserError(
        f"RAY_ADDRESS={plain(address)}: no Ray cluster answers there ({why})",
        "correct it, start the cluster, or unset it to run on this machine alone",
    )


def _with_token(address: str) -> Mapping[str, Any]:
    """The answer of a cluster with authentication."""
    where = _token_place()
    if os.environ.get("RAY_AUTH_MODE", "token") != "token" or where is None:
        raise _refused(
            address,
            "the cluster wants a token, and there is none here",
            f"copy ~/{_TOKEN_FILE} from its head, or set RAY_AUTH_TOKEN, and unset RAY_AUTH_MODE",
        )
    answer = _asked(address, "token")
    if answer.get("error") == "token":
        raise _refused(address, f"the cluster refuses the token of {where}", f"take that of its head, ~/{_TOKEN_FILE}")
    if "error" in answer:
        raise _not_ray(address, answer)
    return answer


def _token_place() -> str | None:
    """Where Ray would find a token, in the order in which it looks."""
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        if os.environ.get(name):
            return name
    return f"~/{_TOKEN_FILE}" if (Path.home() / _TOKEN_FILE).is_file() else None


def _check_listens(address: str, host: str, port: int) -> None:
    try:
        socket.create_connection((host, port), timeout=_LISTENS_S).close()
    except (OSError, OverflowError, UnicodeError) as error:  # UnicodeError: no name that a host can have
        raise not_connected(address, str(error)) from error


def _is_dashboard(address: str) -> bool:
    """Whether a web server answers; a cluster's head breaks off such a conversation at once."""
    import httpx

    try:
        httpx.get(f"http://{address}/api/version", timeout=_LISTENS_S)
    except httpx.HTTPError:
        return False
    return True


def _asked(address: str, mode: str) -> dict[str, Any]:
    environment = os.environ | {"RAY_AUTH_MODE": mode}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "capgen.pipeline.running.cluster.probe", address],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_ANSWERS_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": "other", "said": f"no answer within {_ANSWERS_S:.0f} s"}
    if done.returncode:
        return {"error": "other", "said": (done.stderr.strip().splitlines() or ["no answer"])[-1]}
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def _not_ray(address: str, answer: Mapping[str, Any]) -> UserError:
    if answer["error"] == "client":
        return _refused(address, "this is the port of Ray clients; engines join the cluster itself", _RIGHT)
    return not_connected(address, plain(str(answer["said"]).splitlines()[0]))


def _check_versions(address: str, answer: Mapping[str, Any]) -> None:
    """That the head runs this Ray and this Python; Ray refuses to join others."""
    here = {"ray": version("ray"), "python": platform.python_version()}
    there = {name: answer.get(name) for name in here}
    if None in there.values() or there == here:
        return
    raise _refused(
        address,
        f"the cluster runs Ray {there['ray']} on Python {there['python']}, this program Ray {here['ray']} on Python "
        f"{here['python']}",
        "run both from the same environment",
    )


def _refused(address: str, what: str, remedy: str) -> UserError:
    return UserError(f"RAY_ADDRESS={plain(address)}: {what}", remedy)
