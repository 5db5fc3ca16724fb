"""A caption of something else than the object that was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import ClassVar

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.categories.alike import ALIKE
from capgen.pipeline.checks.categories.nouns import Nouns, nouns
from capgen.pipeline.checks.vocabulary.names import spoken
from capgen.pipeline.checks.vocabulary.phrases import plain

_MANY = 8192


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Where the first noun phrase ends.
_BREAKS = _set(
    """. with in on at by near and that which who whose is are was were has have beside behind above below under over
    while from against for to as standing sitting lying parked held hanging next inside filled made wearing holding its
    his her their lies flies rests stands sits leans hangs runs walks waits shows plays rides holds swims eats drinks
    jumps climbs faces covers crosses passes reads carries wears looks bears features contains displays leads rolls
    rises drops falls cuts cooks cleans drives pushes pulls throws kicks hits catches serves sleeps grazes drinks
    full lie stand hang sit rest lean run walk fly stretch
    cut sliced topped covered folded parked painted printed mounted placed wrapped tied stacked"""
)
_DETERMINERS = _set("a an the this that these those two three four five six several some many one both")
# A pair of boots is about boots.
_QUANTITIES = _set(
    """pair group bunch slice piece stack herd flock row set pile cluster couple variety number lot part section view
    side top collection line crowd batch array assortment portion half kind type sort pack series bundle string block
    bit handful strip chunk close image photo picture wedge"""
)
# A bowl of soup is about soup, where something to eat was asked for.
_VESSELS = _set(
    "bowl plate dish cup glass pot pan jar bottle skillet tray basket box bag can mug saucer table counter stand"
)
# The last word of a compound that is no such thing: a traffic light is no lamp.
_APART = _set("light lights board card stand holder set")
# What says nothing of what a thing is; and colours.
_SILENT = _set(
    """object item thing piece device figure shape structure substance product material surface area form design
    white black orange gold silver rose violet lavender tan cream olive chocolate pink brown peach plum maker"""
)
_PRONOUNS = _set("he she his her him someone somebody they their i you we people man woman everyone anyone")
_LIKENESSES = _set("statue sculpture figurine bust puppet effigy")  # of anything
_YOUNG = _set("calf cub pup bull male female infant baby adult juvenile youngster buck mother kit")
_BODY = _set(
    """hand hands finger fingers arm arms leg legs foot feet face head hair beard eye eyes mouth knee knees shoulder
    shoulders wrist neck chest torso body skin elbow ankle thumb toes lips back"""
)
_NO_NOUN = ("ing", "ed", "ly", "en", "ward", "up", "down", "out")  # how what follows a noun may end
_SHORTEST = 4  # letters of a word that counts as part of a compound: the board of a skateboard


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a category may be called: words and compounds, and the synsets of which the object is a kind."""

    names: frozenset[str]
    heads: frozenset[str]
    synsets: frozenset[int]
    above: frozenset[int]
    person: bool
    food: bool
    animal: bool


@dataclass(frozen=True, slots=True)
class WrongCategory:
    """Says so where a caption names another thing and nowhere the category: not its synonyms, kinds or kind.

    The category's names, their plurals, the last word of a compound, kinds of it (a poodle for ``dog``), what it is a
    kind of (an animal), words for people where a person was asked for, and things that go by each other's names (a
    couch and an armchair) are all right. A caption whose subject the table does not know is not judged.
    """

    final: ClassVar[bool] = False

    def __call__(self, said: CheckedCaption) -> str | None:
        """Name what the caption speaks of."""
        if said.category is None:
            return None
        wanted = _wanted(said.category, said.synonyms)
        if not wanted.synsets or not _LIKENESSES.isdisjoint(wanted.heads):
            return None
        text, present = plain(said.caption)
        if not wanted.heads.isdisjoint(present):
            return None
        words = text.split()
        table = nouns()
        if any(_is_wanted(word, wanted, table) for word in words) or _has_compound(words, wanted, table):
            return None
        subject = _subject(words, table, _QUANTITIES | _VESSELS if wanted.food else _QUANTITIES)
        if (
            subject is None
            or _is_above(subject, wanted, table)
            or any(subject in name.split() for name in wanted.names)
        ):
            return None
        return f"speaks of {subject!r}, not of {spoken(said.category)!r}"


