"""Telltale phrases, written as rows of word lists, and what makes one innocent.

A phrase is words with blanks between them::

    outlined in|by|with a|the? LINE* COLOUR|BOX

``a|b``: one of these words; ``LINE``: one of the vocabulary's words of that name; ``_``: any word; ``x?``: once or not
at all; ``x*``: up to three times; ``.``: the start or end of a sentence; ``!a|b``: the next word is none of these;
``@box``: a word that the object itself may be called by. Nothing repeats without bound, so a search is linear in the
length of the caption.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.vocabulary.names import names_pattern
from capgen.pipeline.checks.vocabulary.plain_form import FOLD, plain, watch
from capgen.text import words

Vocabulary = Mapping[str, str]


class Families(dict[str, frozenset[str]]):
    """By each word of an object's name, what else it may be called or may show; hashed as the one table that it is."""

    __hash__ = object.__hash__  # type: ignore[assignment]


_ASIDE = re.compile(r"\([^()]{0,80}\)")
_TOKEN = re.compile(r"(?P<mark>[@!]?)(?P<words>[^?*@!]+)(?P<times>[?*]?)")
_TIMES = {"": "", "?": "{0,1}", "*": "{0,3}"}
_BEFORE = 8  # words before a phrase one of which can make it innocent
_WINDOW = 100  # characters that are looked at for words before and after
# How many of a thousand captions have a word, about: a phrase is looked for by those of its words that fewest have.
_FREQUENCIES = (
    (400, ". a the of with on in and"),
    (60, "over is an its to it at by from two red blue white black that"),
    (
        15,
        """this are his her who which man woman person one three green yellow orange pink brown grey gold small large
        thin left right next top side front back has for out up under above around behind near against inside frame box
        border ring line circle square standing sitting holding wearing""",
    ),
)
_FREQUENCY = {word: count for count, row in reversed(_FREQUENCIES) for word in row.split()}


@dataclass(frozen=True, slots=True)
class Phrase:
    """A compiled phrase.

    Args:
        pattern: matches in ``plain`` text.
        needs: of each of these sets, a word must be in the text; asking for that is quicker than searching.
        not_after: words one of which, shortly before the match, makes it innocent.
        not_before: the same for words after the match, at most ``reach`` words away in its sentence.
        not_unnamed: the same for words later in its sentence, where nobody has said what the object is.
    """

    pattern: re.Pattern[str]
    needs: tuple[frozenset[str], ...]
    not_after: frozenset[str]
    not_before: frozenset[str]
    not_unnamed: frozenset[str]
    reach: int


def phrase(
    row: str,
    vocabulary: Vocabulary,
    *,
    not_after: str = "",
    not_before: str = "",
    not_unnamed: str = "",
    reach: int = 4,
) -> Phrase:
    """Compile one row; innocent words are given with blanks between them.

    Raises:
        ValueError: the row is not of the form that this module's docstring tells, or every word of it may be missing.
    """
    pattern = "(?<= )"
    needs = []
    for token in row.split():
        parts = _TOKEN.fullmatch(token)
        if parts is None:
            raise ValueError(f"{token!r} in the phrase {row!r}")
        one = expanded(parts["words"].split("|"), vocabulary)
        wanted = "(?:" + "|".join(map(re.escape, one)) + ") " if parts["words"] != "_" else "[^ .]{1,30} "
        if parts["mark"] == "!":
            pattern += f"(?!{wanted})"
            continue
        group = "?P<thing>" if parts["mark"] == "@" else "?:"
        pattern += f"({group}{wanted}){_TIMES[parts['times']]}"
        if parts["words"] != "_" and not parts["times"]:
            needs.append(frozenset(one))
    if not needs:
        raise ValueError(f"the phrase {row!r} has no word that must be there")
    needs.sort(key=lambda need: sum(_FREQUENCY.get(word, 1) for word in need))
    return Phrase(
        re.compile(pattern),
        tuple(needs),
        frozenset(expanded(not_after.split(), vocabulary)),
        frozenset(expanded(not_before.split(), vocabulary)),
        frozenset(expanded(not_unnamed.split(), vocabulary)),
        reach,
    )


def expanded(names: Iterable[str], vocabulary: Vocabulary) -> list[str]:
    """The words in lower case, with those of the vocabulary in the place of a name."""
    found: list[str] = []
    for name in names:
        found += expanded(vocabulary[name].split(), vocabulary) if name.isupper() else [name]
    return found


