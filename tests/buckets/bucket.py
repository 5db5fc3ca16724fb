"""A real S3 server on loopback, with a proxy before it that fails, cuts and delays."""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from contextlib import contextmanager
from uuid import uuid4

import pytest

KEYS = {"AWS_ACCESS_KEY_ID": "a-user", "AWS_SECRET_ACCESS_KEY": "a-secret-of-a-test", "AWS_DEFAULT_REGION": "us-east-1"}


@contextmanager
def s3_server():
    """Its address; the environment of this process and its children names it and its keys."""
    moto = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    import logging

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    before = dict(os.environ)
    os.environ.update(KEYS | {"AWS_ENDPOINT_URL": address})
    forget_connections()
    try:
        yield address
    finally:
        forget_connections()
        os.environ.clear()
        os.environ.update(before)
        server.stop()


def forget_connections():
    """Have the next file system read the environment again."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()


def new_bucket():
    """The URL of an empty bucket."""
    import s3fs

    name = f"bucket-{uuid4().hex[:8]}"
    s3fs.S3FileSystem(skip_instance_cache=True).mkdir(name)
    return f"s3://{name}"


class Faulty:
    """A TCP proxy that hands connections on, and treats a share of them badly.

    Args:
        share: of the requests that get 503, no answer at all, or half of one.
        delay_s: before each answer.
        slow_s: where given, such a request may also get its answer, so many seconds late.
    """

    def __init__(self, address, share=0.0, delay_s=0.0, seed=0, slow_s=0.0):
        self._to = address.rpartition("//")[2].rsplit(":", 1)
        self.share, self.delay_s, self._slow_s = share, delay_s, slow_s
        self._faults = ("503", "nothing", "half", *(("slow",) if slow_s else ()))
        self._random = random.Random(seed)
        self.treated = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def close(self):
        self._socket.close()

    def _serve(self, client):
        """One request at a time; the connection to the server is closed after each, which HTTP allows."""
        with client:
            while request := _message(client):
                time.sleep(self.delay_s)
                what = self._random.choice(self._faults) if self._random.random() < self.share else ""
                self.treated += bool(what)
                if what == "slow":
                    time.sleep(self._slow_s)
                if what == "503":
                    body = b"<Error><Code>SlowDown</Code><Message>slow down</Message></Error>"
                    client.sendall(b"HTTP/1.1 503 Slow Down\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
                    continue
                if what == "nothing":
                    return
                with socket.create_connection((self._to[0], int(self._to[1]))) as server:
                    server.sendall(request)
                    answer = _message(server, head=request.startswith(b"HEAD"))
                if what == "half":
                    client.sendall(answer[: len(answer) // 2])
                    return
                client.sendall(answer)


def _message(connection, head=False):
    """A whole HTTP message with its body; empty at the end of the connection."""
    data = b""
    try:
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return data if data else b""
            data += more
        top, _, body = data.partition(b"\r\n\r\n")
        fields = {
            line.partition(b":")[0].strip().lower(): line.partition(b":")[2].strip() for line in top.split(b"\r\n")[1:]
        }
        if b"100-continue" in fields.get(b"expect", b"").lower():
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = 0 if head else int(fields.get(b"content-length", b"0"))
        chunked = not head and fields.get(b"transfer-encoding", b"").lower() == b"chunked"
        while len(body) < length or (chunked and not body.endswith(b"0\r\n\r\n")):
            more = connection.recv(65536)
            if not more:
                break
            body += more
        lines = [line for line in top.split(b"\r\n") if not line.lower().startswith(b"expect:")]
        return b"\r\n".join(lines) + b"\r\n\r\n" + body
    except (ConnectionError, ValueError):
        return b""
