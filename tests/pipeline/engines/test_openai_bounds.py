"""An answer costs no more memory and time than its bound, and several servers share the work by how fast they are."""

import asyncio
import gzip
import json
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from capgen.errors import UserError
from capgen.pipeline.engines.base import EngineContext, EngineFault
from capgen.pipeline.engines.bounded_http import is_loopback, proxy_for
from capgen.pipeline.settings import ModelSettings, SamplingSettings
from tests.pipeline.engines import chatserver
from tests.pipeline.engines.asking import CONTEXT, ask, engine, settle, view
from tests.pipeline.engines.chatserver import ChatServer, completion, http, says


async def without_end(request, server, writer):
    """A body that goes on as long as somebody reads it."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece = b" " * 65536
    while True:
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await writer.drain()


def packed(data, encoding):
    async def act(request, server, writer):
        writer.write(http(200, data, Content_Encoding=encoding))

    return act


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (without_end, "longer than 1,048,576 bytes"),
        (packed(gzip.compress(bytes(200 * 2**20)), "gzip"), "unpacks to more than 1,048,576 bytes"),
        (packed(zlib.compress(bytes(50 * 2**20)), "deflate"), "unpacks to more than 1,048,576 bytes"),
        (packed(b"x" * 100, "br"), "encoding 'br', which was not asked for"),
        (packed(b"x" * 100, "gzip, gzip"), "which was not asked for"),
    ],
    ids=["without end", "gzip", "deflate", "unasked", "twice"],
)
def test_an_answer_past_the_bound_fails_its_request_alone(act, told):
    async def unkind(request, server, writer):
        await (act if request.text == "object 1/1" else chatserver.answer)(request, server, writer)

    with ChatServer(default=unkind) as server:
        bad, good = settle(engine(server, answer_mib=1, max_retries=0), view(1), view(2), attempts=1)
    assert told in bad.message
    assert (bad.fault, good.fault) == ("engine_failed", None)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity"])
def test_a_server_that_packs_unasked_is_understood(encoding):
    async def act(request, server, writer):
        data = json.dumps(completion(request)).encode()
        body = {"gzip": gzip.compress, "deflate": zlib.compress}.get(encoding, bytes)(data)
        writer.write(http(200, body, Content_Encoding=encoding))
        assert request.headers["accept-encoding"] == "identity"

    with ChatServer(default=act) as server:
        (said,) = ask(engine(server), view())
    assert said.text == "Answer to object 1/1"


def test_deep_json_fails_its_request_alone():
    deep = b'{"choices": [{"message": {"content": ' + b"[" * 5000 + b"]" * 5000 + b"}}]}"
    with ChatServer() as server:
        server.schedule.append(says(deep))
        bad, good = ask(engine(server, max_retries=0), view(1), view(2), at_once=False)
    assert isinstance(bad, EngineFault)
    assert "nested too deeply" in str(bad)
    assert good.text == "Answer to object 1/2"


def test_template_arguments_and_the_form_of_pictures_are_sent():
    model = ModelSettings(id="m", template={"enable_thinking": False})
    context = EngineContext(model, SamplingSettings())
    with ChatServer() as server:
        options = engine(server, image_url="text", image_format="webp", omit=["seed", "top_p"], extra_body={"a": 1})

        async def run():
            session = await options.start(context)
            await session.answer(view())
            await session.stop()

        asyncio.run(run())
        (request,) = server.requests
    assert request.body["chat_template_kwargs"] == {"enable_thinking": False}
    assert request.body["messages"][-1]["content"][1]["image_url"].startswith("data:image/webp;base64,")
    assert not {"seed", "top_p"} & set(request.body)
    assert request.body["a"] == 1


def test_detail_is_sent_beside_the_address():
    with ChatServer() as server:
        ask(engine(server, image_detail="low"), view())
        assert server.requests[0].body["messages"][-1]["content"][1]["image_url"]["detail"] == "low"


def slow(seconds):
    async def act(request, server, writer):
        await asyncio.sleep(seconds)
        await chatserver.answer(request, server, writer)

    return act


def test_servers_of_different_speed_are_kept_equally_full():
    """One answers ten times as fast: it gets most requests, and neither ever has much more than half in flight."""
    with ChatServer(default=slow(0.05)) as fast, ChatServer(default=slow(0.5)) as lame:
        options = engine(fast, lame, concurrency=16)

        async def run():
            session = await options.start(CONTEXT)
            gate = asyncio.Semaphore(16)

            async def one(item):
                async with gate:
                    return await session.answer(item)

            said = await asyncio.gather(*(one(view(n, medium)) for medium in range(60) for n in range(5)))
            await session.stop()
            return said

        said = asyncio.run(run())
        assert len({one.text for one in said}) == 300
        assert max(fast.busiest, lame.busiest) <= 12
        assert len(fast.requests) > 1.5 * len(lame.requests)
        by_medium = [{request.text.split("/")[0] for request in server.requests} for server in (fast, lame)]
        assert len(by_medium[0] & by_medium[1]) < 30, "most pictures stay with one server"


class Proxy(BaseHTTPRequestHandler):
    """Answers everything with 503, as a proxy does that cannot reach a host; ``seen`` is of its subclass."""

    def answer(self):
        self.seen.append(self.path)
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(503)
        self.send_header("Content-Length", "7")
        self.end_headers()
        self.wfile.write(b"blocked")

    do_GET = do_POST = answer

    def log_message(self, *_):
        """Nothing is printed."""


@pytest.fixture
def proxy(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Counted", (Proxy,), {"seen": []}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://user:pw@127.0.0.1:{server.server_port}")
    yield server
    server.shutdown()
    server.server_close()


def test_a_server_on_this_machine_is_asked_directly(proxy):
    with ChatServer() as server:
        (said,) = ask(engine(server), view())
    assert said.text == "Answer to object 1/1"
    assert proxy.RequestHandlerClass.seen == []


def test_another_server_is_asked_through_the_proxy_which_is_named_without_its_password(proxy):
    class Elsewhere:
        url = "http://captions.invalid:8000/v1"

    (said,) = ask(engine(Elsewhere(), max_retries=0), view())
    assert isinstance(said, EngineFault)
    assert f"through the environment's proxy http://127.0.0.1:{proxy.server_port}) answered 503: blocked" in str(said)
    assert "pw" not in str(said)
    assert proxy.RequestHandlerClass.seen[-1] == "http://captions.invalid:8000/v1/chat/completions"


@pytest.mark.parametrize(
    ("url", "without", "direct"),
    [
        ("http://127.0.0.1:8000/v1", "", True),
        ("http://127.9.9.9/v1", "", True),
        ("http://[::1]:8000/v1", "", True),
        ("http://localhost:8000/v1", "", True),
        ("http://0.0.0.0:8000/v1", "", True),
        ("http://host.example/v1", "", False),
        ("http://host.example/v1", "example.org, .example", True),
        ("http://host.example/v1", "*", True),
        ("http://10.1.2.3/v1", "10.0.0.0/8", True),
        ("http://11.1.2.3/v1", "10.0.0.0/8", False),
    ],
)
def test_who_is_asked_directly(monkeypatch, url, without, direct):
    for name in ("NO_PROXY", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "proxy.example:3128")
    monkeypatch.setenv("no_proxy", without)
    assert proxy_for(url) == (None if direct else "http://proxy.example:3128")


def test_a_proxy_that_cannot_be_used_is_named_before_anything_is_asked(monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("all_proxy", "gopher://user:pw@proxy.example:70")
    monkeypatch.delenv("http_proxy", raising=False)
    monkeypatch.delenv("HTTP_PROXY", raising=False)

    class Elsewhere:
        url = "http://captions.invalid/v1"

    with pytest.raises(UserError, match=r"the proxy gopher://proxy\.example:70 .*NO_PROXY"):
        asyncio.run(engine(Elsewhere()).start(CONTEXT))


def test_names_of_this_machine():
    assert is_loopback("api.localhost")
    assert not is_loopback("localhost.example")
