"""Where everything of a run lies. No other module spells a path inside OUT, so that OUT can become something else."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from capgen.errors import UserError

PART = ".part"
"""Suffix of what is still being written; such files count as not there."""


OF_ONE_MACHINE = (".lock", "logs/", "world/")
"""How the names begin of what each machine has for itself: locks, what engines printed, a sample world."""

RECORDS = ("plan.json", "release.json")
"""What names everything else: written after it, deleted before it."""


@dataclass(frozen=True, slots=True)
class RunLayout:
    """The paths of a run's folder OUT, which ``capgen run --out`` names.

    Args:
        out: the folder; nothing has to exist.
    """

    out: Path

    @property
    def plan_json(self) -> Path:
        """What was planned, with which settings; written last, so a run is planned when it is there."""
        return self.out / "plan.json"

    @property
    def plan_dir(self) -> Path:
        """The folder of the planned media, a file a shard."""
        return self.out / "plan"

    @property
    def plan_part(self) -> Path:
        """The planned media of a larger limit, until those that differ have their place in ``plan_dir``."""
        return self.out / f"plan{PART}"

    def plan_file(self, name: str) -> Path:
        """The planned media of a shard, under the name that its entry in the shard table has."""
        return self.plan_dir / name

    @property
    def journals_dir(self) -> Path:
        """The folder of the answers in unfinished shards."""
        return self.out / "journal"

    def journal_dir(self, index: int) -> Path:
        """The answers of an unfinished shard."""
        return self.journals_dir / f"{index:05d}"

    @staticmethod
    def journal_file(journal: Path, number: int, token: str) -> Path:
        """The answers that one worker writes into a journal: the ``number``-th that ever had the shard."""
        return journal / f"{number:04d}-{token}.jsonl"

    @staticmethod
    def carried(journal: Path) -> Path:
        """The rows of the commit that a retry has undone, in the shard's journal."""
        return journal / "carried.parquet"

    @staticmethod
    def carried_json(journal: Path) -> Path:
        """Which of the rows in ``carried`` are asked for again."""
        return journal / "carried.json"

    def has_answers(self) -> bool:
        """Whether anything was asked, or is about to be asked elsewhere, that is worth keeping."""
        places = (self.journals_dir, self.batch_dir, self.candidates_dir)
        return any(path.is_file() for place in places for path in place.rglob("*"))

    @property
    def candidates_dir(self) -> Path:
        """The folder of the finished shards."""
        return self.out / "candidates"

    def candidates(self, index: int) -> Path:
        """The rows of a finished shard."""
        return self.candidates_dir / f"{index:05d}.parquet"

    def manifest(self, index: int) -> Path:
        """The manifest of a finished shard, without which it is not finished."""
        return self.candidates_dir / f"{index:05d}.json"

    def all_candidates(self) -> list[Path]:
        """The rows of every shard that is there, in order."""
        return sorted(self.candidates_dir.glob("*.parquet"))

    @property
    def data_dir(self) -> Path:
        """The Parquet files of the release, a folder for each config."""
        return self.out / "data"

    @property
    def data_part(self) -> Path:
        """The next release while it is being made."""
        return self.out / f"data{PART}"

    @property
    def scratch(self) -> Path:
        """What tasks that plan, pack or verify leave for each other; gone when they are done."""
        return self.out / f"scratch{PART}"

    nodes_part: ClassVar[str] = f"nodes{PART}"
    """The folder, below OUT, of what machines of a cluster write to show that they see it; gone when they have."""

    @property
    def data_old(self) -> Path:
        """The last release while the next one takes its place."""
        return self.out / f"data.old{PART}"

    def media_files(self) -> list[Path]:
        """The released files of the config ``media``, also where a kill has left only those of the release before."""
        return sorted(file for data in (self.data_dir, self.data_old) for file in (data / "media").glob("*.parquet"))

    @staticmethod
    def data_pattern(config: str, stem: str) -> str:
        """The released files of a config and split, relative to OUT, as the card says them to ``datasets``."""
        return f"data/{config}/{stem}-*.parquet"

    def released(self, path: str) -> Path:
        """A file by the name that ``release.json`` has for it."""
        return self.out / path

    def record_of(self, path: Path) -> str:
        """The name that ``release.json`` has for a file of OUT."""
        return path.relative_to(self.out).as_posix()

    @property
    def source_json(self) -> Path:
        """By split, what the file that captions were imported from says beside images, videos and annotations."""
        return self.out / "source.json"

    @property
    def release_json(self) -> Path:
        """The record of the release, written last."""
        return self.out / "release.json"

    @property
    def dedup(self) -> Path:
        """The rows that the release leaves out because another one says the same."""
        return self.out / "dedup.parquet"

    @property
    def dedup_part(self) -> Path:
        """The next ``dedup`` while it is being made."""
        return self.out / f"dedup.parquet{PART}"

    @property
    def card(self) -> Path:
        """The data card, which tells ``datasets`` what to load."""
        return self.out / "README.md"

    @property
    def report_json(self) -> Path:
        """What the last session did."""
        return self.out / "report.json"

    def engine_log(self, number: int) -> Path:
        """What an engine's process printed."""
        return self.out / "logs" / f"engine-{number:02d}.log"

    @property
    def lock(self) -> Path:
        """Held by the one run that works on OUT."""
        return self.out / ".lock"

    @property
    def lock_file(self) -> Path:
        """What ``lock`` is on a file system without locks: there as long as somebody works on OUT."""
        return self.out / ".lock.held"

    @property
    def batch_dir(self) -> Path:
        """The requests and answers of the engine ``batchfile``."""
        return self.out / "batch"

    @property
    def calibration(self) -> Path:
        """The threshold for a wanted precision, and its curve."""
        return self.out / "calibration.json"

    @property
    def calibration_plot(self) -> Path:
        """The curve of ``calibration`` as a picture."""
        return self.out / "calibration.png"

    @property
    def reviews(self) -> Path:
        """What people said of captions in the gallery; only appended to."""
        return self.out / "reviews.jsonl"

    @property
    def report_dir(self) -> Path:
        """The folder of what ``capgen report`` writes."""
        return self.out / "report"

    @property
    def sessions_dir(self) -> Path:
        """The folder of the records of sessions: how fast each asked, and on what."""
        return self.out / "sessions"

    def session(self, number: int) -> Path:
        """The record of a session, counted from 1."""
        return self.sessions_dir / f"{number:04d}.json"

    @property
    def judge(self) -> Path:
        """The table of scores that ``capgen judge`` writes."""
        return self.out / "judge.parquet"

    def judge_journal(self, digest: str) -> Path:
        """What a call of ``capgen judge`` that was stopped has judged."""
        return self.out / "judge" / f"{digest}.jsonl"

    def beside_a_run(self) -> list[Path]:
        """The files that are there of those that verbs beside ``run`` and ``retry`` write."""
        files = [self.calibration, self.calibration_plot, self.reviews, self.judge, *self.report_dir.rglob("*")]
        return [path for path in files if path.is_file()]

    @property
    def world(self) -> Path:
        """The sample world of a run that was given no dataset."""
        return self.out / "world"

    def unrecorded(self, known: set[str]) -> Iterator[Path]:
        """Files in the release's folder whose names are not in ``known``."""
        for path in sorted(self.data_dir.rglob("*")):
            if path.is_file() and self.record_of(path) not in known:
                yield path


