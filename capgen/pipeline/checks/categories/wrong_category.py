"""A caption of something else than the object that was asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.categories.described import is_described
from capgen.pipeline.checks.categories.grammar import CLAUSES, COMMA, PERSONS, PREPOSITIONS, word_set
from capgen.pipeline.checks.categories.homonyms import cues, is_rival
from capgen.pipeline.checks.categories.nouns import Nouns, nouns
from capgen.pipeline.checks.categories.subject import Subject, subjects
from capgen.pipeline.checks.categories.wanted import (
    BODY,
    SILENT,
    Wanted,
    is_like,
    is_other_compound,
    kinds,
    names,
    names_last,
    wanted,
)
from capgen.pipeline.checks.vocabulary.names import spoken
from capgen.pipeline.checks.vocabulary.plain_form import plain, plain_text

_FIRST = 8  # words
_STOPS = PREPOSITIONS | CLAUSES | frozenset(("the", "a", "an", ".", "and"))  # at these a noun phrase ends
_ONE = frozenset(("a", "an"))
_SHOWING = frozenset(("features", "shows", "displays", "contains"))  # nouns, but not behind another one
_ARTICLES = frozenset(("a", "an", "the"))
_THIS = frozenset(("this", "it", "there", "here", "these"))
_EARLY = 80  # characters; a comma behind them parts no first noun phrase
_WIDE, _CLOSE = 700, 160  # the same of what holds things, and of a compound for it
_SMALL = 60  # nouns of a kind whose members go by each other's names


# A pair of boots is about boots.
_QUANTITIES = word_set(
    """pair group bunch slice piece stack herd flock row set pile cluster couple variety number lot part section view
    breed species
    side top collection line crowd batch array assortment portion half kind type sort pack series bundle string block
    bit handful strip chunk close image photo picture wedge scoop head ear bar stub braid loaf clove sprig stick roll
    sheet ball spray swarm school litter brood pride team load heap mound pinch dash dollop drop jet puff coil length
    remains rest edge end corner front back bottom middle inside outside tip base closeup shot display selection
    arrangement range assembly tier layer trio duo dozen lump slab cube wheel round tangle tuft bouquet floret bed
    field crop bulb segment
    patch copy"""
)
# Of these only what follows their "of" is no thing of its own.
_THINGS = word_set(
    """ball head ear bar stick bed wheel round field cube string roll sheet base team load block display slab top jet
    corner crop line edge end bulb picture photo image pack"""
)
# A part of food or of a plant.
_HELPINGS = word_set("slice wedge scoop loaf clove sprig floret segment dollop braid bunch bouquet")
# A bowl of soup is about soup, and "a bowl with soup" too where something to eat or to drink was asked for.
_VESSELS = word_set(
    """bowl plate dish cup glass pot pan jar bottle skillet tray basket box bag can mug saucer table counter stand
    platter carton pitcher jug tin tub bucket crate packet cone wrapper tumbler flute vase pint board tube"""
)
_LIDS = word_set("cap lid label handle straw nozzle spout cork neck top rim stem seal tab logo sleeve collar")
# The form of a thing that has no better name.
_FORMS = word_set(
    """box case holder unit machine bar strip roll dome rope cloth sheet slab stand frame panel block piece disc disk
    tube rod cover wrap band cord cylinder leather"""
)
# What nearly any thing may be called, and what is worn.
_GENERAL = word_set("instrument equipment implement tool appliance gadget utensil vessel covering float timer")
_GARMENTS = word_set("garment covering clothing outfit")
# The same of things that few have a name for.
_PLAIN = _FORMS | word_set(
    "ring hook clip pad cone blade handle needle stick pole beam wedge stud sleeve string board player"
)
# What things are made of; some are things too.
_STUFF = word_set("glass iron steel brass copper tin bronze chrome stone paper rubber felt cork china")
# What holds something, in a word.
_HOLDERS = word_set("bottle jar tin sack basket bag pot tank tub can cup glass bowl dish box case jug tumbler")
# The same of what is worn.
_CLOTHS = word_set("strip roll rope cloth sheet piece cover wrap band cord leather")
# What somebody may call something to eat.
_FOODS = word_set(
    """seed nut bulb tuber root fruit vegetable plant grass shoot bud leaf marrow berry grain kernel pod drink liquid
    mixture flesh meat square bar cube dish"""
)
# What a likeness may be of: anything that lives, and what has no name of its own.
_FRUITS = word_set("orange peach plum chocolate rose picture photo")  # that are colours too, and pictures that hang
_LIKENESSES = word_set("statue sculpture figurine bust puppet effigy gargoyle scarecrow snowman weathervane mascot")


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
        one = wanted(said.category, said.synonyms)
        if not one.synsets or "toy" in one.own:
            return None
        if one.rivals and _is_rival(said.caption, one):
            return f"speaks of another {spoken(said.category)!r}"
        subject = None if _begins_with_it(said.caption, one) else _other_subject(said.caption, one)
        return None if subject is None else f"speaks of {subject!r}, not of {spoken(said.category)!r}"


def _is_rival(caption: str, one: Wanted) -> bool:
    """Whether the caption names the category, but speaks of something else of that name."""
    text, said, _, _ = plain(caption)
    if said.isdisjoint(cues(one.rivals)):
        return False
    return not said.isdisjoint(one.heads) and is_rival(text.split(" ", _FIRST)[2:_FIRST], said, one.rivals)


def _begins_with_it(caption: str, one: Wanted) -> bool:
    """Whether the first words name the category, as in most captions: asking for that is quicker than parsing."""
    words = plain(caption).text.split(" ", _FIRST)  # "", ".", the first word, ..., the rest
    place = 2
    if words[2] in _THIS and words[3] in ("is", "are"):
        place = 4
    if words[place] in _ARTICLES:
        place += 1
    for at, word in enumerate(words[place:-1], place):
        if word in _STOPS:
            return False
        if one.by_word[word] and _stands_alone(words, at, one) and f"{word}-" not in caption:
            return True
    return False


def _stands_alone(words: Sequence[str], place: int, one: Wanted) -> bool:
    """Whether a noun is not part of a compound that is something else; of one thing "s" and "ing" tell what it does."""
    word, before, after = words[place], words[place - 1], words[place + 1]
    ends = after in _STOPS or after in _SHOWING or (words[2] in _ONE and after.endswith(("s", "ing")))
    if not ends and nouns().is_noun(after):
        return False
    return before in _STOPS or not is_other_compound(before, word, one)


def _other_subject(caption: str, one: Wanted) -> str | None:
    """The other thing that a caption is about; None where it is about the category, or where that is not known."""
    table = nouns()
    text = _prepared(caption, one)
    words = text.split()
    if is_described(words, one):
        return None
    about = subjects(words, table, _QUANTITIES, _VESSELS if one.food or one.filling else frozenset())
    first = next(about, None)
    if first is not None and not first.phrases:  # "This is not a ladder. It is a set of blinds."
        first = next(about, None)
    if (one.animal or one.person) and text.startswith((" . his ", " . her ")):  # its own
        return None
    if first is None or not first.head or not first.first or _is_part(first, one):
        return None
    head = first.head[-1]
    if head in PERSONS:
        lives = one.animal or one.person or "toy" in one.heads or not _LIKENESSES.isdisjoint(one.heads)
        return None if lives or names(words, one) else head
    says_nothing = head in SILENT and head not in _FRUITS and f" {head}s " not in text
    if (
        says_nothing
        or _is_name(head, caption, one, table)
        or any(_speaks_of(told, one, table) for told in (first, *about))
    ):
        return None
    return None if any(_fits(it, one, table) for it in _heads(first, table)) else head


def _is_part(first: Subject, one: Wanted) -> bool:
    """Whether the caption speaks of a part of what holds it, or of one that the name ends in.

    A bottle with a red cap may be one of sauce; the bar of the goal is a crossbar.
    """
    said, vessel = first.phrases[0]
    in_vessel = (one.food or one.filling) and first.head[-1] in _LIDS and bool(vessel) and vessel[-1] in _VESSELS
    return in_vessel or (bool(said) and said[-1] in _QUANTITIES and any(name.endswith(said[-1]) for name in one.own))


def _heads(first: Subject, table: Nouns) -> Iterator[tuple[str, ...]]:
    """What the caption is about, and the container in front of it: a glass dish full of butts."""
    yield first.head
    head = first.phrases[0][1]
    if head and head != first.head and table.is_container(head[-1]):
        yield head


def _speaks_of(told: Subject, one: Wanted, table: Nouns) -> bool:
    """Whether a sentence's subject names the category: in a noun, or in a word before one that is no thing itself."""
    for phrase, head in told.phrases:
        if names(phrase, one):
            last = head[-1] if head else ""
            thing = table.is_category(last) or table.is_category(" ".join(head[-2:]))
            if not thing or last in _QUANTITIES or last in BODY:
                return True
            if names_last(phrase, one) or names_last(head, one):
                return True
    return False