@lru_cache(maxsize=_MANY)
def _wanted(category: str, synonyms: tuple[str, ...]) -> _Wanted:
    table = nouns()
    names = {spoken(part) for name in (category, *synonyms) for part in name.split("/")} - {""}
    if category in table.categories:
        synsets = {table.categories[category]}
    else:
        synsets = {sense for name in names for sense in _senses(name, table)[:1]}
    kinds = frozenset(kind for synset in synsets for kind in table.kinds_of(synset))
    heads = {name.rsplit(" ", 1)[-1] for name in names}
    heads |= {table.singular(head) for head in heads}
    called = {name.split()[0] if name.rsplit(" ", 1)[-1] in _APART else name.rsplit(" ", 1)[-1] for name in names}
    heads |= {like for head in called | (heads - _APART) for like in ALIKE.get(head, ())}
    return _Wanted(
        names=frozenset(names),
        heads=frozenset(heads),
        synsets=frozenset(synsets),
        above=kinds,
        person=table.people in kinds,
        animal=not kinds.isdisjoint(table.senses["animal"]),
        food=not kinds.isdisjoint(table.senses["food"]),
    )


def _senses(name: str, table: Nouns) -> tuple[int, ...]:
    """The synsets of a name; where the whole compound has none, those of its last word."""
    for form in (name, table.singular(name), name.rsplit(" ", 1)[-1], table.singular(name.rsplit(" ", 1)[-1])):
        if form in table.senses:
            return table.senses[form]
    return ()


@lru_cache(maxsize=1 << 16)
def _kinds(word: str) -> frozenset[int]:
    """All of which the word, in any of its senses, is a kind."""
    table = nouns()
    return frozenset(kind for sense in table.senses.get(word, ()) for kind in table.kinds_of(sense))


def _is_wanted(word: str, wanted: _Wanted, table: Nouns) -> bool:
    if word in wanted.heads:
        return True
    if wanted.animal and word in _YOUNG:
        return True
    if wanted.person and (word in _PRONOUNS or word in _BODY):
        return True
    if word in _SILENT:
        return False  # a colour is no person, whatever people are called
    one = table.singular(word)
    if one in wanted.heads or word.removesuffix("s") in wanted.heads or not wanted.synsets.isdisjoint(_kinds(one)):
        return True
    return len(one) >= _SHORTEST and any(
        (len(head) >= _SHORTEST and one.endswith(head)) or head.endswith(one) for head in wanted.heads
    )


def _has_compound(words: list[str], wanted: _Wanted, table: Nouns) -> bool:
    for first, second in pairwise(words):
        if second != ".":
            compound = f"{first} {table.singular(second)}"
            if compound in wanted.names or not wanted.synsets.isdisjoint(_kinds(compound)):
                return True
    return False


def _subject(words: list[str], table: Nouns, quantities: frozenset[str]) -> str | None:
    """The last known noun of the first noun phrase: the dog of "a small brown dog with …"."""
    phrase: list[str] = []
    for word in words[1:]:
        if word == "of" and phrase and table.singular(phrase[-1]) in quantities:
            phrase = []
        elif word in _BREAKS or word == "of" or (phrase and (word in _DETERMINERS or _is_verb(word, table))):
            if phrase:
                break
        elif phrase and word.endswith("ing") and len(word) > _SHORTEST and table.singular(phrase[-1]) in table.senses:
            break
        elif word not in _DETERMINERS:
            phrase.append(word)
    singular = ("person" if word == "people" else table.singular(word) for word in phrase[:6])
    named = list(singular)
    while named and named[-1] not in table.senses and named[-1].endswith(_NO_NOUN):
        named.pop()
    head = named[-1] if named else ""
    return head if head in table.senses and head not in quantities | _SILENT else None


def _is_verb(word: str, table: Nouns) -> bool:
    """Whether a word after a noun is likely one: it ends as a third person does, and no noun is known without that."""
    return (
        len(word) > _SHORTEST
        and word.endswith("s")
        and not word.endswith(("ss", "us"))
        and (word not in table.senses and table.singular(word) not in table.senses)
    )


def _is_above(subject: str, wanted: _Wanted, table: Nouns) -> bool:
    """Whether the object is a kind of the subject (an animal, where a dog was asked for), or named after it."""
    named_after = any(subject in name.split() for name in wanted.names)
    return named_after or not wanted.above.isdisjoint(table.senses.get(subject, ()))
