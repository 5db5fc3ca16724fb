"""How many captions say what is true of the sample world's objects, by attribute; the truth is its ``facts.json``.

Read by words alone: an attribute is right when its true value is said, by its word or a synonym, and no other value
of it; wrong when another value is said; unsaid when none is. Negations are not understood.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from capgen.dataset.reader import released_captions
from capgen.encoding import read_bytes
from capgen.errors import MissingFile, UserError
from capgen.text import words

ATTRIBUTES = ("category", "colour", "texture", "size", "motion")
BROKEN_DOWN = ("category", "colour", "texture")
"""The attributes whose rates are also given by area and by hidden share."""
_AREA_BINS = 5
_HIDDEN_EDGES = (0.0, 0.02, 0.1, 0.3, 1.0)


class ObjectFacts(msgspec.Struct, frozen=True):
    """What is true of an object; ``area`` and ``hidden`` are shares, ``moving_s`` seconds."""

    category: str
    colour: str
    texture: str
    size: str
    motion: str | None
    moving_s: float
    area: float
    hidden: float


class WorldFacts(msgspec.Struct, frozen=True):
    """``facts.json``: objects by key, and by attribute all ways to say each value."""

    version: int
    objects: dict[str, ObjectFacts]
    vocabulary: dict[str, dict[str, list[str]]]


@dataclass(slots=True)
class FactTally:
    """Captions that say the truth, another value, or nothing about an attribute."""

    right: int = 0
    wrong: int = 0
    unsaid: int = 0

    def add(self, verdict: str) -> None:
        """Count a verdict: ``right``, ``wrong`` or ``unsaid``."""
        setattr(self, verdict, getattr(self, verdict) + 1)

    @property
    def total(self) -> int:
        """All that were counted."""
        return self.right + self.wrong + self.unsaid

    @property
    def rate(self) -> float | None:
        """The share that is right, None where nothing was counted."""
        return self.right / self.total if self.total else None

    def as_json(self) -> dict[str, Any]:
        """The counts and the rate."""
        return {"right": self.right, "wrong": self.wrong, "unsaid": self.unsaid, "rate": self.rate}


@dataclass(frozen=True, slots=True)
class FactBin:
    """Objects whose area or hidden share lies in [low, high]; a value on an edge belongs to the lower bin."""

    low: float
    high: float
    tallies: dict[str, FactTally] = field(default_factory=lambda: {name: FactTally() for name in BROKEN_DOWN})


@dataclass(frozen=True, slots=True)
class FactScore:
    """The counts of a set of captions.

    Args:
        objects: captions scored.
        missing: objects of the same datasets and splits that have no caption.
        unknown: captions whose key is not in the facts.
        attributes: by attribute. Motion counts only where the object moves for a second or more, or stays still.
        values: by attribute and true value.
        area: by the visible share of the picture, about equally many objects a bin.
        hidden: by the share that others hide.
    """

    objects: int
    missing: int
    unknown: int
    attributes: dict[str, FactTally]
    values: dict[str, dict[str, FactTally]]
    area: tuple[FactBin, ...]
    hidden: tuple[FactBin, ...]

    def as_json(self) -> dict[str, Any]:
        """Attributes at the top, each {right, wrong, unsaid, rate}, then the counts and breakdowns."""

        def bins(found: tuple[FactBin, ...]) -> list[dict[str, Any]]:
            return [{"low": b.low, "high": b.high} | {n: t.as_json() for n, t in b.tallies.items()} for b in found]

        values = {name: {v: tally.as_json() for v, tally in by.items()} for name, by in self.values.items()}
        return {
            **{name: tally.as_json() for name, tally in self.attributes.items()},
            "objects": self.objects,
            "missing": self.missing,
            "unknown": self.unknown,
            "by_value": values,
            "by_area": bins(self.area),
            "by_hidden": bins(self.hidden),
        }


class FactVocabulary:
    """Finds the values that a caption says, by longest match of whole words."""

    def __init__(self, ways: Mapping[str, Iterable[str]]) -> None:
        """``ways``: by value, all the ways to say it."""
        self._by_first: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        for value, phrases in ways.items():
            for phrase in phrases:
                tokens = tuple(words(phrase))
                self._by_first.setdefault(tokens[0], []).append((tokens, value))
        for options in self._by_first.values():
            options.sort(key=lambda option: -len(option[0]))

    def said(self, tokens: list[str]) -> set[str]:
        """The values said in the words of a caption (``text.words``)."""
        found = set()
        position = 0
        while position < len(tokens):
            step = 1
            for phrase, value in self._by_first.get(tokens[position], ()):
                if tuple(tokens[position : position + len(phrase)]) == phrase:
                    found.add(value)
                    step = len(phrase)
                    break
            position += step
        return found


def read_facts(path: Path) -> WorldFacts:
    """The facts of a sample world.

    Raises:
        MissingFile: there is no such file.
        UserError: it is not a ``facts.json``, or of another version.
    """
    if not path.is_file():
        raise MissingFile(path, "give the facts.json that `capgen sample` wrote")
    try:
        facts = msgspec.json.decode(read_bytes(path), type=WorldFacts)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path} is not a facts.json: {error}", "give the one that `capgen sample` wrote") from error
    if facts.version != 1:
        raise UserError(f"{path} has version {facts.version}, known is 1", "write the world with this capgen")
    lacking = [name for name in ATTRIBUTES if name not in facts.vocabulary]
    if lacking:
        raise UserError(f"{path} has no vocabulary.{lacking[0]}", "write the world again with `capgen sample`")
    phrases = (phrase for values in facts.vocabulary.values() for ways in values.values() for phrase in ways)
    wordless = next((phrase for phrase in phrases if not words(phrase)), None)
    if wordless is not None:
        raise UserError(f"{path} has {wordless!r} in its vocabulary, which is no word", "take another copy of it")
    return facts


def score_release(out: Path, facts: Path) -> FactScore:
    """Score the captions of a release.

    Raises:
        UserError: a file is missing or bad, a key is there twice, or no key is in the facts.
    """
    truth = read_facts(facts)
    try:
        return score(released_captions(out), truth)
    except _NoMatch as error:
        raise UserError(f"{error.what} of {facts}", "give the facts.json of the world that was captioned") from None


def right_captions(captions: Iterable[tuple[str, str]], facts: WorldFacts) -> dict[str, bool]:
    """Whether all that each (key, caption) says is true, by key; captions of unknown keys are left out."""
    vocabularies = {name: FactVocabulary(facts.vocabulary[name]) for name in ATTRIBUTES}
    found = {}
    for key, caption in captions:
        fact = facts.objects.get(key)
        if fact is None:
            continue
        tokens = words(caption)
        said = {name: (_truth(fact, name), vocabularies[name].said(tokens)) for name in ATTRIBUTES}
        found[key] = all(truth is None or _verdict(truth, values) != "wrong" for truth, values in said.values())
    return found


class _NoMatch(UserError):
    """No caption belongs to the facts."""


def score(captions: Iterable[tuple[str, str]], facts: WorldFacts) -> FactScore:
    """Score (key, caption) pairs.

    Raises:
        UserError: a key is there twice, or no key is in the facts.
    """
    said: dict[str, str] = {}
    unknown = 0
    for key, caption in captions:
        if key in said:
            raise UserError(f"key {key} has two captions", "give each object one")
        if key in facts.objects:
            said[key] = caption
        else:
            unknown += 1
    if not said:
        raise _NoMatch(f"none of {unknown} captions is about an object")
    parts = {_part(key) for key in said}
    expected = sum(_part(key) in parts for key in facts.objects)
    return _count(said, facts, expected - len(said), unknown)


def _part(key: str) -> tuple[str, ...]:
    """Dataset and split of a key."""
    return tuple(key.split("/")[:2])


def _count(said: dict[str, str], facts: WorldFacts, missing: int, unknown: int) -> FactScore:
    vocabularies = {name: FactVocabulary(facts.vocabulary[name]) for name in ATTRIBUTES}
    result = FactScore(
        objects=len(said),
        missing=missing,
        unknown=unknown,
        attributes={name: FactTally() for name in ATTRIBUTES},
        values={name: {value: FactTally() for value in facts.vocabulary[name]} for name in ATTRIBUTES},
        area=_area_bins([facts.objects[key].area for key in said]),
        hidden=tuple(FactBin(low, high) for low, high in pairwise(_HIDDEN_EDGES)),
    )
    for key, caption in said.items():
        fact = facts.objects[key]
        tokens = words(caption)
        for name in ATTRIBUTES:
            truth = _truth(fact, name)
            if truth is None:
                continue
            verdict = _verdict(truth, vocabularies[name].said(tokens))
            tallies = [result.attributes[name], result.values[name].setdefault(truth, FactTally())]
            if name in BROKEN_DOWN:
                tallies += [_bin(result.area, fact.area).tallies[name], _bin(result.hidden, fact.hidden).tallies[name]]
            for tally in tallies:
                tally.add(verdict)
    return result


def _truth(fact: ObjectFacts, attribute: str) -> str | None:
    """The true value, None where the attribute does not count for this object."""
    if attribute == "motion" and fact.motion != "still" and fact.moving_s < 1:
        return None
    value: str | None = getattr(fact, attribute)
    return value


def _verdict(truth: str, said: set[str]) -> str:
    if not said:
        return "unsaid"
    return "right" if said == {truth} else "wrong"


def _area_bins(areas: list[float]) -> tuple[FactBin, ...]:
    edges = sorted({round(float(edge), 6) for edge in np.quantile(areas, np.linspace(0, 1, _AREA_BINS + 1))})
    if len(edges) == 1:
        edges *= 2
    return tuple(FactBin(low, high) for low, high in pairwise(edges))


def _bin(bins: tuple[FactBin, ...], value: float) -> FactBin:
    return next((b for b in bins if value <= b.high), bins[-1])


def render_table(result: FactScore) -> str:
    """The score as text for people: attributes, then rates by area and by hidden share."""
    lines = [
        f"{result.objects} captions scored, {result.missing} objects without one, {result.unknown} unknown keys",
        "",
    ]
    lines.append(f"{'attribute':<12}{'right':>8}{'wrong':>8}{'unsaid':>8}{'rate':>8}")
    for name, tally in result.attributes.items():
        lines.append(f"{name:<12}{tally.right:>8}{tally.wrong:>8}{tally.unsaid:>8}{_rate(tally):>8}")
    lines += _breakdown("share of the picture", result.area, lambda value: f"{100 * value:.2f} %")
    lines += _breakdown("hidden by others", result.hidden, lambda value: f"{100 * value:.0f} %")
    return "\n".join(lines)


def _breakdown(title: str, bins: tuple[FactBin, ...], form: Callable[[float], str]) -> list[str]:
    lines = ["", f"{title:<22}{'objects':>8}" + "".join(f"{name:>10}" for name in BROKEN_DOWN)]
    for part in bins:
        label = f"{form(part.low)} to {form(part.high)}"
        rates = "".join(f"{_rate(part.tallies[name]):>10}" for name in BROKEN_DOWN)
        lines.append(f"{label:<22}{part.tallies[BROKEN_DOWN[0]].total:>8}{rates}")
    return lines


def _rate(tally: FactTally) -> str:
    return "-" if tally.rate is None else f"{tally.rate:.3f}"
