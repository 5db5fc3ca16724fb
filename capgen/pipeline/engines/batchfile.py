"""``batchfile``: requests as files for a batch runner (``vllm run-batch``, a cloud's batches), answers from its output.

One command writes the requests that have no answer yet and ends; once the runner's output lies in the folder, the same
command takes the answers up by key and goes on. ::

    FOLDER/requests-1f2e3d4c-0001.jsonl   what to run, a request a line
    FOLDER/requests-1f2e3d4c-0001.index   which requests those are: keep it
    FOLDER/results/*, FOLDER/*.out.jsonl  what the runner wrote, in any order, under any name

An answer counts only for a request that this folder has asked with the same content. Lines may be missing or repeated:
of two answers the first counts, and a request whose file was answered without it is written again.
"""

from __future__ import annotations

import codecs
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, ClassVar
from uuid import uuid4

import msgspec
import xxhash

from capgen.dataset.files import part_of, publish
from capgen.dataset.layout import RunLayout
from capgen.errors import UserError
from capgen.pipeline.engines.base import EngineContext, EngineFault, Postponed, RequestRefused
from capgen.pipeline.engines.chat_completions import BodyOptions, BodyWriter
from capgen.pipeline.engines.completion import error_text, named_limit, read_completion
from capgen.pipeline.engines.reasoning import USUAL, Markers
from capgen.pipeline.view import Answer, View, request_digest
from capgen.redaction import message

log = logging.getLogger(__name__)

_URL = "/v1/chat/completions"
_REFUSED = frozenset({400, 413, 415, 422})
_WRITERS = 16


@dataclass(frozen=True, slots=True)
class Batchfile:
    """Options of the engine; the model's name is the pipeline's ``[model] id``.

    Args:
        folder: where the files lie; None is ``OUT/batch``. On a cluster every machine must see it.
        requests_per_file, mib_per_file: a file is ended at either; clouds take 50,000 and 200 MB at most.
        tries: how often a request is written again whose answer is an error that may pass.
        image_format, jpeg_quality, token_limit, picture_ids, extra_body: as for the engine ``openai``.
        logprobs: ask for log-probabilities. Off by default: a runner that knows none would refuse the whole batch.
    """

    decides: ClassVar[tuple[str, ...]] = ("image_format", "jpeg_quality", "token_limit", "extra_body", "logprobs")

    folder: str | None = None
    requests_per_file: int = 10_000
    mib_per_file: int = 180
    tries: int = 3
    image_format: str = "jpeg"
    jpeg_quality: int = 95
    token_limit: str = "max_tokens"
    picture_ids: bool = False
    extra_body: dict[str, Any] = field(default_factory=dict)
    logprobs: bool = False

    def __post_init__(self) -> None:
        if min(self.requests_per_file, self.mib_per_file, self.tries) < 1:
            raise ValueError("requests_per_file, mib_per_file and tries count from 1")
        _ = self.body_options

    @property
    def body_options(self) -> BodyOptions:
        """The options that decide how a request is written."""
        return BodyOptions(
            self.image_format,
            self.jpeg_quality,
            self.token_limit,
            self.picture_ids,
            extra=self.extra_body,
            logprobs=self.logprobs,
        )

    @property
    def in_flight(self) -> int:
        """Requests that are encoded at once."""
        return _WRITERS

    async def start(self, context: EngineContext) -> BatchfileSession:
        """Read what was asked and what was answered.

        Raises:
            UserError: there is no folder to use, or a file in it cannot be read.
        """
        folder = Path(self.folder) if self.folder else context.out and RunLayout(context.out).batch_dir
        if folder is None:
            raise UserError("engine batchfile needs a folder", "give it with --set engine.options.folder=DIR")
        try:
            (folder / "results").mkdir(parents=True, exist_ok=True)
            asked = read_index(folder)
            results = Results.read(folder, (*USUAL, *context.model.reasoning))
        except OSError as error:
            raise UserError(f"engine batchfile: {error}", "give another --set engine.options.folder=DIR") from error
        answered = {
            file for key, one in asked.items() if key in results.found for file in one.answered(results.found[key])
        }
        writer = BodyWriter(context, self.body_options)
        salt = f"{context.model.model_dump_json()}:{context.sampling.model_dump_json()}:{self.body_options}"
        return BatchfileSession(self, writer, folder.resolve(), salt, asked, answered, results, Outbox(self, folder))


