"""Marks that a caption names together with its object: the highlighted horse, the arrow that points at it."""

from __future__ import annotations

import re

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.categories.nouns import nouns
from capgen.pipeline.checks.vocabulary import phrases
from capgen.pipeline.checks.vocabulary.markers import FAMILIES, VOCABULARY
from capgen.pipeline.checks.vocabulary.names import spoken
from capgen.pipeline.checks.vocabulary.plain_form import watch

_THING = "(?:NAME|object|thing|item|subject|one|animal|creature|person|man|woman|boy|girl|child|vehicle|figure)"
_COLOURS = f"(?:{'|'.join(phrases.expanded(['COLOUR'], VOCABULARY))}|bright|thin|thick|dashed|dotted|solid|glowing)"
_MARKS = (
    "(?:box|boxes|rectangle|outline|contour|mask|overlay|highlight|border|polygon|selection|annotation|annotations|"
    "marker|crosshair|cursor|pointer|bracket|brackets|silhouette|halo|tint|shading|arrow|circle|ring|dot|square)"
)
_TRIMS = f"(?:{'|'.join(phrases.expanded(['TRIM'], VOCABULARY))})"
# What is dyed, tinted or numbered in the world.
_GLASS = frozenset(
    """window glass glasses sunglass eyeglass spectacle lens windshield visor bottle car hair wig vase lamp
    lampshade goggle jar mirror bird plate dish bowl cup mug target eye""".split()  # noqa: SIM905
)
_NUMBERED_THINGS = frozenset(
    """jersey shirt bib locker door bus boat horse car truck train tram ball plate sign box seat key tag mailbox
    house building airplane motorcycle bicycle helmet kart dice die card ticket button floor room table chair
    bed platform gate lane track cow sheep pig goat bull bird runner player person man woman boy girl swimmer
    athlete rider racer buoy puzzle block envelope bag suitcase container crate barrel drum tank bin locomotive
    ship yacht raft surfboard snowboard ski sled vest uniform racket candle balloon cake clock watch dial die
    domino hydrant pole post meter counter badge wristband medal coin flag banner poster book page map pool
    billiard bowling""".split()  # noqa: SIM905
)
_MARKED_NAME = re.compile(
    r" the (?:target|marked) NAME (?!sign|down|with|on|by|area)"
    r"| the (?:highlighted|spotlighted|segmented|outlined|masked|boxed|circled|indicated|annotated|delineated|selected"
    r"|tinted|contoured) (?:[^ .]{1,15} )?NAME "
    r"| NAME (?:(?:which|that) )?(?:is |are |was )?(?:circled|boxed|highlighted|annotated|spotlighted)"
    r" (?!in |by |with |up |for |against |under |from |text|hair)"
    r"| (?:crop|cropping|mask|segmentation|segment|silhouette|outline|contour|rendering|render|close ?up|view|cutout)"
    r" of "
    r"(?:an? |the |this )?(?:[^ .]{1,15} ){0,3}NAME "
    # the purple-tinted elephant
    rf"| (?:{_COLOURS}) (?:tinted|shaded|masked|boxed|overlaid|contoured|circled) (?:[^ .]{{1,15}} )?NAME "
    r"| the NAME (?:with|in|inside|within) the (?:red|green|blue|yellow|magenta|cyan|pink|orange|purple|white|bright) "
    r"(?:border|outline|contour|rectangle|bounding box) (?!of )"
    r"| (?:emphasi[sz]ed|queried|requested|specified|designated|referenced|targeted|numbered) (?:[^ .]{1,15} )?NAME "
    r"| \. (?:the|this) (?:colou?red )?"
    r"(?P<thing>crop|polygon|mask|segment|overlay|annotation|contour|cutout|inset|highlight|region) "
    r"(?!of |on |that |in |worn |with |hanging |and |or |is |grows |hangs |lies |sits |stands )"
    r"| an? (?:highlighted|spotlighted|segmented|masked|annotated|delineated) (?:[^ .]{1,15} )?NAME (?!segment)"
    # the animal tinted purple, a dog that has been outlined with a thin red line
    rf"| {_THING} (?:(?:which|that|who) )?(?:is |are |was |has been |have been |being |shown |drawn |seen )?"
    r"(?:outlined|tinted|contoured|traced|encircled|ringed|circled|boxed|overlaid|shaded|highlighted|delineated) "
    rf"(?:in |by |with |using )?(?:an? |the )?{_COLOURS} (?!{_TRIMS} |by the |by an? |lines |letters )"
    # the person the arrow is pointing at, the sheep that glows with the added edge
    rf"| {_THING} (?:that |which |who |where )?(?:the|an?|this) (?:{_COLOURS} ){{0,2}}{_MARKS} "
    r"(?:is |has been )?(?:point|indicat|mark|surround|enclos|highlight|cover|show|outlin|touch|wrap|rest)"
    rf"| {_MARKS} (?:is |are |that |which |drawn |placed |tightly |shown ){{0,2}}"
    r"(?:points to|points at|pointing to|pointing at|points out|indicates|indicating|marks|marking|encloses|enclosing|"
    r"surrounds|surrounding|highlights|highlighting|covers|covering|around|over|outlines|outlining|selects|contains|"
    rf"containing|shows|showing) (?:the |an? |this |that )?(?:[^ .]{{1,15}} )?{_THING} "
    rf"| (?:everything|all|anything) (?:else )?(?:except|but|besides|apart from|other than|outside|around) "
    rf"(?:for )?(?:the |this )?(?:{_THING}|it|him|her|them) "
    # the umbrella, marked with the number 3
    rf"| NAME (?:is |are |that is |which is |that bears )?(?:marked|labell?ed|tagged|numbered|annotated|identified) "
    r"(?:with |as |by )?(?:an? |the |its )?(?:number|label|digit|id|index|tag|letter|marker|numeral)? ?"
    r"(?:[0-9]{1,2}|one|two|three|four|five) (?!kg|cm|mm|m|l|ml|g|lb|oz|inch|feet|foot|euros|dollars|pounds|percent)"
)
# What has segments of its own, and may be called segmented.
_SEGMENTED = frozenset(VOCABULARY["SEGMENTS"].split()) | {"mandarin", "tangerine", "clementine", "grapefruit", "lemon"}
MARKED_WORDS = watch(
    frozenset(
        f"""{re.sub("[^a-z]", " ", _MARKS)} highlighted spotlighted segmented outlined masked boxed circled indicated
        annotated delineated selected tinted contoured traced encircled ringed overlaid shaded marked emphasised
        emphasized queried requested specified designated referenced targeted numbered labeled labelled tagged
        identified crop cropping segmentation segment rendering render close closeup view cutout border inset region
        everything all anything target""".split()
    )
)
"""The bit of the words of which each such caption has one."""


