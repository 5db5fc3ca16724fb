"""How long a run that was told to stop waits for the model."""

from __future__ import annotations

from capgen.stop import Stop

GRACE_S = 10.0
"""So long the requests in flight may take after the first signal; what has not ended by then is asked again later."""


def listener() -> Stop:
    """What a run hears Ctrl-C and SIGTERM with."""
    return Stop(f"stopping: up to {GRACE_S:g} s for the requests in flight; once more ends at once")
