"""A run's folder and its bucket, kept equal: what is written here goes there, what others wrote there comes here.

In the bucket lies what lies in OUT, under the same names, with two exceptions. The file of a finished shard has its
digest in its name, and its manifest is made by a conditional request, so that of two workers that finish one shard one
alone commits it. A journal is a folder of numbered segments, because objects cannot be appended to.

The bucket is the truth. A file that is not there any more although it was seen there is deleted here, and one that is
deleted here is deleted there.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from capgen.buckets.lease import FOLDER as LEASES
from capgen.buckets.store import ObjectStore, Stamp, misnamed
from capgen.dataset.files import sha256_of, write_whole
from capgen.dataset.layout import OF_ONE_MACHINE, PART, RECORDS, RunLayout
from capgen.errors import LedgerError

_AT_ONCE = 16  # requests
_SEGMENT = re.compile(r"(journal/\d{5}/\d{4,}-[0-9a-f]{8}\.jsonl)\.d/(\d{12})")
_SHARD = re.compile(r"candidates/(\d{5})-([0-9a-f]{16})\.parquet")
_MANIFEST = re.compile(r"candidates/(\d{5})\.json")


@dataclass(frozen=True, slots=True)
class LocalStamp:
    """What tells one content of a file from another."""

    size: int
    time: int


class Mirror:
    """The copy of a run's OUT on this machine.

    Args:
        url: the OUT in the bucket.
        out: the copy.
    """

    def __init__(self, url: str, out: Path) -> None:
        self.store, self.out = ObjectStore(url), out
        self._same: dict[str, tuple[Stamp | None, LocalStamp]] = {}
        self._sent: dict[str, int] = {}
        self._lock = threading.RLock()

    def begin(self, *, rows_too: bool = True) -> None:
        """Make the copy equal to the bucket; of what is only here, answers in unfinished shards of the same plan stay.

        Anything else that a kill kept from the bucket is made again: a shard's answers are in its journal until its
        commit is there.

        Args:
            rows_too: also the rows of finished shards and of the release.

        Raises:
            BucketTrouble: the bucket does not answer.
        """
        there = self.store.list()
        keep = self._own_answers(there)
        for path in [path for path in self.out.rglob("*") if path.is_file() or path.is_symlink()]:
            name = path.relative_to(self.out).as_posix()
            rows = name.startswith("candidates/") and name.endswith(".parquet")
            known = f"{name.removesuffix('.parquet')}.json" if rows else name
            if not (_is_own(name) or known in there or name in keep):
                path.unlink()
        self.pull(there, rows=rows_too)

    def _own_answers(self, there: dict[str, Stamp]) -> set[str]:
        """The journals that are here and may stay: those that are there too, and those of the same plan and round."""
        layout = RunLayout(self.out)
        known = set(_segments(there))
        plan = layout.plan_json
        if RECORDS[0] not in there or not plan.is_file() or plan.read_bytes() != self.store.read(RECORDS[0]):
            return known
        for folder in layout.journals_dir.glob("*"):
            round_here = layout.carried_json(folder)
            name = layout.record_of(round_here)
            here = round_here.read_bytes() if round_here.is_file() else None
            if here == (self.store.read(name) if name in there else None):
                known |= {layout.record_of(file) for file in folder.glob("*.jsonl")}
        return known

    def pull(self, there: dict[str, Stamp] | None = None, *, rows: bool = True) -> None:
        """Take what is new in the bucket, and delete here what is no longer there.

        Args:
            there: the objects, where they were just listed.
            rows: also the rows of finished shards and of the release.

        Raises:
            LedgerError: an object has a name that no file in OUT can have.
        """
        there = self.store.list() if there is None else there
        wrong = misnamed(there)
        if wrong is not None:
            raise LedgerError(f"{self.store.url} holds {wrong}; rename or delete it")
        manifests = {name for name in there if _MANIFEST.fullmatch(name)}
        plain = [
            name
            for name in there
            if not (_SEGMENT.fullmatch(name) or _SHARD.fullmatch(name) or name in manifests or _is_own(name))
            and (rows or not name.startswith("data/"))
        ]
        for name in [name for name in self._same if name not in there and name not in manifests]:
            self._drop(name)
        self._all(plain, lambda name: self._take(name, there[name]))
        self._all(manifests, lambda name: self._take_shard(name, there[name], rows=rows))
        done = {_index(name) for name in manifests}
        segments = _segments(there)
        open_ones = [name for name in segments if _index(name) not in done]
        self._all(open_ones, lambda name: self._take_journal(name, segments[name], there))
        for index in done:
            shutil.rmtree(RunLayout(self.out).journal_dir(index), ignore_errors=True)

    def push(self) -> None:
        """Bring what is new here into the bucket, and delete there what was deleted here.

        Only one process may do so: the holder of the lease, while no worker writes.
        """
        here = self._files()
        gone = [name for name in self._same if name not in here]
        changed = [name for name, stamp in here.items() if name not in self._same or self._same[name][1] != stamp]
        if RECORDS[-1] in gone or RECORDS[-1] in changed:
            self.store.delete([RECORDS[-1]])  # while its files change, it is no longer true
        for name in gone:
            self._forget(name)
        self._all([name for name in changed if name not in RECORDS], lambda name: self._give(name, here[name]))
        for name in RECORDS:
            if name in changed:
                self._give(name, here[name])
        self.push_journals()
        segments = _segments(self.store.list("journal/"))
        forgotten = [name for name in segments if not (self.out / name).is_file()]
        self.store.delete(one for name in forgotten for _, one in segments[name])

    def give(self, files: Iterable[Path]) -> None:
        """Bring some files into the bucket that are new or changed; journals and shards are none of them."""
        for file in files:
            name = RunLayout(self.out).record_of(file)
            if name not in self._same or self._same[name][1] != _local(file):
                self._give(name, _local(file))

    def hear_journal(self, index: int) -> None:
        """Take what workers elsewhere have written of an unfinished shard."""
        there = self.store.list(f"journal/{index:05d}/")
        with self._lock:
            self._take_journals(there)

    def begin_shard(self, file: str, index: int) -> bool:
        """Have on this machine what a worker needs of a shard: its part of the plan, and what was answered already.

        True where another worker has committed the shard meanwhile: its rows are here then.
        """
        layout = RunLayout(self.out)
        path = layout.plan_file(file)
        try:
            self._take_shard(layout.record_of(layout.manifest(index)), None, rows=True)
        except FileNotFoundError:
            pass  # nobody has committed it
        else:
            return True
        there = self.store.list(f"journal/{index:05d}/")
        with self._lock:
            if not path.is_file():
                self.store.download(layout.record_of(path), path)
            for name, stamp in there.items():
                if not _SEGMENT.fullmatch(name):
                    self._take(name, stamp)
            self._take_journals(there)
        return False

    def commit_shard(self, index: int) -> bool:
        """Bring a finished shard into the bucket, whose journal then goes; False where another worker was first.

        Its rows are then those of the other worker, here too.
        """
        layout = RunLayout(self.out)
        rows, manifest = layout.candidates(index), layout.manifest(index)
        data = manifest.read_bytes()
        name = layout.record_of(manifest)
        self.store.upload(rows, _shard_name(index, json.loads(data)["sha256"]))
        first = self.store.create(name, data)
        if not first:
            self._take_shard(name, None, rows=True)
        self._same[name] = (None, _local(manifest))
        self.store.delete(self.store.list(f"journal/{index:05d}/"))
        return first

    def push_journals(self, indices: Iterable[int] | None = None) -> None:
        """Bring the lines that were written since the last time into the bucket.

        Args:
            indices: of these shards; None of all.
        """
        layout = RunLayout(self.out)
        folders = layout.journals_dir.glob("*") if indices is None else map(layout.journal_dir, indices)
        for folder in folders:
            for file in sorted(folder.glob("*.jsonl")):
                self._send(file)

    def _send(self, file: Path) -> None:
        name = RunLayout(self.out).record_of(file)
        with self._lock:
            start = self._sent.get(name, 0)
            try:
                with file.open("rb") as lines:
                    lines.seek(start)
                    data = lines.read()
            except FileNotFoundError:  # its shard was committed just now
                return
            if data:
                self.store.write(f"{name}.d/{start:012d}", data)
                self._sent[name] = start + len(data)

    def _files(self) -> dict[str, LocalStamp]:
        """The files of the copy that stand in the bucket as they are, or, with their manifests, as shards."""
        found = {}
        for path in self.out.rglob("*"):
            if path.is_symlink() or not path.is_file():
                continue
            name = path.relative_to(self.out).as_posix()
            rows_of_shard = name.startswith("candidates/") and name.endswith(".parquet")
            in_progress = any(part.endswith(PART) for part in name.split("/"))
            if not (_is_own(name) or in_progress or rows_of_shard or (name.endswith(".jsonl") and "journal/" in name)):
                found[name] = _local(path)
        return found

    def _give(self, name: str, stamp: LocalStamp) -> None:
        if _MANIFEST.fullmatch(name):
            if name in self._same:
                self._forget(name)
            self.commit_shard(_index(name))
        else:
            self.store.upload(self.out / name, name)
            self._same[name] = (None, stamp)

    def _forget(self, name: str) -> None:
        """Delete in the bucket what was deleted here; a manifest with the rows that it is of."""
        self.store.delete([name])
        del self._same[name]
        if _MANIFEST.fullmatch(name):
            begin = f"candidates/{_index(name):05d}-"
            self.store.delete([one for one in self.store.list("candidates/") if one.startswith(begin)])

    def _take(self, name: str, stamp: Stamp) -> None:
        path = self.out / name
        known = self._same.get(name)
        if known is not None and known[0] == stamp and path.is_file():
            return
        unsure = known is not None and known[0] is None and path.is_file() and path.stat().st_size == stamp.size
        if not unsure:
            self.store.download(name, path, stamp.size)
        self._same[name] = (stamp, _local(path))

    def _take_shard(self, name: str, stamp: Stamp | None, *, rows: bool) -> None:
        """Have a finished shard here.

        Args:
            name: its manifest's.
            stamp: of the manifest, where that was just listed.

        Raises:
            FileNotFoundError: it is not finished.
            LedgerError: its manifest is damaged.
        """
        manifest = self.out / name
        index = _index(name)
        data = self.store.read(name)
        path = RunLayout(self.out).candidates(index)
        try:
            wanted = str(json.loads(data)["sha256"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise LedgerError(
                f"{self.store.url}/{name} is no shard's manifest; delete it to have it made again"
            ) from None
        have = manifest.is_file() and manifest.read_bytes() == data
        if rows and not (have and path.is_file()) and not (path.is_file() and sha256_of(path) == wanted):
            with suppress(FileNotFoundError):  # verify says which rows are missing
                self.store.download(_shard_name(index, wanted), path)
        if not have:
            write_whole(_with_folder(manifest), data)
        self._same[name] = (stamp, _local(manifest))

    def _drop(self, name: str) -> None:
        (self.out / name).unlink(missing_ok=True)
        del self._same[name]

    def _take_journals(self, there: dict[str, Stamp]) -> None:
        """Take the lines of all journals among some objects."""
        for name, segments in _segments(there).items():
            self._take_journal(name, segments, there)

    def _take_journal(self, name: str, segments: list[tuple[int, str]], there: dict[str, Stamp]) -> None:
        """The lines of a journal as far as its segments follow each other; a longer file that is here stays."""
        path = _with_folder(self.out / name)
        have = path.stat().st_size if path.is_file() else 0
        end = 0
        data = b""
        for start, one in segments:
            after = start + there[one].size
            if start > end:
                break
            if after > max(end, have + len(data)):
                data += self.store.read(one)[have + len(data) - start :]
            end = max(end, after)
        if data:
            with path.open("ab") as lines:
                lines.write(data)
        self._sent[name] = max(end, self._sent.get(name, 0))

    def __reduce__(self) -> tuple[type[Mirror], tuple[str, Path]]:
        return Mirror, (self.store.url, self.out)

    @staticmethod
    def _all(names: Iterable[str], work: Callable[[str], None]) -> None:
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="bucket") as pool:
            for _ in pool.map(work, names):
                pass


def _segments(there: Iterable[str]) -> dict[str, list[tuple[int, str]]]:
    """By journal the objects that hold its lines, each with the place where it begins, in order."""
    found: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for name in there:
        part = _SEGMENT.fullmatch(name)
        if part:
            found[part[1]].append((int(part[2]), name))
    return {journal: sorted(parts) for journal, parts in found.items()}


def _index(name: str) -> int:
    return int(re.findall(r"\d{5}", name)[0])


def _shard_name(index: int, sha256: str) -> str:
    return f"candidates/{index:05d}-{sha256[:16]}.parquet"


def _is_own(name: str) -> bool:
    return name.startswith((*OF_ONE_MACHINE, f"{LEASES}/"))


def _local(path: Path) -> LocalStamp:
    found = path.stat()
    return LocalStamp(found.st_size, found.st_mtime_ns)


def _with_folder(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
