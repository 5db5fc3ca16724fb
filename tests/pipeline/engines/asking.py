"""What the tests of the API engine share: quick options, a view of an object, and answers or faults in order."""

from __future__ import annotations

import asyncio

import numpy as np

from capgen.pipeline.asking.ask import Asker
from capgen.pipeline.engines.base import EngineContext
from capgen.pipeline.engines.openai import Openai
from capgen.pipeline.settings import ModelSettings, SamplingSettings
from capgen.pipeline.view import Picture, View

CONTEXT = EngineContext(ModelSettings(id="tiny-vlm"), SamplingSettings(max_tokens=24, seed=5))
PIXELS = np.random.default_rng(0).integers(0, 255, (32, 48, 3), dtype=np.uint8)


def engine(*servers, **options):
    quick = {"timeout_s": 5.0, "connect_s": 2.0, "backoff_s": 0.01, "max_wait_s": 1.0}
    return Openai(**quick | {"base_urls": [one.url for one in servers]} | options)


def view(number=1, medium=1, parts=None):
    shown = parts or ("Look.", Picture(PIXELS, "d1"), f"object {medium}/{number}")
    return View(f"lvis/val/{medium}/{number}", "Be brief.", (), shown, "cup")


def ask(options, *views, at_once=True):
    """The answers, or the faults, in order."""

    async def run():
        session = await options.start(CONTEXT)
        try:
            if at_once:
                return await asyncio.gather(*(session.answer(one) for one in views), return_exceptions=True)
            return [(await asyncio.gather(session.answer(one), return_exceptions=True))[0] for one in views]
        finally:
            await session.stop()

    return asyncio.run(run())


def settle(options, *views, attempts=2):
    async def run():
        session = await options.start(CONTEXT)
        asker = Asker(session, attempts)
        try:
            return await asyncio.gather(*(asker.ask(one, "r") for one in views))
        finally:
            await session.stop()

    return asyncio.run(run())