def _prepared(caption: str, one: Wanted) -> str:
    """The plain caption, with a word in the place of each comma."""
    if "," in caption[:_EARLY]:
        with_commas = caption.replace(",", f" {COMMA} ")
        return _joined(with_commas, one) if "-" in caption else plain_text(with_commas)
    return _joined(caption, one) if "-" in caption else plain(caption).text


_HYPHENATED = re.compile(r"\b([A-Za-z]+)-([A-Za-z]+)(?:-[A-Za-z]+)*\b")


def _joined(caption: str, one: Wanted) -> str:
    """The plain caption; words with hyphens are one (heart-shaped), unless they are known as two."""
    table = nouns()

    def joined(match: re.Match[str]) -> str:
        parts = match.group().lower().split("-")
        last = table.singular(parts[-1])
        if " ".join((*parts[:-1], last)) in table.senses or last in one.heads:
            return match.group()
        return "".join(parts)

    return plain_text(_HYPHENATED.sub(joined, caption))


def _is_name(head: str, caption: str, one: Wanted, table: Nouns) -> bool:
    """Whether the caption writes the word with a capital: it may be part of any name then, unless it is a breed.

    Cars are called by horses' breeds.
    """
    breed = table.is_breed(head) and (one.artifact or one.animal or one.food)
    return f" {head.capitalize()}" in caption and not breed


