"""What a benchmark of captions with a judge is, and how its files are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from capgen.errors import UserError
from capgen.evaluation.reading.fields import shown
from capgen.evaluation.region_captions.json_files import read_captions, read_json_file, read_rows
from capgen.evaluation.region_captions.judging.judge import JudgeQuestion
from capgen.evaluation.region_captions.judging.session import Answers

_KEYS = ("uid", "key", "image", "image_id", "id", "video")
_TEXTS = ("pred", "prediction", "model_output", "caption")


@dataclass(frozen=True, slots=True)
class BenchmarkFiles:
    """What a benchmark is opened with.

    Args:
        truth: its file or folder; None where the predictions hold the truth too.
        predictions: captions by key, or the form that the benchmark's own programs write.
        images: folder of its pictures, for judges that look at them; None for judges that only read.
    """

    truth: Path | None
    predictions: Path
    images: Path | None = None

    def truth_rows(self) -> list[dict[str, Any]]:
        """The benchmark's rows, or the predictions' own where no truth is given."""
        return read_rows(self.truth or self.predictions)


class CaptionBenchmark(Protocol):
    """A benchmark with its captions: what to ask, and what the answers are worth."""

    @property
    def regions(self) -> int:
        """How many regions there are."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What has to be said of the files."""
        ...

    def questions(self) -> list[JudgeQuestion]:
        """Everything that a judge must answer."""
        ...

    def numbers(self, answers: Answers) -> dict[str, float]:
        """The benchmark's numbers; ``answers`` has every question's key."""
        ...


def missing_note(count: int) -> list[str]:
    """The note on regions without a caption."""
    return [f"{count:,} regions have no caption and get no points"] if count else []


def text_of(row: Mapping[str, Any], name: str, where: str) -> str:
    """A text of a row.

    Raises:
        UserError: it is not there, or no text.
    """
    value = row.get(name)
    if not isinstance(value, str):
        raise UserError(f"{where}: {name} is {shown(value)}", "give the benchmark's file as its owners release it")
    return value


def whole_of(row: Mapping[str, Any], name: str, where: str) -> int:
    """A whole number of a row.

    Raises:
        UserError: it is none.
    """
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise UserError(f"{where}: {name} is {shown(value)}, no whole number", "give the benchmark's file as released")
    return value


def predicted_texts(path: Path) -> dict[str, str]:
    """The caption of each key: captions by key, or rows with a key and a text under the names that programs use.

    The logs of lmms-eval have the row itself under ``doc`` and the text under ``filtered_resps``.

    Raises:
        UserError: the file cannot be read, or a key has two captions.
    """
    if path.suffix == ".json" and isinstance(read_json_file(path), dict):
        pairs: Iterable[tuple[str, str]] = [(key, text) for key, texts in read_captions(path).items() for text in texts]
    else:
        pairs = [_pair(path, place, row) for place, row in enumerate(read_rows(path))]
    found: dict[str, str] = {}
    for key, text in pairs:
        if key in found:
            raise UserError(f"{path}: {key} has two captions", "give every region one caption")
        found[key] = text
    return found


def _pair(path: Path, place: int, row: Mapping[str, Any]) -> tuple[str, str]:
    inner = row["doc"] if isinstance(row.get("doc"), dict) else row
    key = next((inner[name] for name in _KEYS if isinstance(inner.get(name), str | int)), None)
    text = next((row[name] for name in _TEXTS if isinstance(row.get(name), str)), None)
    if text is None:
        text = _first_text(row.get("filtered_resps", row.get("resps")))
    if key is None or text is None:
        names = f"one of {', '.join(_KEYS)} and one of {', '.join(_TEXTS)}"
        raise UserError(f"{path}: entry {place} is {shown(row)}", f"write objects with {names}")
    return str(key), text


def _first_text(value: Any) -> str | None:
    while isinstance(value, list) and value:
        value = value[0]
    return value if isinstance(value, str) else None
