"""What an object of a category may be called: names, words, kinds of things."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

from capgen.pipeline.checks.categories.alike import ALIKE, CALLED
from capgen.pipeline.checks.categories.called import called
from capgen.pipeline.checks.categories.grammar import word_set
from capgen.pipeline.checks.categories.homonyms import rivals
from capgen.pipeline.checks.categories.nouns import Nouns, nouns
from capgen.pipeline.checks.vocabulary.english_words import is_english
from capgen.pipeline.checks.vocabulary.names import spoken

_MANY = 8192
_MOST_WORDS = 512  # of which a category remembers the verdict
_COMMON = 3  # senses of a word that count
_WIDEST = 200  # kinds of a thing; of a wider one no other thing has all the kinds
_RELATED = 700  # kinds of what two things both are, so that one may go by the other's name
_DISTANT = 4000  # the same of two things that are no food and not made by hand in one way: a drum and an oil drum
_KINDRED = 1200  # the same, so that a word for the one is meant in the sense that is like the other: mammals
_UNLIKE = 9000  # kinds of what two things both are that have little in common: a bat and a baseball bat


# The last word of a compound that is no such thing: a traffic light is no lamp.
_APART = word_set("light lights board card stand holder set")
# What says nothing of what a thing is; and colours.
SILENT = word_set(
    """object item thing piece device figure shape structure substance product material surface area form design
    white black orange gold silver rose violet lavender tan cream olive chocolate pink brown peach plum maker
    one subject scene background foreground view image photo picture sight example version model style unit kind
    red blue green yellow grey gray purple color colour home dwelling solid machinery"""
)
_PRONOUNS = word_set("he she his her him someone somebody they their i you we people man woman everyone anyone")
_PLANTS = word_set("plant flower flowers arrangement bouquet tree bush shrub houseplant")
_YOUNG = word_set(
    "calf cub pup bull male female infant baby adult juvenile youngster buck mother kit chick foal kid fledgling "
    "nestling hatchling yearling joey"
)
BODY = word_set(
    """hand hands finger fingers arm arms leg legs foot feet face head hair beard eye eyes mouth knee knees shoulder
    shoulders wrist neck chest torso body skin elbow ankle thumb toes lips back"""
)
_LEAST = 3  # letters of what stands before the last part of a word
_SHORTEST = 4  # letters of a word that counts as part of a compound: the board of a skateboard
_ASIDE = re.compile(r"_?\([^()]*\)")


class _Verdicts(dict[str, bool]):
    """Whether each word names an object, or a kind of it; found once."""

    def __init__(self, one: Wanted) -> None:
        super().__init__()
        self.one = one

    def __missing__(self, word: str) -> bool:
        verdict = _is_wanted(word, self.one)
        if len(self) < _MOST_WORDS:
            self[word] = verdict
        return verdict


@dataclass(frozen=True, slots=True, eq=False)  # one object a category: compared and hashed as such
class Wanted:
    """What a category may be called: words and compounds, and the synsets of which the object is a kind.

    Args:
        names: of the category, as they are spoken.
        heads: the last words of the names, and those of what goes by the same names.
        own: the last words of the category's names alone.
        qualifiers: the first words of names that are compounds.
        simple: the names of one word, without WordNet's other lemmas.
        synsets: kinds of these are right.
        category: the synsets of the category alone.
        above: of what it is a kind.
        parts: of the object.
        filling: whether it is something in bottles or tubes that is no food.
        prepared: whether it is food that somebody made of others.
        edible: whether it is food, or a plant that gives some.
        known: whether it is a category of LVIS.
        homonym: whether LVIS says in parentheses which of several things of that name it is.
        rare: whether LVIS has few of them, so that they are called by more usual names.
        rivals: of what other sort things of that name can be.
        by_word: of any word, whether it names the object, or a kind of it.
    """

    names: frozenset[str]
    heads: frozenset[str]
    own: frozenset[str]
    qualifiers: frozenset[str]
    simple: frozenset[str]
    synsets: frozenset[int]
    category: frozenset[int]
    above: frozenset[int]
    parts: frozenset[int]
    person: bool
    food: bool
    animal: bool
    plant: bool
    artifact: bool
    clothing: bool
    prepared: bool
    filling: bool
    edible: bool
    known: bool
    homonym: bool
    rare: bool
    rivals: tuple[str, ...]
    by_word: _Verdicts = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_word", _Verdicts(self))


@lru_cache(maxsize=_MANY)
def wanted(category: str, synonyms: tuple[str, ...]) -> Wanted:
    """What the category may be called, found once."""
    table = nouns()
    given = {spoken(part) for name in (category, *synonyms) for part in _ASIDE.sub("", name).split("/")} - {""}
    if category in table.categories:
        synsets = frozenset({table.categories[category]})
    else:
        first = Counter(sense for name in given for sense in _senses(name, table)[:1])
        synsets = frozenset(sense for sense, times in first.items() if times == max(first.values()))
    above = frozenset(kind for synset in synsets for kind in table.kinds_of(synset))
    known = category in table.categories and category not in table.not_lvis
    names = given | {lemma for synset in synsets for lemma in table.lemmas.get(synset, ())}
    own = {name.rsplit(" ", 1)[-1] for name in names}
    own |= {table.singular(head) for head in own}
    alike = frozenset(like for name in given for like in _alike(name, table))
    kin = {sense for like in alike if (sense := _nearest(like, above, table)) is not None}
    more = called(category)
    heads = own | alike | {word for word in more if " " not in word}
    if "pet" in heads:
        kin |= set(table.senses["animal"])

    def is_a(*kinds: str) -> bool:
        return any(not above.isdisjoint(table.senses[kind][:1]) for kind in kinds)

    return Wanted(
        names=frozenset(names) | more,
        heads=frozenset(heads),
        own=frozenset(own),
        qualifiers=frozenset(name.split()[0] for name in names if " " in name),
        simple=frozenset(name for name in given if " " not in name),
        synsets=synsets | kin,
        category=synsets,
        above=above,
        parts=table.parts_of(synsets | kin),
        person=table.people in above,
        plant=not _PLANTS.isdisjoint(heads),
        artifact=not is_a("living thing", "vehicle", "body part") and above.isdisjoint(table.edible),
        animal=is_a("animal"),
        food=not above.isdisjoint(table.edible),
        clothing=is_a("clothing", "footwear", "headdress"),
        prepared=not above.isdisjoint(table.edible) and not is_a("produce", "fruit", "vegetable", "herb"),
        filling=is_a("cosmetic", "cleansing agent", "medicine", "perfume", "lotion"),
        edible=any(
            not table.edible.isdisjoint(table.kinds_of(sense))
            for name in own
            for sense in (*synsets, *table.senses.get(name, ())[:2])
        ),
        known=known,
        homonym="(" in category,
        rare=not known or category in table.rare,
        rivals=()
        if not known or is_a("clothing", "footwear") or heads & {"puppet", "toy", "statue"}
        else rivals(spoken(_ASIDE.sub("", category)), above, table),
    )


def _senses(name: str, table: Nouns) -> tuple[int, ...]:
    """The synsets of a name; where the whole compound has none, those of its last word."""
    for form in (name, table.singular(name), name.rsplit(" ", 1)[-1], table.singular(name.rsplit(" ", 1)[-1])):
        if form in table.senses:
            return table.senses[form]
    return ()


def _alike(name: str, table: Nouns) -> frozenset[str]:
    """The words that may stand for a name: those of the whole compound, else those of its last word."""
    whole = name.replace(" ", "_")
    kinds_too = CALLED.get(whole, frozenset()) | CALLED.get(table.singular(whole), frozenset())
    first, _, last = name.rpartition(" ")
    if last in _APART and first:
        last = first.split()[0]
    return kinds_too | ALIKE.get(last, frozenset()) | ALIKE.get(table.singular(last), frozenset())


def _nearest(like: str, above: frozenset[int], table: Nouns) -> int | None:
    """The sense of a word in which it is most like the object; None where that is a wide class, or like no sense."""
    best, least = None, _KINDRED
    for sense in table.senses.get(like.replace("_", " "), ())[:_COMMON]:
        shared = min((table.size(kind) for kind in table.kinds_of(sense) & above), default=_KINDRED)
        if table.size(sense) <= _WIDEST and shared < least:
            best, least = sense, shared
    if best in above and table.living.isdisjoint(table.kinds_of(best)):
        return None  # kinds of what it is a kind of are other things, but puppies are of all breeds of dogs
    return best


@lru_cache(maxsize=1 << 16)
def kinds(word: str) -> frozenset[int]:
    """All of which the word, in one of its commoner senses, is a kind."""
    table = nouns()
    return frozenset(kind for sense in table.senses.get(word, ())[:_COMMON] for kind in table.kinds_of(sense))


def _is_wanted(word: str, one: Wanted) -> bool:
    table = nouns()
    word = word.removesuffix("'s")
    if word in one.heads or (one.animal and word in _YOUNG) or (one.person and (word in _PRONOUNS or word in BODY)):
        return True
    if word in SILENT:
        return False  # a colour is no person, whatever people are called
    singular = table.singular(word)
    named = kinds(singular)
    return (
        (one.person and table.people in named)
        or singular in one.heads
        or word.removesuffix("s") in one.heads
        or word.removesuffix("es") in one.heads
        or not one.category.isdisjoint(named)
        or (len(singular) >= _SHORTEST and _is_part_of_name(singular, one, table))
        or (not table.is_category(singular) and not one.synsets.isdisjoint(named))
    )


def _is_part_of_name(word: str, one: Wanted, table: Nouns) -> bool:
    """Whether a word is the end of a name (the pole of a flagpole), or a compound with a name behind.

    A sailboat is a boat; but if LVIS has the compound, and the name is that of a compound itself, they are not one: a
    basketball is no soccer ball.
    """
    if any(_ends_in(head, word) for head in one.own):
        return True
    heads = one.simple if table.is_category(word) else one.heads
    return any(_ends_in(word, head) for head in heads)


def _ends_in(longer: str, shorter: str) -> bool:
    """Whether one word is a compound with the other behind: sailboat and boat, but not spring and ring."""
    if len(shorter) < _SHORTEST or not longer.endswith(shorter):
        return False
    if longer.endswith("ing") and longer not in nouns().senses:  # hovering, no ring
        return False
    before = longer.removesuffix(shorter)
    return len(before) >= _LEAST and is_english(before)


@lru_cache(maxsize=1 << 16)
def is_other_compound(first: str, word: str, one: Wanted) -> bool:
    """Whether two words are the name of something else than the object, though the second alone may name it.

    A baseball bat is no bat, a license plate no plate; a soccer ball is a ball.
    """
    table = nouns()
    last = table.singular(word)
    compound = f"{first} {last}"
    senses = table.senses.get(compound, ())
    if not senses or compound in one.names or not one.known or last not in one.heads or first in SILENT:
        return False
    lone = first in table.mostly_adjectives and not table.is_category(compound)  # a lone wolf
    if lone or not one.synsets.isdisjoint(kinds(compound)) or not one.above.isdisjoint(senses):
        return False
    shared = min(_shared(sense, one, table) for sense in senses)
    if last in one.own:
        if table.is_category(compound) and last not in one.names and not table.is_material(table.senses.get(first, ())):
            # a water bottle is no wine bottle
            return True
        another = _is_another_sense(senses, last, one, table)
        if one.homonym and (another or shared >= _DISTANT):
            return True
        return shared > _UNLIKE and (not another or table.is_category(compound))
    return shared > _UNLIKE or (shared >= _RELATED and table.is_category(compound))


def _is_another_sense(compound: Sequence[int], last: str, one: Wanted, table: Nouns) -> bool:
    """Whether a compound is a kind of its last word in another sense than the category's."""
    others = frozenset(table.senses.get(last, ())) - one.above
    return any(not others.isdisjoint(table.kinds_of(sense)) for sense in compound)


