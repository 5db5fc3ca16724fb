"""Classes of English words by which a sentence is taken apart, and what is told by a word's ending."""

from __future__ import annotations

from capgen.pipeline.checks.categories.nouns import Nouns

COMMA = "0comma0"
"""Stands for a comma in a sentence's words."""


def word_set(words: str) -> frozenset[str]:
    """The words of a text, which has blanks between them."""
    return frozenset(words.split())


PREPOSITIONS = word_set(
    """in on at by near with without behind beside besides below above under underneath beneath over from against for
    to into onto inside outside within through across along around about toward towards upon off amid amidst among
    amongst between past atop alongside like unlike after before during despite via per than until plus beyond
    throughout"""
)
# What follows a noun without being one.
AFTER_NOUNS = word_set(
    """asleep awake alone ajar afloat aloft alive ablaze askew alight aground apart away adrift upright upside
    sideways midair underwater outdoors indoors here there together forward backwards overhead nearby halfway mid
    parallel perpendicular diagonally
    downhill uphill next close full empty high wide tall long deep thick old low flat straight open shut slightly
    partly fully
    partially completely half still just very almost not also both each only all up down out back quotation numbered
    cm mm m km ft feet inch inches kg lb ml"""
)
PERSONS = frozenset(("he", "she"))
CLAUSES = word_set(
    """that which who whom whose where when while as if because so but neither nor yet is are was were be been being
    am has have had
    having does do did can could may might will would should its his her their it he you they him them isn't aren't
    it's he's she's they're there's she"""
)
DETERMINERS = word_set(
    "a an the this that these those two three four five six seven eight nine ten several some many both"
)
# Nouns too, but before another noun they only say how it is: a black and white cat.
COLOURS = word_set(
    """red blue green yellow orange white black brown grey gray pink purple violet gold golden silver tan beige cream
    navy teal turquoise maroon crimson scarlet lavender olive bronze copper ivory charcoal medium"""
)
PARTICIPLES = word_set("cut set split shut bent bound left wound dug ground lit spread")
NO_PARTICIPLES = word_set("wedding evening morning ceiling building racing string spring king ring wing")
_LEAST = 4  # letters that a participle has more than


def is_participle(word: str, table: Nouns) -> bool:
    """Whether a word is what something does or what was done to it: sitting, painted, cut."""
    if word in PARTICIPLES or word in table.irregular_verbs:
        return True
    return word.endswith(("ed", "ing")) and len(word) > _LEAST and word not in NO_PARTICIPLES
