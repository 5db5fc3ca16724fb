"""The answers of a judge, kept by content: what was asked once is never paid for again, and a killed run goes on.

A file for each judge, a line for each answer, appended as it comes. Lines that a kill tore or that are none are as if
never written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

import msgspec

from capgen.encoding import read_bytes
from capgen.errors import UserError
from capgen.evaluation.region_captions.judging.judge import JudgeIdentity, JudgeReply

_FINISHED = ("stop", "length")


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    request: str
    text: str
    finish_reason: str
    prompt_tokens: int = 0
    output_tokens: int = 0


def usual_folder() -> Path:
    """``capgen/judgements`` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "capgen" / "judgements"


class JudgementCache:
    """The answers of one judge; a context manager that closes its file.

    Raises:
        UserError: the folder cannot be made, or the file not read or written.
    """

    def __init__(self, folder: Path, identity: JudgeIdentity) -> None:
        self.path = folder / f"{identity.digest()}.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._known = {line.request: _reply(line) for line in _lines(self.path)}
            self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            if not os.fstat(self._fd).st_size:
                self._append(json.dumps({"judge": asdict(identity)}, default=str).encode())
            elif not self.path.read_bytes().endswith(b"\n"):  # torn by a kill: the next line must not join it
                self._append(b"")
        except OSError as error:
            raise self._trouble(error) from error

    def __enter__(self) -> JudgementCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def __len__(self) -> int:
        return len(self._known)

    def get(self, digest: str) -> JudgeReply | None:
        """The answer to a request of that content; None where it was never given."""
        return self._known.get(digest)

    def put(self, digest: str, reply: JudgeReply) -> None:
        """Keep an answer; one that the engine did not finish is not kept, and so asked again.

        Raises:
            UserError: it cannot be written.
        """
        if reply.fault is not None or reply.finish_reason not in _FINISHED:
            return
        self._known[digest] = reply
        line = _Line(
            request=digest,
            text=reply.text,
            finish_reason=reply.finish_reason,
            prompt_tokens=reply.prompt_tokens,
            output_tokens=reply.output_tokens,
        )
        try:
            self._append(msgspec.json.encode(line))
        except OSError as error:
            raise self._trouble(error) from error

    def _append(self, line: bytes) -> None:
        os.write(self._fd, line + b"\n")

    def _trouble(self, error: OSError) -> UserError:
        return UserError(f"cannot keep judgements in {self.path} ({error.strerror})", "give another folder: --cache")


def _lines(path: Path) -> Iterator[_Line]:
    if not path.is_file():
        return
    for raw in read_bytes(path).split(b"\n"):
        try:
            yield msgspec.json.decode(raw, type=_Line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue


def _reply(line: _Line) -> JudgeReply:
    return JudgeReply(line.text, line.finish_reason, line.prompt_tokens, line.output_tokens)
