"""The threads of a worker: what must not be left half done has ended before the worker is gone."""

import asyncio
import threading

import pytest

from capgen.pipeline.asking.render_ahead import RenderAhead


def test_a_call_that_must_not_be_left_half_done_ends_before_its_cancellation_does():
    threads, begun, may_end, ended = RenderAhead(None), threading.Event(), threading.Event(), []

    def commit():
        begun.set()
        may_end.wait(10)
        ended.append(True)

    async def cancelled():
        task = asyncio.create_task(threads.to_its_end(commit))
        await asyncio.get_running_loop().run_in_executor(None, begun.wait, 10)
        task.cancel()
        await asyncio.sleep(0.01)
        assert not task.done()
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == [True]

    try:
        asyncio.run(cancelled())
    finally:
        threads.close()
