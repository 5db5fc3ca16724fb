"""Words that tell which of several things of one name is meant: the mouse that nibbles, the fan that cheers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from capgen.pipeline.checks.categories.grammar import word_set
from capgen.pipeline.checks.categories.nouns import Nouns

# Of each sort of thing, words that tell it at once, and those of which two must be there.
_TELLING = {
    "animal": (
        word_set(
            """fur furry whiskers whiskered snout beak feathers feathered plumage paws hooves antlers nibbles nibbling
            grazes grazing pecks pecking chews chewing cud sniffs sniffing licks licking basks basking burrow hatchlings
            prey forages foraging roosts roosting gnaws gnawing talons fangs udder flightless scurries scurrying
            woolly fleece predator wingspan bleats perches perched wading slithers"""
        ),
        word_set(
            "wings tail ears eyes tongue claws paw nest head neck cave grass twitching crouches swims flies hops fed"
        ),
    ),
    "person": (
        word_set(
            """wearing wears smiling smiles screaming shouting cheering cheers gestures gesturing kneels
            sprints jogs sings laughs laughing shouts kneeling"""
        ),
        word_set(
            "his her he she himself herself hair beard arms man woman boy girl jersey uniform helmet shirt knee robe"
        ),
    ),
    "food": (
        word_set(
            "roast roasted grilled fried baked breaded carved smoked braised sauteed poached seared gravy marinated"
        ),
        word_set("slices sliced sauce plate platter served lemon garnish garnished skewer rice crispy skin"),
    ),
    "thing": (
        word_set("wooden plastic metal steel aluminum aluminium iron brass cast wireless electric inflatable knitted"),
        word_set("handle grip cable cord button bolted screws taped wheels"),
    ),
}
_FIRST = 6  # words of a caption among which a thing's material stands


def rivals(name: str, above: frozenset[int], table: Nouns) -> tuple[str, ...]:
    """Of what other sorts something of this name can be, an object of a category with these kinds being none.

    A name of two words is plain enough: a teddy bear may have fur.
    """
    own = _sorts(above, table)
    others = {sort for sense in table.senses.get(name, ()) for sort in _sorts(table.kinds_of(sense), table)}
    wanted = {"food", "thing"} if "animal" in own else {"animal", "person"} if "person" not in own else set()
    return tuple(sorted((others - own) & wanted)) if " " not in name else ()


def _sorts(kinds: frozenset[int], table: Nouns) -> frozenset[str]:
    if table.people in kinds:
        return frozenset(("person",))
    found = {"animal"} if table.senses["animal"][0] in kinds else set()
    if not table.edible.isdisjoint(kinds):
        found.add("food")
    if table.senses["artifact"][0] in kinds:
        found.add("thing")
    return frozenset(found)


@cache
def cues(sorts: tuple[str, ...]) -> frozenset[str]:
    """Every word that can tell one of the sorts: a caption without any need not be looked at."""
    return frozenset().union(*(words for sort in sorts for words in _TELLING[sort]))


def is_rival(words: Sequence[str], said: frozenset[str], sorts: Sequence[str]) -> bool:
    """Whether a caption's words tell one of the sorts of thing.

    Args:
        words: the first words of the caption.
        said: all of its words.
        sorts: what ``rivals`` found.
    """
    for sort in sorts:
        telling, hints = _TELLING[sort]
        if sort == "thing":
            if not telling.isdisjoint(words[:_FIRST]):
                return True
        elif not telling.isdisjoint(said) or len(hints & said) > 1:
            return True
    return False
