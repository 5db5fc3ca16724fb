"""What a call of ``capgen judge`` is given, remembers and writes."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from capgen.dataset.layout import RunLayout
from capgen.dataset.quality.judge_scores import SCORES
from capgen.encoding import read_bytes
from capgen.errors import UserError
from capgen.pipeline.engines.scoring.fit import CONTRAST
from capgen.pipeline.judging.scores import THRESHOLD, JudgedCaption, Method
from capgen.pipeline.rendering.prompt import prompt_of
from capgen.pipeline.settings import PromptSettings, Settings


@dataclass(frozen=True, slots=True)
class JudgeRules:
    """How captions are judged.

    Args:
        threshold: of the score, from which a caption counts as right.
        contrast: other objects of the picture against which ``fit`` holds a sentence at most.
        category: whether ``fit`` tells the model the object's category; where the run did not, it asks both ways, and
            each token counts with the mean of its two probabilities.
        seed: of the order of questions.
    """

    method: Method = "fit"
    threshold: float = THRESHOLD
    contrast: int = CONTRAST
    category: bool = True
    seed: int = 0

    def prompt(self, settings: PromptSettings) -> PromptSettings:
        """What the judge's model is asked, given what the run's was."""
        told = self.method == "fit" and self.category
        return settings.model_copy(update={"category": True}) if told else settings

    def tells_category(self, settings: PromptSettings) -> bool | None:
        """Whether the judge's model is told the object's category; None where no model is asked."""
        return None if self.method == "confidence" else self.prompt(settings).category


@dataclass(slots=True)
class JudgeSummary:
    """What was judged: sentences by verdict, and what it cost.

    ``category_told``: see ``JudgeRules.tells_category``.
    """

    method: Method
    threshold: float
    category_told: bool | None = None
    verdicts: Counter[str] = field(default_factory=Counter)
    prompt_tokens: int = 0
    cached_tokens: int = 0
    reused: int = 0

    def add(self, one: JudgedCaption) -> None:
        """Count a sentence."""
        self.verdicts[one.verdict(self.threshold)] += 1
        self.prompt_tokens += one.prompt_tokens
        self.cached_tokens += one.cached_tokens

    def as_json(self) -> dict[str, Any]:
        """The summary as JSON holds it."""
        told = {name: self.verdicts[name] for name in ("right", "wrong", "unknown")}
        judged = self.verdicts.total()
        return {
            "method": self.method,
            "threshold": self.threshold,
            "category_told": self.category_told,
            "judged": judged,
            **told,
            "right_share": self.verdicts["right"] / judged if judged else None,
            "prompt_tokens": self.prompt_tokens,
            "cached_tokens": self.cached_tokens,
            "tokens_a_caption": self.prompt_tokens / judged if judged else None,
            "taken_from_an_earlier_call": self.reused,
        }


def read_sentences(file: Path) -> dict[str, str]:
    """Sentences by key: JSON Lines with ``key`` and ``caption``.

    Raises:
        MissingFile: there is no such file.
        UserError: a line is none, or two lines say different things of a key.
    """
    remedy = "give JSON Lines with key and caption"
    found: dict[str, str] = {}
    for number, line in enumerate(read_bytes(file, remedy).splitlines(), 1):
        if not line.strip():
            continue
        try:
            one = msgspec.json.decode(line, type=_Line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise UserError(f"{file}:{number} is not usable: {error}", remedy) from None
        if found.setdefault(one.key, one.caption) != one.caption:
            raise UserError(f"{file}:{number}: {one.key} has two captions", "give each key one")
    if not found:
        raise UserError(f"{file} holds no sentence", remedy)
    return found


class _Line(msgspec.Struct, frozen=True):
    key: str
    caption: str


def score_table(judged: Sequence[JudgedCaption], rules: JudgeRules) -> pa.Table:
    """Judged sentences in the schema ``SCORES``."""
    rows = [
        {
            "key": one.key,
            "caption": one.caption,
            "method": rules.method,
            "score": one.score,
            "verdict": one.verdict(rules.threshold),
            "least": one.least,
            "contrast": one.contrast,
            "answers": sorted(one.answers.items()),
            "message": one.message,
        }
        for one in judged
    ]
    return pa.Table.from_pylist(rows, SCORES)


class JudgeJournal:
    """What a stopped call has judged: lines of ``OUT/judge/``, of the same method, model, prompt and pictures."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[tuple[str, str], JudgedCaption] = {}
        self.reused = 0
        if file.is_file():
            for line in file.read_bytes().split(b"\n")[:-1]:
                try:
                    one = msgspec.json.decode(line, type=JudgedCaption)
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                    continue  # torn by a kill, or somebody else's: asked again
                self._known[one.key, one.caption] = one

    @classmethod
    def open(cls, out: Path, settings: Settings, rules: JudgeRules) -> JudgeJournal:
        """The journal of a call."""
        decides = {
            "rules": [rules.method, rules.contrast, rules.seed],
            "model": [settings.model.id, settings.model.revision],
            "engine": settings.engine.model_dump(mode="json"),
            "prompt": [prompt_of(settings.prompt).sha256, rules.prompt(settings.prompt).model_dump(mode="json")],
            "render": settings.render.model_dump(mode="json"),
        }
        digest = hashlib.sha256(json.dumps(decides, sort_keys=True, default=str).encode()).hexdigest()
        return cls(RunLayout(out).judge_journal(digest[:16]))

    def get(self, key: str, caption: str) -> JudgedCaption | None:
        """What is known of a sentence."""
        found = self._known.get((key, caption))
        self.reused += found is not None
        return found

    def add(self, judged: JudgedCaption) -> None:
        """Write a sentence down."""
        self._file.parent.mkdir(exist_ok=True)
        with self._file.open("ab") as lines:
            lines.write(msgspec.json.encode(judged) + b"\n")

    def remove(self) -> None:
        """Forget it: the table is written."""
        self._file.unlink(missing_ok=True)
        if self._file.parent.is_dir() and not any(self._file.parent.iterdir()):
            self._file.parent.rmdir()
