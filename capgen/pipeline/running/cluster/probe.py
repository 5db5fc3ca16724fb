"""Asks once what is at an address of a cluster: a program of its own, because Ray prints lines and may wait long.

``python -m capgen.pipeline.running.cluster.probe HOST:PORT`` prints a line of JSON: ``ray`` and ``python``, the
versions of the cluster's head, or ``error`` (``token``, ``client`` or ``other``) with ``said``. Of ``auto`` it prints
the ``address`` of the cluster that Ray finds on this machine.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def ask(address: str) -> dict[str, Any]:
    """What the head of a cluster says of itself."""
    from ray import _raylet
    from ray._common.usage.usage_constants import CLUSTER_METADATA_KEY
    from ray.exceptions import AuthenticationError, RpcError

    compiled: Any = _raylet  # without types
    try:
        told = compiled.GcsClient(address=address).internal_kv_get(
            CLUSTER_METADATA_KEY, namespace=b"cluster", timeout=5
        )
    except AuthenticationError as error:
        return {"error": "token", "said": str(error)}
    except RpcError as error:
        return {"error": "client" if "not found" in str(error).lower() else "other", "said": str(error)}
    versions = json.loads(told or b"{}")
    return {"ray": versions.get("ray_version"), "python": versions.get("python_version")}


def find() -> dict[str, str]:
    """The cluster of this machine that was started last, or the one that runs there."""
    from ray._private.services import canonicalize_bootstrap_address_or_die

    try:
        return {"address": canonicalize_bootstrap_address_or_die("auto")}
    except (ConnectionError, ValueError) as error:
        return {"error": "other", "said": str(error)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(find() if sys.argv[1] == "auto" else ask(sys.argv[1])) + "\n")