@dataclass(slots=True)
class Found:
    """What the results say of a key: the first answer, the first refusal, and the errors that may pass, each once."""

    answer: Answer | None = None
    refused: str | None = None
    errors: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Asked:
    """A request that was written: the digest of its content, and every file that has it, in order."""

    digest: str
    files: list[str] = field(default_factory=list)

    def answered(self, found: Found) -> list[str]:
        """The files among these that the results show to have been run."""
        return self.files if found.answer or found.refused else self.files[: len(found.errors)]


class _Response(msgspec.Struct):
    status_code: int = 200
    body: msgspec.Raw = msgspec.Raw(b"null")


class _Line(msgspec.Struct):
    """A line of a batch's output, in OpenAI's form and in vLLM's."""

    custom_id: str
    response: _Response | None = None
    error: msgspec.Raw = msgspec.Raw(b"null")


@dataclass(slots=True)
class Results:
    """Everything that a folder's results say, by key.

    ``markers``: what begins and ends reasoning in an answer.
    """

    markers: Markers = USUAL
    found: dict[str, Found] = field(default_factory=dict)
    unread: int = 0
    differing: list[str] = field(default_factory=list)
    _seen: set[int] = field(default_factory=set)

    @classmethod
    def read(cls, folder: Path, markers: Markers = USUAL) -> Results:
        """Read every results file, in the order of their names; what is amiss is logged once.

        Raises:
            OSError: a file cannot be read.
        """
        results = cls(markers)
        files = [*folder.glob("*.out.jsonl"), *(file for file in (folder / "results").rglob("*") if file.is_file())]
        for file in sorted(files):
            with file.open("rb") as lines:
                for line in lines:
                    results.add(line)
        if results.unread:
            log.warning("engine batchfile: %d lines in %s are no batch output", results.unread, folder)
        if results.differing:
            log.warning(
                "engine batchfile: %d requests in %s have answers that differ, %s for example; the first counts",
                len(results.differing),
                folder,
                results.differing[0],
            )
        results._seen.clear()
        return results

    def add(self, line: bytes) -> None:
        """Take a line; one that was there already, byte for byte, is as if it were not."""
        line = line.removeprefix(codecs.BOM_UTF8).strip()
        mark = xxhash.xxh64_intdigest(line)
        if not line or mark in self._seen:
            return
        self._seen.add(mark)
        try:
            read = msgspec.json.decode(line, type=_Line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self.unread += 1
            return
        self._judge(read, self.found.setdefault(read.custom_id, Found()))

    def _judge(self, line: _Line, found: Found) -> None:
        status = line.response.status_code if line.response else 0
        if status == 200 and line.response:
            try:
                answer = read_completion(line.response.body).answer(self.markers)
            except EngineFault as fault:
                found.errors.append(str(fault))
                return
            if found.answer is None:
                found.answer = answer
            elif (found.answer.text, found.answer.finish_reason) != (answer.text, answer.finish_reason):
                self.differing.append(line.custom_id)
            return
        sources = [bytes(line.error), bytes(line.response.body) if line.response else b"null"]
        told = next((error_text(source)[0] for source in sources if source != b"null"), "without a message")
        sentence = message(f"the batch answered {status or 'with an error'}: {told}")
        if status in _REFUSED:
            limit = named_limit(status, told)
            found.refused = found.refused or (f"{sentence} ({limit})" if limit else sentence)
        else:
            found.errors.append(sentence)


@dataclass(slots=True)
class BatchfileSession:
    """What was asked and answered; requests that wait for an answer are written, once."""

    options: Batchfile
    writer: BodyWriter
    folder: Path
    salt: str
    asked: dict[str, Asked]
    answered: set[str]
    results: Results
    outbox: Outbox

    async def answer(self, view: View) -> Answer:
        """The answer that the results hold, or the fault; where there is neither yet, the request is written."""
        name = f"{view.key}#{view.step}" if view.step else view.key
        digest = request_digest(view, self.salt)
        asked = self.asked.setdefault(name, Asked(digest))
        if asked.digest != digest:
            raise UserError(
                f"{self.folder} holds {name} as asked by another run: its prompt, picture or sampling differs",
                "give this run a folder of its own: --set engine.options.folder=DIR",
            )
        found = (self.results.found.get(name) if asked.files else None) or Found()
        if found.answer is not None:
            return found.answer
        if found.refused is not None:
            raise RequestRefused(found.refused)
        if len(found.errors) >= self.options.tries:
            raise EngineFault(f"{found.errors[-1]} (asked {len(found.errors)} times)")
        if not asked.files or len(found.errors) >= len(asked.files) or asked.files[-1] in self.answered:
            line = {"custom_id": name, "method": "POST", "url": _URL, "body": await self.writer.body(view)}
            asked.files.append(self.outbox.add(name, digest, msgspec.json.encode(line)))
        raise Postponed(
            f"wait for answers in {self.folder}",
            "run its requests-*.jsonl as batches, put their output into its folder results, and run the same command",
        )

    async def stop(self) -> None:
        """End the file that is being written, so that it can be run."""
        self.outbox.close()


class Outbox:
    """Writes request files: each is there under its name only when it is whole, and its index after it."""

    def __init__(self, options: Batchfile, folder: Path) -> None:
        self._options, self._folder = options, folder
        self._name = f"requests-{uuid4().hex[:8]}"
        self._number = 0
        self._part: Path | None = None
        self._file: BinaryIO | None = None
        self._index: list[bytes] = []

    def add(self, key: str, digest: str, line: bytes) -> str:
        """Write a request; the name of its file, without suffix."""
        if self._file is None:
            self._number += 1
            self._part = part_of(self._path("jsonl"))
            self._file = self._part.open("wb")
        self._file.write(line + b"\n")
        self._index.append(msgspec.json.encode([key, digest]) + b"\n")
        name = self._path("jsonl").stem
        full = self._file.tell() >= self._options.mib_per_file * 2**20
        if full or len(self._index) >= self._options.requests_per_file:
            self.close()
        return name

    def close(self) -> None:
        """Publish the file in hand."""
        if self._file is None or self._part is None:
            return
        self._file.close()
        publish(self._part, self._path("jsonl"))
        index = part_of(self._path("index"))
        index.write_bytes(b"".join(self._index))
        publish(index, self._path("index"))
        self._file = self._part = None
        self._index.clear()

    def _path(self, suffix: str) -> Path:
        return self._folder / f"{self._name}-{self._number:04d}.{suffix}"


def read_index(folder: Path) -> dict[str, Asked]:
    """Every request that was ever written into a folder, by key.

    Raises:
        OSError: a file cannot be read.
        UserError: a file is no index.
    """
    asked: dict[str, Asked] = {}
    for file in sorted(folder.glob("requests-*.index"), key=lambda path: (path.stat().st_mtime_ns, path.name)):
        try:
            for key, digest in _entries(file):
                one = asked.setdefault(key, Asked(digest))
                one.digest = digest
                one.files.append(file.stem)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise UserError(
                f"{file} is damaged ({error})", "delete it and its .jsonl file: they are written anew"
            ) from error
    return asked


def _entries(file: Path) -> Iterator[tuple[str, str]]:
    for line in file.read_bytes().splitlines():
        yield msgspec.json.decode(line, type=tuple[str, str])
