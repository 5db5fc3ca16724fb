"""METEOR and SPICE through the Java programs that pycocoevalcap carries; where something is missing, the reason."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from capgen.errors import CapgenError

References = tuple[str, ...]


class ScorerFailed(CapgenError):
    """A caption metric's program ended or answered with something else than a number."""


class Scorer(Protocol):
    """A caption metric that runs outside of Python; scores are in 0 to 1."""

    def score(self, pairs: Sequence[tuple[References, str]]) -> list[float]:
        """The score of each candidate against its references.

        Raises:
            ScorerFailed: the program did not answer.
        """
        ...

    def warm(self) -> None:
        """Start the program, so that it loads while other work goes on."""
        ...

    def close(self) -> None:
        """End the program."""
        ...


_CORENLP_AT = "https://nlp.stanford.edu/software/stanford-corenlp-full-2015-12-09.zip"
_CORENLP = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")


def missing(metric: str) -> str:
    """Why ``meteor`` or ``spice`` cannot be had here, with the remedy; empty where it can."""
    folder = _folder(metric)
    if folder is None:
        return "pycocoevalcap is not installed (pip install 'capgen[eval]')"
    if shutil.which("java") is None:
        return "there is no java on the PATH (install a Java runtime, 11 or newer)"
    if metric == "spice":
        # pycocoevalcap would fetch the program over plain http where its first file is not there
        lacking = [name for name in _CORENLP if not (folder / "lib" / name).is_file()]
        if lacking:
            return (
                f"{lacking[0]} of Stanford CoreNLP 3.6.0, which it needs, is not in {folder / 'lib'} "
                f"(take {' and '.join(_CORENLP)} out of {_CORENLP_AT})"
            )
    return ""


def _folder(metric: str) -> Path | None:
    try:
        spec = find_spec(f"pycocoevalcap.{metric}.{metric}")
    except ModuleNotFoundError:
        return None
    return Path(spec.origin).parent if spec and spec.origin else None


class Meteor:
    """METEOR 1.5, English, with normalisation, one Java process for the whole run; equal pairs are asked once.

    Source: Denkowski and Lavie, 2014; the program's stdio protocol is SCORE (statistics of one pair), then EVAL.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._known: dict[tuple[References, str], float] = {}

    def __enter__(self) -> Meteor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def score(self, pairs: Sequence[tuple[References, str]]) -> list[float]:
        """The score of each candidate against the best of its references.

        Raises:
            ScorerFailed: Java is missing, ended, or answered with something else than numbers.
        """
        for references, candidate in pairs:
            if (references, candidate) not in self._known:
                self._known[references, candidate] = self._ask(references, candidate)
        return [self._known[pair] for pair in pairs]

    def _ask(self, references: References, candidate: str) -> float:
        # As the public wrapper does; line breaks would tear the protocol apart.
        fields = [_one_line(text) for text in references] + [_one_line(candidate).replace("|||", "").replace("  ", " ")]
        statistics = self._talk("SCORE ||| " + " ||| ".join(fields), 1)[0]
        answer = self._talk(f"EVAL ||| {statistics}", 2)[0]
        try:
            return float(answer)
        except ValueError as error:
            raise ScorerFailed(f"METEOR answered {answer!r}") from error

    def _talk(self, line: str, answers: int) -> list[str]:
        process = self._process or self._start()
        if process.stdin is None or process.stdout is None:
            raise ScorerFailed("METEOR has no pipes")
        try:
            process.stdin.write((line + "\n").encode())
            process.stdin.flush()
            found = [process.stdout.readline().decode().strip() for _ in range(answers)]
        except OSError as error:
            raise ScorerFailed(f"METEOR ended: {error}") from error
        if not all(found):
            raise ScorerFailed("METEOR ended without an answer")
        return found

    def _start(self) -> subprocess.Popen[bytes]:
        reason, folder = missing("meteor"), _folder("meteor")
        if reason or folder is None:
            raise ScorerFailed(reason)
        # file.encoding: under the C locale Java 17 would read every letter beyond ASCII as a question mark.
        # user.language: in a locale with a decimal comma the program would write its numbers with commas.
        command = ["java", "-Xmx2G", "-Dfile.encoding=UTF-8", "-Duser.language=en", "-Duser.country=US"]
        command += ["-jar", "meteor-1.5.jar"]
        command += ["-", "-", "-stdio", "-l", "en", "-norm"]
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        self._process = subprocess.Popen(command, cwd=folder, stdin=pipe, stdout=pipe, stderr=null)
        return self._process

    def warm(self) -> None:
        """Start the program, which reads its tables (some ten seconds) while other work goes on."""
        self._process = self._process or self._start()

    def close(self) -> None:
        """End the Java process."""
        if self._process is None:
            return
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                if stream:
                    stream.close()
        self._process.kill()
        self._process.wait()
        self._process = None

    def __del__(self) -> None:
        self.close()


def spice_program() -> Any:
    """pycocoevalcap's SPICE, made without its ``__init__``, which does nothing but download over plain http."""
    from pycocoevalcap.spice.spice import Spice as Program

    return Program.__new__(Program)


class Spice:
    """SPICE's F score through pycocoevalcap, which needs the Stanford CoreNLP models beside it."""

    def score(self, pairs: Sequence[tuple[References, str]]) -> list[float]:
        """The F score of each candidate against its references.

        Raises:
            ScorerFailed: something is missing, or the program ended with an error.
        """
        reason = missing("spice")
        if reason:
            raise ScorerFailed(reason)
        unique = list(dict.fromkeys(pairs))
        references = {i: list(pair[0]) for i, pair in enumerate(unique)}
        candidates = {i: [pair[1]] for i, pair in enumerate(unique)}
        try:
            _, found = spice_program().compute_score(references, candidates)
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            raise ScorerFailed(f"SPICE ended: {error}") from error
        known = {pair: float(answer["All"]["f"]) for pair, answer in zip(unique, found, strict=True)}
        return [known[pair] for pair in pairs]

    def warm(self) -> None:
        """Nothing is kept running."""

    def close(self) -> None:
        """Nothing is kept running."""


def _one_line(text: str) -> str:
    return text.replace("\r", " ").replace("\n", " ")


def scorers(metrics: Iterable[str]) -> tuple[dict[str, Scorer], list[str]]:
    """The programs for those of ``metrics`` that need one, and a line for each that cannot be had."""
    found: dict[str, Scorer] = {}
    notes = []
    kinds: dict[str, type[Meteor] | type[Spice]] = {"meteor": Meteor, "spice": Spice}
    for metric in metrics:
        if metric in kinds:
            reason = missing(metric)
            if reason:
                notes.append(f"{metric.upper()} is left out: {reason}")
            else:
                found[metric] = kinds[metric]()
                found[metric].warm()
    return found, notes
