"""A release on the Hugging Face Hub: its files are compared with their hashes, uploaded, and appear in one commit.

What was uploaded before a push was stopped is not sent again: the Hub says which contents it has.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capgen.dataset.card import strange_configs
from capgen.dataset.files import sha256_of
from capgen.dataset.layout import RunLayout, refuse_links
from capgen.dataset.release_record import CONFIGS, card_fits, check_released, read_release
from capgen.errors import CapgenError, LedgerError, MissingFile, UserError
from capgen.redaction import message, shown_url

_TYPE = "dataset"
_DATA = "data/"
_HELP = "set HF_TOKEN, or run `hf auth login`"

PushStep = Callable[[str, int, int], None]
"""Told the file that is sent next, how many are sent, and how many there are."""


@dataclass(frozen=True, slots=True)
class PushFile:
    """A file of a release: its path in the repository, where it is, its size in bytes and its sha256."""

    path: str
    place: Path
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class PushPlan:
    """What is sent.

    Args:
        card: the text of ``README.md``.
        edited: whether the card was edited after the release was packed.
        warning: why the release is marked.
    """

    files: tuple[PushFile, ...]
    card: str
    edited: bool
    warning: str | None = None

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(file.bytes for file in self.files)


class HubRefused(CapgenError):
    """The Hub could not be reached, or did not do what was asked."""


def plan_push(out: Path) -> PushPlan:
    """The files of a release, checked: those that ``release.json`` records, that record and the card.

    Raises:
        MissingFile: OUT has no release, or no card.
        LedgerError: a file is not as recorded.
        UserError: the card has ``datasets`` load other files, or something in OUT is a link or device.
    """
    if not out.is_dir():
        raise MissingFile(out, "give the OUT of a finished `capgen run` or `capgen import`")
    refuse_links(out)
    layout = RunLayout(out)
    release = read_release(out)
    if release is None:
        raise MissingFile(layout.release_json, "give the OUT of a finished `capgen run`, which writes this file last")
    for config in CONFIGS:
        check_released(out, config)
    if not layout.card.is_file():
        raise MissingFile(layout.card, "delete release.json and run the same command again")
    data = layout.card.read_bytes()
    strange = strange_configs(data)
    if strange:
        raise UserError(f"{layout.card} has datasets load other files: {strange}", "restore it, or pack again")
    recorded = {file.path: file for file in release.files}
    names = [file.path for file in release.files if file.config in CONFIGS]
    source = layout.record_of(layout.source_json)
    if source in recorded:
        if sha256_of(layout.source_json) != recorded[source].sha256:
            raise LedgerError(f"{layout.source_json} is not the file that release.json records; import it again")
        names.append(source)
    files = [_described(layout, name, recorded[name].sha256) for name in names]
    files += [_described(layout, layout.record_of(path)) for path in (layout.release_json, layout.card)]
    edited = not card_fits(out, release)
    return PushPlan(tuple(files), data.decode("utf-8", "replace"), edited, release.warning)


def _described(layout: RunLayout, name: str, sha256: str | None = None) -> PushFile:
    path = layout.released(name)
    return PushFile(name, path, path.stat().st_size, sha256 or sha256_of(path))


def push_release(
    plan: PushPlan, repo: str, *, private: bool = False, revision: str | None = None, progress: PushStep | None = None
) -> str:
    """Send the files to a dataset repository, which is made where it is not there; the address of the commit.

    Files below ``data/`` that are not of the release are deleted there in the same commit.

    Args:
        revision: a branch, which is made where it is not there; None for the main one.

    Raises:
        UserError: there is no token, the name is none, or ``private`` is asked of a public repository.
        HubRefused: the Hub cannot be reached or refuses.
    """
    with _quietly(), _errors(repo):
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token

        if get_token() is None:
            raise UserError("there is no token for the Hub", _HELP)
        api = HfApi()
        api.create_repo(repo, repo_type=_TYPE, private=private, exist_ok=True)
        if private and not api.repo_info(repo, repo_type=_TYPE).private:
            raise UserError(f"{repo} is public already", "make it private on the Hub, or push without --private")
        if revision is not None:
            api.create_branch(repo, repo_type=_TYPE, branch=revision, exist_ok=True)
        there = api.list_repo_files(repo, repo_type=_TYPE, revision=revision)
        additions = []
        for number, file in enumerate(plan.files):
            if progress:
                progress(file.path, number, len(plan.files))
            added = CommitOperationAdd(path_in_repo=file.path, path_or_fileobj=str(file.place))
            api.preupload_lfs_files(repo, additions=[added], repo_type=_TYPE, revision=revision, free_memory=False)
            additions.append(added)
        _refuse_changed(plan.files)
        kept = {file.path for file in plan.files}
        gone = [name for name in there if name.startswith(_DATA) and name not in kept]
        operations: list[Any] = [*additions, *(CommitOperationDelete(path_in_repo=name) for name in gone)]
        commit = api.create_commit(
            repo, operations, commit_message="Upload a release of capgen", repo_type=_TYPE, revision=revision
        )
        return str(commit.commit_url)


def _refuse_changed(files: Sequence[PushFile]) -> None:
    """Files that changed while they were sent would be of no release."""
    for file in files:
        if file.place.stat().st_size != file.bytes or sha256_of(file.place) != file.sha256:
            raise UserError(f"{file.place} changed while it was sent", "run the same command again")


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep the library's bars and hints off the terminal: this command has its own."""
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def _errors(repo: str) -> Iterator[None]:
    """Every refusal of the Hub in one line; nothing of it holds a token."""
    import httpx2  # what huggingface_hub speaks HTTP with
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    hub = shown_url(constants.ENDPOINT)
    try:
        yield
    except HFValidationError as error:
        raise UserError(f"{repo!r} is no name of a repository ({_first(error)})", "give OWNER/NAME") from error
    except OfflineModeIsEnabled as error:
        raise UserError("HF_HUB_OFFLINE forbids to reach the Hub", "unset it") from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        remedy = _HELP if status in (401, 403) else "run the same command again; what was sent is kept"
        raise HubRefused(f"{hub} refuses {repo} with status {status}: {_said(error)}; {remedy}") from error
    except (httpx2.HTTPError, OSError, RuntimeError, ValueError) as error:
        what = f"{hub} cannot be reached for {repo}: {type(error).__name__}: {_first(error)}"
        raise HubRefused(f"{what}; run the same command again, what was sent is kept") from error


def _said(error: Any) -> str:
    """What the Hub itself says, where it says something."""
    return message(error.server_message)[:300] if error.server_message else _first(error)


def _first(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return message(lines[0] if lines else type(error).__name__)[:300]
