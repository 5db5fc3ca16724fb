"""A caption of something else than the object that was asked for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import ClassVar

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.categories.alike import ALIKE
from capgen.pipeline.checks.categories.nouns import Nouns, nouns
from capgen.pipeline.checks.categories.subject import CLAUSES, COMMA, PREPOSITIONS, subjects
from capgen.pipeline.checks.vocabulary.english_words import is_english
from capgen.pipeline.checks.vocabulary.names import spoken
from capgen.pipeline.checks.vocabulary.phrases import plain

_MANY = 8192
_FIRST = 7  # words
_SMALL = 60  # nouns of a kind whose members go by each other's names
_COMMON = 3  # senses of a word that count


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# A pair of boots is about boots.
_QUANTITIES = _set(
    """pair group bunch slice piece stack herd flock row set pile cluster couple variety number lot part section view
    side top collection line crowd batch array assortment portion half kind type sort pack series bundle string block
    bit handful strip chunk close image photo picture wedge scoop head ear bar stub braid loaf clove sprig stick roll
    sheet ball spray swarm school litter brood pride team load heap mound pinch dash dollop drop jet puff coil length
    remains rest edge end corner front back bottom middle inside outside tip base closeup shot display selection
    arrangement range assembly tier layer trio duo dozen lump slab cube wheel round tangle tuft bouquet floret bed
    field crop
    patch copy"""
)
# Of these only what follows their "of" is no thing of its own.
_THINGS = _set("ball head ear bar stick bed wheel round field cube string roll sheet base team load block display slab")
# A bowl of soup is about soup, and "a bowl with soup" too where something to eat or to drink was asked for.
_VESSELS = _set(
    """bowl plate dish cup glass pot pan jar bottle skillet tray basket box bag can mug saucer table counter stand
    platter carton pitcher jug tin tub bucket crate packet cone wrapper tumbler flute vase pint board"""
)
# The last word of a compound that is no such thing: a traffic light is no lamp.
_APART = _set("light lights board card stand holder set")
# What says nothing of what a thing is; and colours.
_SILENT = _set(
    """object item thing piece device figure shape structure substance product material surface area form design
    white black orange gold silver rose violet lavender tan cream olive chocolate pink brown peach plum maker
    one subject scene background foreground view image photo picture sight example version model style unit kind
    red blue green yellow grey gray purple color colour home dwelling solid machinery"""
)
_PRONOUNS = _set("he she his her him someone somebody they their i you we people man woman everyone anyone")
_PLANTS = _set("plant flower flowers arrangement bouquet tree bush shrub houseplant")
# The form of a thing that has no better name, and what things are made of.
_FORMS = _set(
    """box case holder unit machine set kit station bar strip roll dome rope cloth sheet slab ring hanging
    fan label tag card board stand frame panel block hammer shell receiver post pole piece disc disk tube rod cover
    wrap band cord string hook screen display manual"""
)
_LIKENESSES = _set("statue sculpture figurine bust puppet effigy")  # of anything
_YOUNG = _set(
    "calf cub pup bull male female infant baby adult juvenile youngster buck mother kit chick foal kid fledgling "
    "nestling hatchling yearling joey"
)
_BODY = _set(
    """hand hands finger fingers arm arms leg legs foot feet face head hair beard eye eyes mouth knee knees shoulder
    shoulders wrist neck chest torso body skin elbow ankle thumb toes lips back"""
)
_LEAST = 3  # letters of what stands before that part
_SHORTEST = 4  # letters of a word that counts as part of a compound: the board of a skateboard


@dataclass(frozen=True, slots=True, eq=False)  # one object a category: compared and hashed as such
class _Wanted:
    """What a category may be called: words and compounds, and the synsets of which the object is a kind."""

    names: frozenset[str]
    heads: frozenset[str]
    synsets: frozenset[int]
    above: frozenset[int]
    parts: frozenset[int]
    person: bool
    food: bool
    animal: bool
    plant: bool
    artifact: bool


@dataclass(frozen=True, slots=True)
class WrongCategory:
    """Says so where a caption is about another thing than the category: not its synonyms, kinds or kind.

    A caption is about the nouns of the first noun phrase of a sentence, of what that consists of or holds. The
    category's names, their plurals, the last word of a compound, kinds of it (a poodle for ``dog``), what it is a kind
    of (an animal), its parts, words for people where a person was asked for, and things that go by each other's names
    (a couch and an armchair) are all right there. A caption whose subject the table does not know is not judged.
    """

    final: ClassVar[bool] = False

    def __call__(self, said: CheckedCaption) -> str | None:
        """Name what the caption speaks of."""
        if said.category is None:
            return None
        wanted = _wanted(said.category, said.synonyms)
        if not wanted.synsets or not _LIKENESSES.isdisjoint(wanted.heads):
            return None
        subject = None if _begins_with_it(said.caption, wanted) else _other_subject(said.caption, wanted)
        return None if subject is None else f"speaks of {subject!r}, not of {spoken(said.category)!r}"


def _begins_with_it(caption: str, wanted: _Wanted) -> bool:
    """Whether the first words name the category, as in most captions: asking for that is quicker than parsing."""
    for word in plain(caption).text.split(" ", _FIRST)[2:_FIRST]:
        if word in PREPOSITIONS or word in CLAUSES:
            return False
        if _is_wanted(word, wanted) and f"{word}-" not in caption:
            return True
    return False


def _other_subject(caption: str, wanted: _Wanted) -> str | None:
    """The other thing that a caption is about; None where it is about the category, or where that is not known."""
    table = nouns()
    text = _prepared(caption, wanted)
    about = subjects(text.split(), table, _QUANTITIES, _VESSELS if wanted.food else frozenset())
    first = next(about, None)
    if first is None or not first.head or not first.first:
        return None
    head = first.head[-1]
    says_nothing = head in _SILENT and f" {head}s " not in text
    if says_nothing or _is_name(head, caption) or any(_names(one.words, wanted, table) for one in (first, *about)):
        return None
    return None if any(_fits(one, wanted, table) for one in (first.head, *first.others)) else head


def _prepared(caption: str, wanted: _Wanted) -> str:
    """The plain caption, with a word in the place of each comma."""
    if "," in caption:
        caption = caption.replace(",", f" {COMMA} ")
    return _joined(caption, wanted) if "-" in caption else plain(caption).text


_HYPHENATED = re.compile(r"\b([A-Za-z]+)-([A-Za-z]+)(?:-[A-Za-z]+)*\b")


def _joined(caption: str, wanted: _Wanted) -> str:
    """The plain caption; words with hyphens are one (heart-shaped), unless they are known as two."""
    table = nouns()

    def joined(match: re.Match[str]) -> str:
        parts = match.group().lower().split("-")
        last = table.singular(parts[-1])
        if " ".join((*parts[:-1], last)) in table.senses or last in wanted.heads:
            return match.group()
        return "".join(parts)

    return plain(_HYPHENATED.sub(joined, caption)).text


@lru_cache(maxsize=_MANY)
def _wanted(category: str, synonyms: tuple[str, ...]) -> _Wanted:
    table = nouns()
    names = {spoken(part) for name in (category, *synonyms) for part in name.split("/")} - {""}
    if category in table.categories:
        synsets = {table.categories[category]}
    else:
        synsets = {sense for name in names for sense in _senses(name, table)[:1]}
    kinds = frozenset(kind for synset in synsets for kind in table.kinds_of(synset))
    names |= {lemma for synset in synsets for lemma in table.lemmas.get(synset, ())}
    heads = {name.rsplit(" ", 1)[-1] for name in names}
    heads |= {table.singular(head) for head in heads}
    called = {name.split()[0] if name.rsplit(" ", 1)[-1] in _APART else name.rsplit(" ", 1)[-1] for name in names}
    alike = {like for head in called | (heads - _APART) for like in ALIKE.get(head, ())}
    heads |= alike
    synsets |= {sense for like in alike for sense in table.senses.get(like, ())[:2]}
    if "pet" in heads:
        synsets |= set(table.senses["animal"])
    return _Wanted(
        names=frozenset(names),
        heads=frozenset(heads),
        synsets=frozenset(synsets),
        above=kinds,
        parts=table.parts_of(frozenset(synsets)),
        person=table.people in kinds,
        plant=not _PLANTS.isdisjoint(heads),
        artifact=not kinds.isdisjoint(table.senses["artifact"][:1]) and kinds.isdisjoint(table.senses["vehicle"][:1]),
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
    """All of which the word, in one of its commoner senses, is a kind."""
    table = nouns()
    return frozenset(kind for sense in table.senses.get(word, ())[:_COMMON] for kind in table.kinds_of(sense))


def _names(words: Sequence[str], wanted: _Wanted, table: Nouns) -> bool:
    """Whether one of the words, or a compound of two, names the category."""
    return any(_is_wanted(word, wanted) for word in words) or _has_compound(words, wanted, table)


@lru_cache(maxsize=1 << 16)
def _is_wanted(word: str, wanted: _Wanted) -> bool:
    table = nouns()
    word = word.removesuffix("'s")
    if (
        word in wanted.heads
        or (wanted.animal and word in _YOUNG)
        or (wanted.person and (word in _PRONOUNS or word in _BODY))
    ):
        return True
    if word in _SILENT:
        return False  # a colour is no person, whatever people are called
    one = table.singular(word)
    kinds = _kinds(one)
    return (
        (wanted.person and table.people in kinds)
        or one in wanted.heads
        or word.removesuffix("s") in wanted.heads
        or word.removesuffix("es") in wanted.heads
        or not wanted.synsets.isdisjoint(kinds)
        or (len(one) >= _SHORTEST and any(_is_part_of_word(one, head) for head in wanted.heads))
    )


def _is_part_of_word(word: str, head: str) -> bool:
    """Whether one is a compound with the other behind: sailboat and boat, but not spring and ring."""
    longer, shorter = (word, head) if len(word) >= len(head) else (head, word)
    if len(shorter) < _SHORTEST or not longer.endswith(shorter):
        return False
    before = longer.removesuffix(shorter)
    return len(before) >= _LEAST and is_english(before)


def _has_compound(words: Sequence[str], wanted: _Wanted, table: Nouns) -> bool:
    for first, second in pairwise(words):
        if second != ".":
            compound = f"{first} {table.singular(second)}"
            if compound in wanted.names or not wanted.synsets.isdisjoint(_kinds(compound)):
                return True
    return False


def _is_name(head: str, caption: str) -> bool:
    """Whether the caption writes the word with a capital, or behind a hyphen: it may be part of any name then."""
    return f" {head.capitalize()}" in caption or f"-{head}" in caption


def _is_near(senses: Sequence[int], wanted: _Wanted, table: Nouns) -> bool:
    """Whether a thing is of a small kind of things of which the object is too: these go by each other's names."""
    return any(
        table.size(kind) <= _SMALL and kind in wanted.above for sense in senses[:1] for kind in table.kinds_of(sense)
    )


