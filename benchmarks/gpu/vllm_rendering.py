"""Requests a second that vLLM's renderer alone prepares, for Qwen3-VL's real processor at the default sizes.

    python -m benchmarks.gpu.vllm_rendering [--objects 60]

vLLM renders a chat (template, tokens, resizing and patching of pictures, hashes) in one thread of an engine's process.
A GPU is expected to answer 76 objects a second, so rendering is no limit where it does three times as many. Processor
time of the process is measured with ``OMP_NUM_THREADS=1``; the engine is a tiny one in another process, and is idle.
Pictures of ten objects each: the clean one is found again by its uuid, the close-up is new each time.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import os
import pstats
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from benchmarks.common import machine, save
from benchmarks.gpu.check import model_folder, photographs, settings_of

EXPECTED, TIMES = 76, 3
AROUND = 20
"""Requests before the measured ones, to warm up, and after them, for the profile."""


async def measure(folder: Path, objects: int) -> dict[str, Any]:
    """Rate by processor time, and the share of each part in the profile."""
    from capgen.pipeline.engines.base import EngineContext, build_engine
    from capgen.pipeline.engines.vllm import messages
    from capgen.pipeline.estimating.measure import real_requests
    from capgen.pipeline.planning.open_source import build_source

    model = model_folder(folder / "model", tiny=True)
    root = photographs(folder / "lvis", objects + 2 * AROUND)
    settings = settings_of(str(model), root, "shared-crop_v1", tiny=True, real=False)
    session: Any = await build_engine(settings.engine).start(EngineContext(settings.model, settings.sampling, 0))
    try:
        views = real_requests(settings, build_source(settings).scan(), 10**9)
        render = session.engine.renderer.render_chat_async
        for view in views[:AROUND]:
            await render([messages(view)], session.chat)
        profile = cProfile.Profile()
        begun, spent = time.monotonic(), time.process_time()
        for view in views[AROUND:-AROUND]:
            await render([messages(view)], session.chat)
        seconds, cpu = time.monotonic() - begun, time.process_time() - spent
        renderer = session.engine.renderer
        profile.enable()
        for view in views[-AROUND:]:
            renderer.render_chat([messages(view)], session.chat)
        profile.disable()
    finally:
        await session.stop()
    count = len(views) - 2 * AROUND
    return {"requests": count, "ms": 1e3 * cpu / count, "requests_per_s": count / cpu, "wall_s": seconds} | shares(
        profile
    )


def shares(profile: cProfile.Profile) -> dict[str, Any]:
    """The functions with the most time of their own, as shares of all."""
    stats: Any = pstats.Stats(profile)
    total = max(1e-9, stats.total_tt)
    rows = sorted(
        ((own, Path(file).name, name) for (file, _, name), (_, _, own, _, _) in stats.stats.items()), reverse=True
    )
    return {"profile": [f"{own / total:.0%} {name} ({file})" for own, file, name in rows[:12]]}


def main() -> None:
    """Measure and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=60)
    arguments = parser.parse_args()
    before = machine()
    with tempfile.TemporaryDirectory() as temporary:
        row = asyncio.run(measure(Path(temporary), arguments.objects))
    profile = row.pop("profile")
    print("\n".join(profile))
    wanted = EXPECTED * TIMES
    verdict = "no limit" if row["requests_per_s"] >= wanted else "the limit"
    note = f"goal {wanted} requests/s on one core ({TIMES} x {EXPECTED} objects/s): rendering is {verdict}; profile: "
    save("vllm_rendering", [row], note + json.dumps(profile), before)


if __name__ == "__main__":
    main()
