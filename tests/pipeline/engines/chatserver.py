"""A real HTTP server on 127.0.0.1 that speaks the chat-completions API and misbehaves on schedule."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: dict

    @property
    def text(self) -> str:
        """The last text of the user's message: each object's is its own."""
        content = self.body["messages"][-1]["content"]
        return content if isinstance(content, str) else [part["text"] for part in content if part["type"] == "text"][-1]

    @property
    def answer(self) -> str:
        return f"Answer to {self.text}"


def completion(request: Request, text: str | None = None, **more) -> dict:
    """What vLLM would send: the request's own id in its id."""
    return {
        "id": "chatcmpl-" + request.headers.get("x-request-id", "none"),
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": request.answer if text is None else text},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 11, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 8}},
    } | more


def http(status: int, body: bytes, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Status", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


async def answer(request: Request, server: ChatServer, writer) -> None:
    writer.write(http(200, json.dumps(completion(request)).encode()))


def says(body: dict | bytes):
    """Answer with this body; a dict is laid over a good completion."""

    async def act(request, server, writer):
        data = body if isinstance(body, bytes) else json.dumps(completion(request) | body).encode()
        writer.write(http(200, data))

    return act


def error(status: int, message: str = "on purpose", code: str | None = None, **headers: str):
    async def act(request, server, writer):
        writer.write(http(status, json.dumps({"error": {"message": message, "code": code}}).encode(), **headers))

    return act


async def hang(request, server, writer) -> None:
    await asyncio.sleep(30)


async def drip(request, server, writer) -> None:
    """A byte now and then: no single read takes long, the whole never ends."""
    with suppress(ConnectionError):
        for byte in http(200, json.dumps(completion(request)).encode()):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.1)


async def cut(request, server, writer) -> None:
    """The connection ends in the middle of the body."""
    writer.write(http(200, json.dumps(completion(request)).encode())[:-40])


async def drop(request, server, writer) -> None:
    """The connection ends before any answer."""


async def twice(request, server, writer) -> None:
    """Two whole answers to one request on one connection, which stays open."""
    body = http(200, json.dumps(completion(request, id=None)).encode())
    writer.write(body + body)
    await writer.drain()
    await asyncio.sleep(0.3)


@dataclass
class ChatServer:
    """Acts are taken from ``schedule`` in order; when it is empty, ``default`` acts."""

    schedule: deque = field(default_factory=deque)
    default: object = answer
    requests: list[Request] = field(default_factory=list)
    models: int = 200
    port: int = 0
    busy: int = 0
    busiest: int = 0

    def __enter__(self) -> ChatServer:
        started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait(10)
        return self

    def __exit__(self, *_) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._connection, "127.0.0.1", self.port))
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.close()

    async def _connection(self, reader, writer) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            try:
                await self._serve(reader, writer)
                await writer.drain()
            finally:
                writer.close()

    async def _serve(self, reader, writer) -> None:
        """Requests of one connection, one after the other, as long as the act leaves it open."""
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            path = head[0].split()[1]
            if path.endswith("/models"):
                writer.write(http(self.models, b'{"object": "list", "data": []}'))
                await writer.drain()
                continue
            request = Request(path, headers, json.loads(body))
            self.requests.append(request)
            act = self.schedule.popleft() if self.schedule else self.default
            self.busy += 1
            self.busiest = max(self.busiest, self.busy)
            try:
                await act(request, self, writer)
            finally:
                self.busy -= 1
            await writer.drain()
            if act in {cut, drop, drip}:
                return
