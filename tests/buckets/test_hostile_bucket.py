"""A bucket that somebody else fills: no name of an object leads out of the copy, and no object takes all memory."""

import json
import shutil
from uuid import uuid4

import pytest

from capgen.buckets.lease import held, holder
from capgen.buckets.roots import RootCopy, here, open_root
from capgen.buckets.store import ObjectStore, TooLarge, misnamed
from capgen.dataset.remote.mirror import Mirror
from capgen.errors import LedgerError, UserError
from capgen.images import PictureFault, path_under

NAMES = [
    "../victim.json",
    "plan/../../victim.json",
    "/etc/victim.json",
    "a/./b.json",
    "a//b.json",
    "C:\\victim.json",
    "..\\victim.json",
    "n" * 300,
    "a\0b.json",
]


@pytest.fixture
def bucket():
    """A prefix of fsspec's file system in memory, and the names in it as they are."""
    from fsspec.implementations.memory import MemoryFileSystem

    url = f"memory://{uuid4().hex}"
    yield url, lambda name, data=b"x": MemoryFileSystem().pipe_file(f"/{url[9:]}/{name}", data)
    MemoryFileSystem.store.clear()


@pytest.mark.parametrize("name", NAMES)
def test_no_name_leads_out_of_the_copy_of_an_out_or_of_a_root(tmp_path, name):
    for there in ({name}, {"plan.json", name, "images/1.jpg"}):
        assert misnamed(there).startswith("an object called")
    store = Named({name: b"x"})
    mirror, root = Mirror("memory://a", tmp_path / "out"), RootCopy("memory://a", tmp_path / "root")
    mirror.store = root.store = store
    with pytest.raises(LedgerError, match="an object called"):
        mirror.pull()
    with pytest.raises(UserError, match="an object called"):
        root.list((".jpg",))
    assert store.downloaded == []
    assert not [*tmp_path.rglob("*victim*")]


class Named(ObjectStore):
    """A store that lists names which a file system in memory would tidy up."""

    def __init__(self, objects):
        super().__init__("memory://named")
        self._objects, self.downloaded = objects, []

    def list(self, prefix=""):
        from capgen.buckets.store import Stamp

        return {name: Stamp(len(data), "t") for name, data in self._objects.items()}

    def check(self):
        """It is there."""

    def download(self, name, file, size=None, *, most=0.0):
        self.downloaded.append(name)


def test_a_file_and_a_folder_of_one_name_are_one_line(tmp_path):
    assert misnamed(["a", "a/b"]) == "objects called 'a' and 'a/b': one cannot be a file and a folder"
    assert misnamed(["a/b", "a/c", "ab", "a.json"]) is None


def test_what_consoles_make_for_folders_is_no_object(bucket):
    url, put = bucket
    put("plan/00000.jsonl")
    store = ObjectStore(url)
    found = store._fs.find
    folder = f"/{url[9:]}/data/"
    store._fs.find = lambda path, **more: found(path, **more) | {folder: {"name": folder, "size": 0, "type": "file"}}
    try:
        assert list(store.list()) == ["plan/00000.jsonl"]
    finally:
        del store._fs.find


def test_an_object_that_is_too_large_is_said_before_it_is_fetched(bucket, tmp_path, monkeypatch):
    url, put = bucket
    put("plan.json", b"x" * 1000)
    store = ObjectStore(url)
    with pytest.raises(TooLarge, match="has 1,000 bytes, more than any file of its kind"):
        store.read("plan.json", 999)
    with pytest.raises(TooLarge, match="more than 999"):
        store.download("plan.json", tmp_path / "plan.json", most=999)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 500))
    with pytest.raises(TooLarge, match="has room for 500; name a folder on a larger disk in CAPGEN_SCRATCH"):
        store.download("plan.json", tmp_path / "plan.json")
    assert not [*tmp_path.iterdir()]


def test_a_picture_that_is_larger_than_all_copies_may_be_fails_its_object(bucket, tmp_path, monkeypatch):
    url, put = bucket
    put("images/1.jpg", b"x" * 3000)
    monkeypatch.setenv("CAPGEN_SCRATCH_GIB", str(1000 / 2**30))
    open_root(url, tmp_path / "root").list((".jpg",))
    with pytest.raises(PictureFault, match=r"picture_too_large: .*3,000 bytes, more than 1,000"):
        path_under(tmp_path / "root", "images/1.jpg")
    assert (tmp_path / "root" / "images" / "1.jpg").stat().st_size == 0
    climbing = tmp_path / "root" / ".." / "images" / "1.jpg"
    assert here(climbing) == climbing
    assert not (tmp_path / "images").exists(), "nothing is fetched to where a name climbs"


@pytest.mark.parametrize(
    "name", ["x.json", "1e9.json", "..json", "٣.json", "00000001/00000002.json", "9" * 40 + ".json"]
)
def test_a_lease_of_any_other_name_is_none(bucket, name):
    url, put = bucket
    put(f".lease/{name}")
    assert holder(ObjectStore(url)) is None


@pytest.mark.parametrize("body", [b"[" * 60_000, b'{"renewed": "soon", "pid": []}', b"\xff", b"null"])
def test_a_lease_that_says_nothing_usable_is_nobodys(bucket, body):
    url, put = bucket
    put(".lease/00000001.json", body)
    assert holder(ObjectStore(url)) is None
    put(".lease/00000001.json", b"x" * 70_000)
    with pytest.raises(UserError, match="has 70,000 bytes, more than any file of its kind; delete it"):
        holder(ObjectStore(url))


def test_who_holds_a_lease_is_named_at_bearable_length(bucket):
    import time

    url, put = bucket
    put(".lease/00000001.json", json.dumps({"host": "h" * 9000, "pid": "p" * 9000, "renewed": time.time()}).encode())
    with pytest.raises(UserError, match=r"is in use by process p{20} on h{100};"), held(ObjectStore(url)):
        pass


@pytest.mark.parametrize("url", ["memory://user:secretpassword@a", "https://host.example/a?sig=secretpassword"])
def test_an_address_that_holds_a_password_or_a_query_is_refused_and_not_repeated(url):
    with pytest.raises(UserError, match="would end in logs and records") as said:
        ObjectStore(url)
    assert "secretpassword" not in str(said.value)