def _is_near(senses: Sequence[int], one: Wanted, table: Nouns) -> bool:
    """Whether a thing is of a small kind of things of which the object is too: these go by each other's names."""
    return any(
        table.size(kind) <= _SMALL and kind in one.above and not table.other_categories(sense, one.above)
        for sense in senses[:1]
        for kind in table.kinds_of(sense)
    )


def _is_holder(last: str, senses: Sequence[int], widest: int, one: Wanted, table: Nouns) -> bool:
    """Whether something that holds things is meant by a more usual name: a canteen is called a bottle."""
    return last in _HOLDERS and any(
        table.size(kind) <= widest and kind in one.above for sense in senses[:3] for kind in table.kinds_of(sense)
    )


def _is_above(last: str, senses: Sequence[int], one: Wanted, table: Nouns) -> bool:
    """Whether a noun names what the object is a kind of; a tiger is a cat, but none of LVIS's."""
    own = None if last in table.not_lvis or last == "toy" else table.categories.get(last)
    return not one.above.isdisjoint(senses) and (own is None or own not in senses or own in one.above)


def _fits(head: Sequence[str], one: Wanted, table: Nouns) -> bool:
    """Whether a head says nothing, or names what the object is a kind of (an animal for a dog), or a part of it."""
    last = head[-1]
    compound: tuple[int, ...] = ()
    if len(head) > 1:
        compound = table.senses.get(" ".join(head[-2:]), ()) or _joint(head, table)
    senses = compound or table.senses.get(last, ())
    if last in _QUANTITIES - _THINGS:
        return (last not in _HELPINGS or one.edible or one.plant) and not _is_of_another(head[:-1], table)
    if not _LIKENESSES.isdisjoint(one.heads) and not (table.is_category(last) and table.is_thing(last)):
        return True
    return (
        _is_above(last, senses, one, table)
        or not one.parts.isdisjoint(senses[:3])
        or (one.edible and last in _FOODS)
        or (one.rare and one.artifact and _is_holder(last, senses, _CLOSE if compound else _WIDE, one, table))
        or (one.artifact and last in (_GARMENTS if one.clothing else _GENERAL))
        or _fits_one_that_is_no_category(head, senses, one, table)
        or (one.artifact and (not compound or table.is_material(compound)) and _is_vague(head, senses, one, table))
    )


def _joint(head: Sequence[str], table: Nouns) -> tuple[int, ...]:
    """The senses of the last two words written as one: a lamp post is a lamppost, but a black bird no blackbird."""
    adjective = head[-2] in SILENT or head[-2] in table.mostly_adjectives or head[-2] in table.adjectives
    return () if adjective else table.senses.get("".join(head[-2:]), ())


def _is_of_another(before: Sequence[str], table: Nouns) -> bool:
    """Whether the words before a quantity name another thing: cauliflower florets."""
    return bool(before) and table.is_category(table.singular(before[-1])) and before[-1] not in SILENT


def _fits_one_that_is_no_category(head: Sequence[str], senses: Sequence[int], one: Wanted, table: Nouns) -> bool:
    """Whether a noun for which LVIS has no category may stand for the object."""
    last = head[-1]
    if table.is_category(last):
        return False
    return (
        (one.artifact and not one.clothing and _is_near(senses, one, table))
        or (one.prepared and any(table.is_like_food(sense, one.above) for sense in senses[:1]))
        # a tablet is a tablet computer, a poker token a poker chip, a trench a trench coat, a hermit a hermit crab
        or (table.is_thing(last) and any(last == first or first in head[:-1] for first in one.qualifiers))
        or (not table.is_animal(senses) and any(is_like(f"{last} {other}", one) for other in one.own))
        or (one.plant and not frozenset(table.senses["plant"] + table.senses["flower"]).isdisjoint(kinds(last)))
        or (one.animal and table.is_any_animal(senses))
    )


def _is_vague(head: Sequence[str], senses: Sequence[int], one: Wanted, table: Nouns) -> bool:
    """Whether a thing may go by that noun without being one: a form that is not said to be another thing's, a material.

    A pizza box and a bicycle frame are things of their own.
    """
    last = head[-1]
    if last in (_CLOTHS if one.clothing else _PLAIN if one.rare else _FORMS):
        before = table.singular(head[-2]) if len(head) > 1 else ""
        of = table.senses.get(before, ()) if not one.rare or table.is_category_of_lvis(before) else ()
        no_thing = before in _STUFF or before in SILENT or before in table.mostly_adjectives or before.endswith("ing")
        return not of or no_thing or table.is_material(of)
    return not table.is_category(last) and table.is_material(senses)