def is_like(noun: str, one: Wanted) -> bool:
    """Whether a noun, in one of its senses, belongs to a class with the object that is not too wide."""
    table = nouns()
    return any(_shared(sense, one, table) < _RELATED for sense in table.senses.get(noun, ()))


def _shared(sense: int, one: Wanted, table: Nouns) -> int:
    """How wide the narrowest class is to which both a sense and the object belong."""
    return min((table.size(kind) for kind in table.kinds_of(sense) & one.above), default=_RELATED)


def names(words: Sequence[str], one: Wanted) -> bool:
    """Whether one of the words, or a compound of two, names the category."""
    before = ""
    for word in words:
        if one.by_word[word] and not (before and is_other_compound(before, word, one)):
            return True
        before = word
    return _has_compound(words, one)


def names_last(words: Sequence[str], one: Wanted) -> bool:
    """The same of the last word, or the compound of the last two."""
    return (bool(words) and one.by_word[words[-1]]) or _has_compound(words[-2:], one)


def _has_compound(words: Sequence[str], one: Wanted) -> bool:
    table = nouns()
    for first, second in pairwise(words):
        if second != ".":
            compound = f"{first} {table.singular(second)}"
            if compound in one.names or not one.synsets.isdisjoint(kinds(compound)):
                return True
    return False
