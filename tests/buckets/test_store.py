"""Objects are written and read whole, whatever the server does meanwhile."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from capgen.buckets.lease import Lease, held, holder
from capgen.buckets.places import local_place, shown, url_of
from capgen.buckets.remedies import remedy_for
from capgen.buckets.store import BucketRefused, BucketTrouble, ObjectStore, is_url
from capgen.errors import UserError
from tests.buckets.bucket import KEYS, Faulty, forget_connections, new_bucket, s3_server


@pytest.fixture(scope="module")
def server():
    with s3_server() as address:
        yield address


@pytest.fixture
def store(server):
    return ObjectStore(f"{new_bucket()}/some/run")


def test_objects_come_back_as_they_were_given(store, tmp_path):
    store.write("a/b.txt", b"first")
    store.write("a/b.txt", b"second")
    (tmp_path / "large").write_bytes(os.urandom(300_000))
    store.upload(tmp_path / "large", "c d/large.bin")
    assert store.read("a/b.txt") == b"second"
    store.download("c d/large.bin", tmp_path / "back" / "large")
    assert (tmp_path / "back" / "large").read_bytes() == (tmp_path / "large").read_bytes()
    assert {name: stamp.size for name, stamp in store.list().items()} == {"a/b.txt": 6, "c d/large.bin": 300_000}
    assert set(store.list("a/")) == {"a/b.txt"}
    store.delete(["a/b.txt", "not there"])
    assert set(store.list()) == {"c d/large.bin"}
    with pytest.raises(FileNotFoundError):
        store.read("a/b.txt")


def test_an_object_is_created_by_one_alone(store):
    assert store.create("x", b"mine")
    assert not store.create("x", b"theirs")
    assert store.read("x") == b"mine"


def test_a_server_that_fails_cuts_and_says_nothing_costs_no_byte(server, monkeypatch, tmp_path):
    url = f"{new_bucket()}/run"
    proxy = Faulty(server, share=0.25, seed=3)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
    forget_connections()
    store = ObjectStore(url)
    data = {f"{i}/data": os.urandom(5000 * (i + 1)) for i in range(12)}
    for name, content in data.items():
        assert store.create(name, content), name
        assert not store.create(name, b"another")
    assert {name: store.read(name) for name in data} == data
    assert set(store.list()) == set(data)
    assert proxy.treated > 5
    proxy.close()
    monkeypatch.undo()
    forget_connections()


def test_one_holds_a_prefix_and_says_who(store):
    with held(store, stale_s=5, renewed_s=0.1):
        assert f"process {os.getpid()} on " in holder(store, 5)
        with pytest.raises(UserError, match=f"in use by process {os.getpid()}"), held(store, stale_s=5, renewed_s=0.1):
            pass
    assert holder(store, 5) is None
    assert not store.list()


def test_a_lease_that_nobody_renews_is_taken_over_and_its_holder_finds_out(store):
    dead = Lease(store, 1)
    assert store.create(".lease/00000001.json", dead.body())
    with held(store, stale_s=0.0, renewed_s=0.05) as mine:
        assert mine.number == 2
        dead.renew()
        assert dead.lost
        with pytest.raises(BucketTrouble, match="another run has taken it over"):
            dead.check()
        mine.renew()
        assert not mine.lost


def test_urls_are_told_from_folders_and_keep_their_names_before_people(tmp_path, monkeypatch):
    monkeypatch.setenv("CAPGEN_SCRATCH", str(tmp_path))
    assert [is_url(text) for text in ("s3://b/x", "memory://x", "/a/b", "a:b", "file:///x", "C://")] == [
        True, True, False, False, False, False,
    ]  # fmt: skip
    copy = local_place("s3://bucket/run/", "run")
    assert copy == local_place("s3://bucket/run", "run") != local_place("s3://bucket/run", "read")
    assert url_of(copy) == "s3://bucket/run"
    assert shown(f"release: {copy}/data") == "release: s3://bucket/run/data"
    assert local_place("some/folder", "run").name == "folder"


@contextmanager
def refusing(monkeypatch, status, code, message):
    """A server that refuses every request alike."""
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_PUT = do_HEAD = do_GET

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        forget_connections()
        yield ObjectStore("s3://bucket/run")
        server.shutdown()
    forget_connections()


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    ("status", "code", "message", "remedy"),
    [
        (403, "RequestTimeTooSkewed", "The request time and the current time differ.", "set this machine's clock"),
        (403, "InvalidAccessKeyId", "The AWS Access Key Id does not exist.", "set .* AWS_SECRET_ACCESS_KEY"),
        (403, "AccessDenied", "Access Denied.", "give these credentials the right to that .s3:ListBucket"),
        (400, "AuthorizationHeaderMalformed", "The region is wrong; expecting 'eu-1'.", "region .AWS_DEFAULT_REGION"),
    ],
)
def test_a_server_that_refuses_has_its_word_and_the_remedy_in_one_line(monkeypatch, status, code, message, remedy):
    with refusing(monkeypatch, status, code, message) as store:
        with pytest.raises(UserError, match=f"^s3://bucket/run cannot be read: .*{message[:-1]}.*; .*{remedy}"):
            store.check()
        if status == 403:
            with pytest.raises(BucketRefused, match=f"^writing s3://bucket/run/x: {message[:-1]}; .*{remedy}"):
                store.create("x", b"")


@pytest.mark.usefixtures("server")
def test_without_credentials_a_bucket_or_a_server_the_remedy_names_what_is_missing(monkeypatch):
    with pytest.raises(UserError, match="The specified bucket does not exist; make the bucket, or correct its name"):
        ObjectStore("s3://there-is-none/run").check()
    for name in KEYS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    forget_connections()
    with pytest.raises(UserError, match=r"Unable to locate credentials; set .*AWS_ACCESS_KEY_ID and"):
        ObjectStore("s3://bucket/run").check()
    forget_connections()
    why = 'EndpointConnectionError: Could not connect to the endpoint URL: "http://127.0.0.1:1/bucket"'
    assert remedy_for("s3", why) == "check the network and the address of the server (AWS_ENDPOINT_URL)"
    assert remedy_for("abfs", "401 Unauthorized").endswith("(AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY)")


def test_an_address_with_a_password_or_of_no_known_kind_is_refused():
    with pytest.raises(UserError) as error:
        ObjectStore("s3://user:secret@bucket/x")
    assert "secret" not in str(error.value)
    with pytest.raises(UserError, match="cannot be opened"):
        ObjectStore("nosuch://bucket/x")