def lock_of(file: Path) -> Path:
    """Held by who makes a file that belongs to no run."""
    return file.with_name(f".{file.name}.lock")


@dataclass(frozen=True, slots=True)
class OwnEntries:
    """The names that a command writes in its output folder, beside those that end in ``.part``."""

    files: frozenset[str]
    folders: frozenset[str] = frozenset()


RUN_ENTRIES = OwnEntries(
    frozenset(
        {".lock", "plan.json", "README.md", "release.json", "report.json", "dedup.parquet", "reviews.jsonl"}
        | {"source.json", "calibration.json", "calibration.png", "judge.parquet"}
    ),
    frozenset({"plan", "journal", "candidates", "logs", "data", "batch", "world", "report", "sessions", "judge"}),
)
TRAINING_ENTRIES = OwnEntries(
    frozenset({".lock", "settings.json", "loss.png"}),
    frozenset({"checkpoints", "model", "logs", "validation", "pictures", "cache"}),
)
ABLATION_ENTRIES = OwnEntries(
    frozenset({".lock", "ablation.json", "ablation.md", "ablation.png"}), frozenset({"variants", "world"})
)
SEGMENTATION_ENTRIES = OwnEntries(frozenset({".lock", "train.json"}), frozenset({"found"}))
PREDICTION_ENTRIES = OwnEntries(frozenset({".lock", "tracks.json", "annotated.mp4", "annotated.png", "sheet.png"}))


