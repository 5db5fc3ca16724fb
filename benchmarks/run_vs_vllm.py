"""The whole run against vLLM alone on the same prepared requests: how much of vLLM's requests a second is left.

    python -m benchmarks.run_vs_vllm [--images 1000] [--rounds 5]

Both sides use the embedded captioner on the CPU over the same sample world. "vLLM alone" renders every request
beforehand, builds the chat messages with their PIL pictures and then sends them as fast as the engine takes them: the
requests that a run has made, with its second tries, each after the first requests of its medium. "capgen run" is the
command itself: plan, Ray, rendering, journal, checks, Parquet; its rate counts from the engine's readiness to the last
commit. Sides alternate; a run before the first round says which second tries there are. A side takes half a minute at
1,000 images: over 250 it took seven seconds, and the rates of one side then differed by a fifth from round to round.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import machine, save
from capgen.dataset.layout import RunLayout


def settings_over(root: Path) -> Any:
    from capgen.pipeline.planning.config import load_settings
    from capgen.sample.embedded_model import model_dir

    return load_settings("sample-images", {"source.root": root, "model.id": str(model_dir())})


def prepared_views(root: Path) -> list[Any]:
    """Every request of the world, rendered."""
    from capgen.pipeline.planning.open_source import build_source
    from capgen.pipeline.rendering.prompt import load_prompt
    from capgen.pipeline.rendering.render import Renderer, render_media
    from capgen.pipeline.sources.reading.decode import decode_media
    from capgen.pipeline.view import View

    settings = settings_over(root)
    renderer = Renderer(settings.render, load_prompt(settings.prompt.name, category=settings.prompt.category))
    media = (decode_media(planned, root) for planned in build_source(settings).scan())
    return [view for medium in media for view in render_media(medium, renderer) if isinstance(view, View)]


def with_second_tries(views: list[Any], root: Path, out: Path) -> list[Any]:
    """The requests with the second tries of a finished run, which come after the first requests of their medium."""
    from capgen.dataset.reader import read_plan
    from capgen.pipeline.gallery.exact_request import ExactRequests, RecordedRequests
    from capgen.pipeline.gallery.media_store import MediaStore

    plan = read_plan(out)
    store = MediaStore(out, plan, root)
    requests, first = ExactRequests(store, RecordedRequests(plan.settings)), {view.key: view for view in views}
    every = []
    for shard in range(len(plan.shards)):
        for medium in store.shard(shard).values():
            every += [first[row.key] for row in medium.rows if row.key in first]
            for row in medium.rows:
                numbers = (number for number, given in enumerate(row.answers, 1) if given.step is not None)
                made = [requests.values(shard, row.key, number) for number in numbers]
                assert all(one["same"] for one in made), "a request of the run could not be made again"
                every += [one["view"] for one in made]
    return every


async def alone(root: Path, out: Path) -> dict[str, float]:
    """vLLM alone: requests a second once it is up and warm."""
    from capgen.pipeline.engines.base import EngineContext, build_engine
    from capgen.pipeline.engines.vllm import messages

    settings, views = settings_over(root), with_second_tries(prepared_views(root), root, out)
    engine = build_engine(settings.engine)
    session: Any = await engine.start(EngineContext(settings.model, settings.sampling, 0))
    chats = [messages(view) for view in views]
    slots = asyncio.Semaphore(engine.in_flight)

    async def one(number: int) -> None:
        async with slots:
            _, prompts = await session.engine.renderer.render_chat_async([chats[number]], session.chat)
            async for _ in session.engine.generate(prompts[0], session.sampling, str(number)):
                pass

    begun = time.monotonic()
    await asyncio.gather(*(one(number) for number in range(len(chats))))
    seconds = time.monotonic() - begun
    await session.stop()
    return {"requests": len(chats), "requests_per_s": len(chats) / seconds}


def whole(root: Path, out: Path) -> dict[str, float]:
    """capgen run on the same world: its own report."""
    command = [sys.executable, "-m", "capgen.cli", "run", "--dataset", "sample-images", "--gpus", "0"]
    subprocess.run([*command, "--root", str(root), "--out", str(out)], check=True, stdout=subprocess.DEVNULL)
    report = json.loads(RunLayout(out).report_json.read_text())
    return {"requests": report["asked"], "requests_per_s": report["requests_per_s"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--alone", type=Path, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        print(json.dumps(asyncio.run(alone(*arguments.alone))))
        return
    from capgen.sample.write import write_world

    before, rows = machine(), []
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder) / "world"
        write_world(world, images=arguments.images, videos=0, seed=31)
        root, first = world / "lvis", Path(folder) / "first"
        whole(root, first)
        for number in range(arguments.rounds):
            command = [sys.executable, "-m", "benchmarks.run_vs_vllm", "--alone", str(root), str(first)]
            answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
            rows.append({"round": number + 1, "side": "vLLM alone"} | json.loads(answer))
            rows.append({"round": number + 1, "side": "capgen run"} | whole(root, Path(folder) / f"out{number}"))
    rates = {
        side: [row["requests_per_s"] for row in rows if row["side"] == side] for side in ("vLLM alone", "capgen run")
    }
    share = statistics.median(rates["capgen run"]) / statistics.median(rates["vLLM alone"])
    pairs = zip(rates["capgen run"], rates["vLLM alone"], strict=True)
    rounds = ", ".join(f"{run / vllm:.2f}" for run, vllm in pairs)
    note = f"median of capgen run / median of vLLM alone = {share:.3f} (goal: at least 0.92); by round: {rounds}"
    save("run_vs_vllm", rows, note, before)


if __name__ == "__main__":
    main()
