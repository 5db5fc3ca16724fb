"""An engine in a process of its own, as vLLM's is, that can be killed and that writes down what it was asked.

As a program it is that process: a line of JSON in, `{"id", "key", "s"}`, the same line out after `s` seconds. Every key
goes to `OUT/logs/engine.asked` when it comes in and to `OUT/logs/engine.answered` when its answer goes out.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Counted:
    """Options: seconds an answer takes, and how many are in flight."""

    latency_s: float = 0.0
    concurrency: int = 8

    @property
    def in_flight(self):
        return self.concurrency

    async def start(self, context):
        from capgen.pipeline.engines.echo import Echo, EchoSession

        logs = context.out / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-SE", __file__, logs), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        session = CountedSession(self, child, EchoSession(Echo()))
        session.reader = asyncio.create_task(session.read())
        return session


@dataclass(slots=True)
class CountedSession:
    options: Counted
    child: asyncio.subprocess.Process
    echo: object
    waiting: dict[int, asyncio.Future] = field(default_factory=dict)
    ids: count = field(default_factory=count)
    reader: asyncio.Task | None = None

    async def answer(self, view):
        from capgen.pipeline.engines.base import EngineDead

        number = next(self.ids)
        done = self.waiting[number] = asyncio.get_running_loop().create_future()
        line = {"id": number, "key": view.key, "s": self.options.latency_s * (0.5 + number * 0.618 % 1)}
        if self.reader.done():
            raise EngineDead("the engine's process is gone")
        try:
            self.child.stdin.write(json.dumps(line).encode() + b"\n")
        except RuntimeError as error:  # uvloop: the pipe was closed a moment ago
            raise EngineDead("the engine's process is gone") from error
        try:
            alive = await done
        finally:
            self.waiting.pop(number, None)
        if not alive:
            raise EngineDead("the engine's process is gone")
        return await self.echo.answer(view)

    async def read(self):
        while line := await self.child.stdout.readline():
            future = self.waiting.get(json.loads(line)["id"])
            if future is not None and not future.done():
                future.set_result(True)
        for future in self.waiting.values():
            if not future.done():
                future.set_result(False)

    async def stop(self):
        if self.child.returncode is None:
            self.child.kill()
        self.child.stdin.close()
        await self.reader
        await self.child.wait()


def counts(out: Path) -> dict[str, int]:
    """How many requests the engines of a run were asked, and how many they answered, kills and all."""
    found = {}
    for what in ("asked", "answered"):
        file = out / "logs" / f"engine.{what}"
        found[what] = file.read_bytes().count(b"\n") if file.exists() else 0
    return found


async def _serve(logs: Path) -> None:
    asked, answered = (
        os.open(logs / f"engine.{what}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for what in ("asked", "answered")
    )

    async def answer(line: bytes) -> None:
        request = json.loads(line)
        await asyncio.sleep(request["s"])
        os.write(answered, request["key"].encode() + b"\n")
        os.write(1, line)

    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with asyncio.TaskGroup() as group:
        while line := await reader.readline():
            os.write(asked, json.loads(line)["key"].encode() + b"\n")
            group.create_task(answer(line))
        os._exit(0)  # its worker is gone: nobody waits for what is in flight


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