_FILE_SUFFIXES = (".json", ".jsonl", ".parquet", ".log", ".md", ".html")


def refuse_links(out: Path, own: OwnEntries = RUN_ENTRIES, *, reading: bool = False) -> None:
    """Refuse an OUT whose own entries would lead a write elsewhere, or a read into a pipe or device without an end.

    Args:
        own: the entries that are looked at, with all that lies below its folders, and files that end in ``.part``.
        reading: OUT is only read: symbolic links are followed, as a release in the cache of a hub is made of them.

    Raises:
        UserError: an entry is a symbolic link, a pipe, a socket or a device, or a folder where a file belongs.
    """
    try:
        entries = [*os.scandir(out)]
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        part = entry.name.endswith(PART)
        if entry.name not in own.files | own.folders and not part:
            continue
        mode = _checked_mode(entry, reading=reading)
        wrong = stat.S_ISDIR if entry.name in own.files else stat.S_ISREG
        if wrong(mode) and not part:
            kind = "a folder where a file belongs" if stat.S_ISDIR(mode) else "a file where a folder belongs"
            raise UserError(f"{entry.path} is {kind}", "move it away")
        inside = [entry] if stat.S_ISDIR(mode) and not entry.is_symlink() else []
        while inside:
            modes = [(inner, _checked_mode(inner, reading=reading)) for inner in os.scandir(inside.pop())]
            folders = [inner for inner, mode in modes if stat.S_ISDIR(mode)]
            for folder in folders:
                if folder.name.endswith(_FILE_SUFFIXES):
                    raise UserError(f"{folder.path} is a folder where a file belongs", "move it away")
            inside += [folder for folder in folders if not folder.is_symlink()]


def _checked_mode(entry: os.DirEntry[str], *, reading: bool) -> int:
    """The mode of an entry, which is a regular file or a folder; 0 where a link leads nowhere."""
    try:
        mode = entry.stat(follow_symlinks=reading).st_mode
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise UserError(
            f"{entry.path} cannot be looked at: {error.strerror}", "delete it, or put back what it was"
        ) from None
    if stat.S_ISLNK(mode):
        what = (
            f"{entry.path} is a symbolic link to {str(Path(entry.path).readlink())!r}; nothing is written through links"
        )
        raise UserError(what, "put what it leads to in its place, or delete it if you did not make it")
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise UserError(f"{entry.path} is a pipe, a socket or a device, not a file", "delete it")
    return mode


def picture_bounds(root: Path | None, follow_links: bool | None) -> Path | None:
    """The folder that links among a dataset's pictures must not lead out of; None where they may lead anywhere.

    Args:
        root: the dataset's folder.
        follow_links: what the user says; None allows links unless the root lies in the folder of a run, which somebody
            else may have made.
    """
    if root is None or follow_links:
        return None
    return root if follow_links is False else _run_around(root)


def _run_around(root: Path) -> Path | None:
    """The folder of the run in which a folder lies by its name, or where its links lead; None for none."""
    places = (Path.cwd() / root, root.resolve())
    above = (folder for place in places for folder in (place, *place.parents))
    return next((folder for folder in above if RunLayout(folder).plan_json.is_file()), None)
