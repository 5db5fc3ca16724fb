"""Whether vLLM, through the pipeline's own engine, says what transformers says: greedy captions, word for word.

::

    HF_HUB_OFFLINE=1 python -m experiments.embedded.scoring.compare --objects 300
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from pathlib import Path
from typing import Any

import torch

from capgen.pipeline.engines.base import EngineContext
from capgen.pipeline.engines.vllm import Vllm
from capgen.pipeline.planning.model_profiles import model_profiles
from capgen.pipeline.settings import ModelSettings, SamplingSettings
from capgen.pipeline.view import Answer, View
from capgen.sample.embedded_model import model_dir
from experiments.embedded.config import HERE, load_config
from experiments.embedded.scoring.evaluate import Captioner, questions


async def ask(folder: Path, views: list[View]) -> tuple[list[Answer], float, float]:
    """vLLM's answers, its seconds to start and its seconds to answer."""
    options: dict[str, Any] = model_profiles()["embedded"].engines["vllm"]
    begun = time.monotonic()
    engine = Vllm(max_num_seqs=64, **options)
    session = await engine.start(EngineContext(ModelSettings(id=str(folder)), SamplingSettings(max_tokens=24)))
    started = time.monotonic()
    gate = asyncio.Semaphore(engine.in_flight)

    async def one(view: View) -> Answer:
        async with gate:
            return await session.answer(view)

    answers = await asyncio.gather(*(one(view) for view in views))
    ended = time.monotonic()
    await session.stop()
    return list(answers), started - begun, ended - started


def main() -> None:
    """Compare and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=None, help="default: the package's")
    parser.add_argument("--objects", type=int, default=300, help="half of images, half of videos")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "compare.json")
    options = parser.parse_args()
    folder = options.model or model_dir()
    config, captioner = load_config(), Captioner(folder)
    seed, half = config.data.test_seed + 1, options.objects // 2
    views = [[q.view for q in questions(config, kind, seed, half, told=False)] for kind in ("image", "video")]
    torch.set_num_threads(1)
    wanted = [text for part in views for text in captioner.answer(part)]
    answers, up, seconds = asyncio.run(ask(folder, [view for part in views for view in part]))
    equal = sum(a.text == text for a, text in zip(answers, wanted, strict=True))
    differ = [[a.text, text] for a, text in zip(answers, wanted, strict=True) if a.text != text]
    found = {
        "seed": seed,
        "objects": len(answers),
        "equal": equal / len(answers),
        "stopped": sum(a.finish_reason == "stop" for a in answers) / len(answers),
        "engine_start_s": round(up, 1),
        "objects_per_second": round(len(answers) / seconds, 1),
        "prompt_tokens": sum(a.prompt_tokens for a in answers),
        "cached_tokens": sum(a.cached_tokens for a in answers),
        "differ": differ[:20],
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({key: value for key, value in found.items() if key != "differ"}))


if __name__ == "__main__":
    main()