def _fits(head: Sequence[str], wanted: _Wanted, table: Nouns) -> bool:
    """Whether a head says nothing, or names what the object is a kind of (an animal for a dog), or a part of it."""
    last = head[-1]
    senses = table.senses.get(" ".join(head[-2:]), ()) or table.senses.get(last, ())
    return (
        last in _QUANTITIES - _THINGS
        or not wanted.above.isdisjoint(senses)
        or not wanted.parts.isdisjoint(senses)
        or (not table.is_category(last) and _is_near(senses, wanted, table))
        or (
            wanted.food and not table.is_category(last) and not frozenset(table.senses["food"]).isdisjoint(_kinds(last))
        )
        or (wanted.artifact and _is_vague(last, senses, wanted, table))
        # a tablet is a tablet computer, a dog no dog collar
        or (table.is_thing(last) and any(last == name.split()[0] for name in wanted.names))
        or (wanted.plant and not frozenset(table.senses["plant"] + table.senses["flower"]).isdisjoint(_kinds(last)))
        # a hermit is a hermit crab
        or ((wanted.animal or wanted.food) and any(f"{last} {one}" in table.senses for one in wanted.heads))
    )


def _is_vague(last: str, senses: tuple[int, ...], wanted: _Wanted, table: Nouns) -> bool:
    """Whether a thing may go by that noun without being one: a form, a material, or no thing that is well known."""
    if last in _FORMS:
        return True
    if table.is_category(last):
        return False
    materials = frozenset(table.senses["fabric"] + table.senses["leather"] + table.senses["material"])
    known = table.is_place(senses) or table.is_kind_of_category(senses[:2], wanted.above)
    return not known or not materials.isdisjoint(_kinds(last))