_DRAWN = frozenset(phrases.expanded(["DRAWN", "PAGE", "SCREEN", "FRAMED"], VOCABULARY))
_LOOKS = re.compile(
    " (?:outlined|tinted|traced|ringed|circled|shaded|highlighted|marked|box|outline|border|arrow|circle|ring|"
    "dot|square"
    "|rectangle|marker|labell?ed|numbered|contour|silhouette|halo|annotation|annotations|selection|cursor|pointer) "
)
_CIRCLED = re.compile(" NAME (?:that is |which is |is )?(?:circled|boxed|encircled|spotlighted|annotated) ")
_PAPER = frozenset(phrases.expanded(["PAGE", "SCREEN"], VOCABULARY)) | {"sign", "poster", "sticker", "label"}
_DYED = re.compile(" (?:tinted|shaded|ringed) ")
# Animals that have no mask and wear none.
_UNMASKED = frozenset(
    """duck duckling goose cow calf sheep lamb goat pig giraffe elephant camel deer fish goldfish shark dolphin whale
    butterfly bee ladybug crab lobster turtle tortoise frog lizard snake rhinoceros hippopotamus kangaroo
    rabbit squirrel chicken hen rooster turkey pigeon swan penguin""".split()  # noqa: SIM905
)
_PARTED = re.compile(" (?:segmented|segment) ")
_NUMBER_AT_END = re.compile(" (?:[0-9]{1,2}|one|two|three|four|five) $")


def marked_name(said: CheckedCaption) -> str | None:
    """The highlighted horse, where a horse was asked for."""
    found = phrases.around_name(said, _MARKED_NAME, MARKED_WORDS)
    if found is None or _is_honest(found.group(), found["thing"], said):
        return None
    return found.group().strip()


def _is_honest(words: str, thing: str | None, said: CheckedCaption) -> bool:
    """Whether the object has such marks in the world: it is printed, dyed, numbered or segmented, or wears a mask."""
    own = phrases.own_words((said.category or "", *said.synonyms), FAMILIES)
    return (
        thing in own
        or ((" masked " in words or thing == "mask") and _may_wear_a_mask(said))
        or (not _DRAWN.isdisjoint(own) and _LOOKS.search(words) is not None and not _is_circled(words, own))
        or (not _GLASS.isdisjoint(own) and _DYED.search(words) is not None)
        or (not _NUMBERED_THINGS.isdisjoint(own) and _NUMBER_AT_END.search(words) is not None)
        or (not _SEGMENTED.isdisjoint(own | set(words.split())) and _PARTED.search(words) is not None)
        or (words.startswith(" crop of") and _grows(said))
    )


def _is_circled(words: str, own: frozenset[str]) -> bool:
    """Whether it is circled or boxed, as nothing is in the world but what stands on a page."""
    return _CIRCLED.search(words) is not None and _PAPER.isdisjoint(own)


def _grows(said: CheckedCaption) -> bool:
    """Whether the object is food or a plant, of which there are crops."""
    table = nouns()
    senses = table.senses.get(table.singular(spoken(said.category or "")), ())
    growing = frozenset(table.senses["food"] + table.senses["plant"])
    return any(not growing.isdisjoint(table.kinds_of(sense)) for sense in senses[:1])


def _may_wear_a_mask(said: CheckedCaption) -> bool:
    """Whether the object is a person or an animal that may have a mask of its own, or the likeness of one."""
    table = nouns()
    if not _UNMASKED.isdisjoint((said.category or "").split("_")):
        return False
    names = [table.singular(spoken(name)) for name in (said.category or "", *said.synonyms)]
    kinds = {kind for name in names for sense in table.senses.get(name, ()) for kind in table.kinds_of(sense)}
    living = {
        kind
        for name in ("person", "animal", "statue", "doll", "toy", "costume", "poster")
        for kind in table.senses.get(name, ())
    }
    return not kinds or not living.isdisjoint(kinds)
