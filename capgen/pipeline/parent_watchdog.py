"""A worker ends with the process that started it, and takes its engine's processes along.

Ray's node dies at once with a killed driver, its workers notice seconds later: until then they would go on asking, and
a run that was started again meanwhile would ask the same. vLLM's own process would never end, and keep the GPU.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress

import psutil

_LOOK_S = 0.05


def end_with_parent() -> None:
    """From now on this process and those below it are killed, without any clearing up, once its parent is gone."""
    threading.Thread(target=_watch, args=(os.getppid(),), name="end-with-parent", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            child.kill()
    os._exit(1)