def families(rows: Mapping[str, str]) -> Families:
    """From ``{"carton crate": "box"}``: by each word of an object's name, what else it may be called or may show."""
    return Families((name, frozenset(kin.split())) for names, kin in rows.items() for name in names.split())


@lru_cache(maxsize=4)
def _named(text: str, category: str | None, synonyms: tuple[str, ...]) -> str | None:
    pattern = names_pattern(category, synonyms)
    return None if pattern is None else pattern.sub(" NAME", text)


def with_name(said: CheckedCaption) -> str | None:
    """The plain caption with NAME in the place of the object's names; None where the object has none."""
    return _named(plain(said.caption).text, said.category, said.synonyms)


def around_name(said: CheckedCaption, pattern: re.Pattern[str], needs: int) -> re.Match[str] | None:
    """The first match of a pattern in the plain caption where the object's name, singular or plural, is NAME.

    Args:
        needs: the bit of a list of words one of which every match has: a caption without any is not searched.
    """
    if not plain(said.caption).lists & needs:
        return None
    named = with_name(said)
    return None if named is None else pattern.search(named)


@dataclass(frozen=True, slots=True)
class PhraseBook:
    """Phrases, found through an index from a word that each must have: most captions have none of these words.

    Args:
        kin: what an object may be called or may show, by its own words.

    ``index`` has the numbers of the phrases by those words; ``telltale`` is the bit of their list in ``Plain.lists``.
    """

    phrases: tuple[Phrase, ...]
    kin: Families = field(default_factory=Families)
    index: dict[str, tuple[int, ...]] = field(init=False)
    telltale: int = field(init=False)
    _indexed: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        index: dict[str, list[int]] = defaultdict(list)
        for number, candidate in enumerate(self.phrases):
            for word in candidate.needs[0]:
                index[word].append(number)
        object.__setattr__(self, "index", {word: tuple(numbers) for word, numbers in index.items()})
        object.__setattr__(self, "telltale", watch(self.index))
        object.__setattr__(self, "_indexed", frozenset(index))

    def first(self, said: CheckedCaption) -> str | None:
        """The first of the phrases that the caption says and that is not innocent; None where there is none."""
        text, present, lists, _ = plain(said.caption)
        if not lists & self.telltale:
            return None
        for number in self._numbers(present & self._indexed):
            candidate = self.phrases[number]
            for need in candidate.needs[1:]:
                if need.isdisjoint(present):
                    break
            else:
                for match in candidate.pattern.finditer(text):
                    if not _innocent(candidate, match, said, self.kin):
                        return match.group().strip(" .")
        return None

    def _numbers(self, told: frozenset[str]) -> Sequence[int]:
        """The phrases that have one of the words, in their order."""
        if len(told) == 1:
            (word,) = told
            return self.index[word]
        return sorted({number for word in told for number in self.index[word]})


def _innocent(candidate: Phrase, match: re.Match[str], said: CheckedCaption, kin: Families) -> bool:
    text = match.string
    thing = match.groupdict().get("thing")
    if thing is not None:
        noun = singular(thing.strip())
        names = (said.category or "", *said.synonyms)
        if noun in own_words(names, kin) or _mentioned(noun, text, match.start()):
            return True
    before = text[max(0, match.start() - _WINDOW) : match.start()].split()[-_BEFORE:]
    after = text[match.end() - 1 : match.end() + _WINDOW].partition(" . ")[0].split()
    return not (
        candidate.not_after.isdisjoint(before)
        and candidate.not_before.isdisjoint(after[: candidate.reach])
        and (said.category is not None or candidate.not_unnamed.isdisjoint(after))
    )


def _mentioned(noun: str, text: str, before: int) -> bool:
    """Whether the caption has spoken of such a thing earlier: then it is a thing of the scene."""
    return any(0 <= text.find(f" {form} ") < before - 1 for form in (noun, f"{noun}s", f"{noun}es"))


@lru_cache(maxsize=4096)
def own_words(names: tuple[str, ...], kin: Families) -> frozenset[str]:
    """The words of an object's names, in the singular, and what goes by them.

    A compound counts as its last part too: a mailbox is a box.
    """
    own = {singular(word) for name in names for word in words(_ASIDE.sub(" ", name).translate(FOLD))}
    for head, others in kin.items():
        if any(word.endswith(head) for word in own):
            own |= {head, *others}
    return frozenset(own)


def singular(word: str) -> str:
    """The word without the ending of an English plural."""
    if word.endswith(("xes", "shes", "ches", "sses")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us")) else word
