"""A caption that gives away how the object was shown to the model: the box, the outline, the close-up, the order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.marked_name import marked_name
from capgen.pipeline.checks.vocabulary import phrases
from capgen.pipeline.checks.vocabulary.markers import FAMILIES, VOCABULARY
from capgen.pipeline.checks.vocabulary.quotations import without_readings

_phrase = partial(phrases.phrase, vocabulary=VOCABULARY)

_PHRASES = (
    # highlighted, outlined
    _phrase(
        "highlighted",
        not_before="LIGHT low evening morning afternoon late early",
        not_after="hair strands streaks curls text words bangs ponytail PAGE textbook",
    ),
    _phrase("highlight|highlights|highlighting the|this TARGET|area|target"),
    _phrase("highlight box|color|colour|region"),
    _phrase(
        "outlined in|by|with|using A? LINE* COLOUR|SHAPE|border|line", not_after="DRAWN", not_before="TRIM", reach=2
    ),
    _phrase(
        "is|are|being outlined !against",
        not_after="DRAWN",
        not_before="black white brown dark gold silver gray grey sun sky TRIM",
    ),
    _phrase("COLOUR outlined", not_after="DRAWN", not_before="DRAWN"),
    _phrase("COLOUR outline|contour !of", not_after="DRAWN PAGE", not_before="sole soles logo letters lettering"),
    _phrase("contour line|lines? around|drawn|highlighting|indicating"),
    _phrase("by|within|inside the|a|an contour !of"),
    _phrase(
        "that|which|who is|are|was boxed|circled|annotated|spotlighted|highlighted !up|in|by|for|and",
        not_after="DRAWN PAGE",
    ),
    _phrase("object|item|thing|one labeled|labelled|tagged|numbered with|as? number? 1|2|3|4|5|6|7|8|9|10|11|12"),
    _phrase("labeled|labelled|tagged|marked as number|object|region 1|2|3|4|5|6|7|8|9|10|11|12", not_after="DRAWN"),
    # marked object
    _phrase(
        "marked|indicated|specified|masked|circled|boxed|outlined|annotated|delineated|designated|segmented TARGET"
    ),
    _phrase("annotated|delineated|demarcated|designated|segmented item|items|thing|element|entity"),
    _phrase(
        "the designated|annotated|queried|delineated|demarcated _ is|are|shows|has|appears|looks",
        not_after="PAGE driver spot hitter area lane parking seat",
    ),
    _phrase("within|inside|by the|a|an colored|coloured|highlighted|drawn|given boundary|perimeter"),
    _phrase("segmentation|silhouette|instance mask|masks"),
    _phrase("selected|spotlighted|target object|objects|subject|person|item"),
    _phrase("tinted|shaded|colored|coloured region|area !rug|rugs|of|under|beneath|below|behind", not_after="brightly"),
    _phrase("tinted in LINE? COLOUR", not_after="DRAWN glass glasses sunglasses lens lenses"),
    _phrase("the|this marked|boxed|circled|indicated|outlined item|individual|one|LIVING"),
    _phrase("a|an marked|boxed|circled|indicated|outlined individual|person|man|woman", not_after="DRAWN"),
    _phrase("object|region|subject|area of interest"),
    _phrase(
        "pixels|pixel !art|block|blocks|display|screen|camera|pattern|style|phone|game|games|resolution|font",
        not_after="million mega",
    ),
    _phrase("annotator|annotators|annotator's|bounding|bbox"),
    _phrase("annotation|annotations", not_after="PAGE handwritten pencil margin"),
    _phrase(
        "cut|separated|lifted|singled|isolated|extracted|set|segmented|picked out|apart|off? from|against "
        "its|the|their? "
        "surroundings|background|scene|rest|image|picture|others|context"
    ),
    _phrase(
        "coloured|colored|highlighted|bright|thick|thin|added|drawn|COLOUR border|outline|contour|edge|frame|rim "
        "makes|making|that? makes|making|stand|stands|standing|shows|marks|around it|him|her|them|out|which"
    ),
    _phrase(
        "traced|followed|drawn|enclosed|edged by|in|with A? LINE* COLOUR @line|lines|stroke|strokes|dots|dashes",
        not_after="DRAWN",
    ),
    _phrase("the|an added COLOUR? edge|outline|border|line|glow|colour|color|tint|box|mark|frame|shading"),
    _phrase(
        "COLOUR|violet|teal|transparent|translucent shading|tint|wash|film|veil|layer|overlay|haze "
        "laid|placed|drawn|lying|"
        "painted|applied|over over|on|across|it|the"
    ),
    _phrase(
        "denoted|designated|signalled|signaled|flagged|pinpointed|pointed by|with|at|out _* @marker|star|dot|arrow|"
        "cross|symbol|pin|cursor|box|line|mask|outline|label|tag"
    ),
    _phrase("star|cross|dot|arrow shaped marker|mark|pointer"),
    _phrase(
        "everything|all|area|areas|rest|others|scene|background|surroundings _? _? _? is|are|has|have been? "
        "dimmed|darkened|greyed|grayed|blurred|blacked|faded|masked|desaturated|whited !by",
        not_after="lights lamp lamps",
    ),
    _phrase(
        "is|are|been dimmed|greyed|grayed|blacked|whited|desaturated out? .|and|so|to|for|it|except",
        not_after="light lights lamp lamps bulb bulbs headlights window windows screen hair hall room",
    ),
    _phrase(
        ". the|this _? _? area|region|zone|patch|portion|selection "
        "shows|contains|depicts|represents|displays|corresponds|covers|features|includes|encloses|holds"
    ),
    _phrase(
        "in|inside|within|of the|this annotated|highlighted|marked|selected|indicated|outlined|circled|boxed|"
        "specified|designated|masked area|region|zone|portion|part|section|spot|patch|space",
        not_after="DRAWN PAGE parking",
    ),
    _phrase("object|item|thing|subject|person|animal in question"),
    _phrase("focusing|focus|focused|concentrating only|just|solely|exclusively? on the"),
    _phrase("nothing else"),
    _phrase("superimposed"),
    _phrase("singled|picked out by|with|in"),
    _phrase("through|in|inside|within the cut out .|is|shows|_"),
    _phrase("marked|flagged|selected|chosen|highlighted|singled for description|captioning|you|reference|attention"),
    _phrase(". the @box|rectangle|outline|line|mask _ _? _? _? _? _? encloses|surrounds|delimits|bounds"),
    _phrase(
        ". what the|a|this _? _? line|box|outline|mask|contour|arrow|rectangle|circle|border "
        "encloses|surrounds|marks|shows|points|covers|contains|indicates"
    ),
    _phrase("tagged|labelled|labeled|identified by|with the|a COLOUR? dot|marker|arrow|box|mask|outline|cursor"),
    _phrase("set|sets|setting it|him|her|them apart from the rest|background|others|scene"),
    _phrase(
        "tint|wash|shading|circle|dot|digit|number|box|stroke|line|colour|color|film|veil|mark|marker|label|highlight "
        "that|which? is|was|has? been? laid|placed|put|drawn|superimposed|applied|pasted|stamped|overlaid|added "
        "over|on|onto|across|there|around|for|to|in",
        not_after="DRAWN PAGE",
        not_before="TRIM",
    ),
    _phrase(
        "painted|coloured|colored|washed|tinted|filled over|in|by|with A? flat|solid|see? through? COLOUR "
        "wash|tint|shade|"
        "layer|over|film|overlay|fill|veil"
    ),
    _phrase("painted|coloured|colored|shaded over in|with see|transparent|translucent|COLOUR", not_after="DRAWN PAGE"),
    _phrase(
        "glowing|glows|lit|rimmed|edged with|in|by an|a|the? "
        "unnatural|artificial|added|thick|thin|bright|COLOUR? COLOUR? "
        "edge|outline|aura|halo|border|contour|rim",
        not_after="DRAWN",
    ),
    _phrase(
        "COLOUR stroke|strokes|aura|bracket|brackets|wash around|along|over|about|that|which|marks|at",
        not_after="DRAWN brush paint",
    ),
    _phrase("corner brackets|markers|marks"),
    _phrase("for reference !book|books|only|library", not_after="PAGE"),
    _phrase("is|was|being meant|singled|targeted|queried|annotated|spotlighted .|out|here|by|in|with"),
    _phrase(
        "spotlighted|highlighted|circled|boxed|outlined|marked zone|area|spot|thing|individual", not_after="DRAWN PAGE"
    ),
    _phrase(
        "faded|turned|reduced|desaturated to grey|gray|greyscale|grayscale|monochrome",
        not_after="hair beard fur wood paint",
    ),
    _phrase(
        "only|one figure|object|thing|person|animal|part _? not faded|dimmed|greyed|grayed|blurred|darkened|masked"
    ),
    _phrase(
        "numbered|labelled|labeled|tagged with a|an|the COLOUR|white|black digit|number|numeral|letter|circle|dot|tag",
        not_after="DRAWN ear collar",
    ),
    _phrase("the segmented _ !body|tail|legs|leg|sofa|orange|worm|tray|bracelet|window|dome", not_before="SEGMENTS"),
    _phrase("segmented area|areas|region|part|portion|mask|view|image|picture|section|subject|out|person|man|woman"),
    _phrase("segmented|isolated|separated from the background|image|picture|scene|rest|surroundings"),
    _phrase(
        "the|this|that|a @rectangle|square|outline|contour|box surrounds|encloses|bounds|selects|marks|frames "
        ".|and|is|are|has|was|stands|lies|sits"
    ),
    _phrase(
        "bounded|delineated|demarcated|traced|ringed|encircled by|with|in LINE* COLOUR @line|lines|dots|dashes|strokes",
        not_after="DRAWN court field pitch road",
    ),
    _phrase("as marked|highlighted|indicated|annotated|boxed|outlined|circled", not_after="DRAWN PAGE"),
    _phrase(
        ". the|a LINE* COLOUR LINE* @rectangle|outline|square|circle "
        "contains|shows|indicates|covers|encloses|holds|has a|an|the"
    ),
    _phrase("in|within|inside the crop|cutout .|is|it|there|we"),
    _phrase(
        "in|inside|within a|the drawn|marked|highlighted|annotated|overlaid @BOX|square|circle|outline|frame",
        not_after="DRAWN PAGE",
    ),
    _phrase("the one with|in|inside the|a LINE* COLOUR LINE* @SHAPE|frame|border|line|circle|square"),
    _phrase("that|which|where an|the arrow points|is|pointing|indicates"),
    _phrase("see|cf|refer to? box|region|figure|fig|image|mask|frame|label|crop 1|2|3|4|5|6|7|8|9|10|11|12"),
    _phrase(
        ". the @mask|region|segment|highlight|overlay|contour covers|contains|shows|marks|encloses|is|holds a|an|the"
    ),
    _phrase(". the @box marks|encloses|surrounds|highlights|shows|outlines|indicates a|an|the"),
    _phrase(". the person|man|woman|boy|girl|child|player in the @box !of|seat|office|truck|car"),
    _phrase("segmented by|with|in A? LINE* COLOUR|mask|outline|overlay"),
    _phrase("is|are|been|was|being fully? segmented !into|by", not_after="SEGMENTS", not_before="SEGMENTS"),
    _phrase("visual prompt|marker|marking"),
    _phrase(
        "emphasised|emphasized|queried|numbered|targeted|designated|specified|requested|referenced|referred|chosen|"
        "enumerated|indexed|labelled|labeled|pointed|flagged "
        "object|objects|item|items|thing|region|area|instance|target|subject",
        not_after="DRAWN",
    ),
    _phrase("the focus|emphasis|attention is|lies|rests on|upon !her|his|their|its"),
    _phrase(
        "everything else|rest|remainder|surroundings|other _* "
        "darkened|dimmed|greyed|grayed|blurred|faded|masked|desaturated"
    ),
    _phrase("object|instance|binary|pixel|ground|segment @mask|masks|truth|region|regions"),
    _phrase("foreground|background region|object|mask|instance|pixels|segment"),
    _phrase(
        "by|of|under|in|with the @overlay|mask .|and|is|shows|covers|marks", not_after="hidden covered wearing wears"
    ),
    _phrase(
        "overlaid|covered|filled|tinted|shaded with|in|by A? semi? transparent|translucent COLOUR? "
        "colour|color|layer|overlay"
    ),
    _phrase("the @mask|overlay|highlight|contour _ it|him|her|them completely|fully|entirely|."),
    _phrase(". the|a COLOUR? @rectangle|box|outline|contour surrounds|encloses|bounds|encircles|delimits a|an|the|it"),
    _phrase("ringed in|with|by LINE* COLOUR", not_after="DRAWN eye eyes neck tail"),
    _phrase("background removed|erased|blacked|whited|blanked|deleted|masked|subtracted"),
    _phrase("polygon|polygons covers|of|around|outlining|encloses|enclosing|marks|marking|for|is"),
    _phrase(
        "delimited|bordered|bounded by|with|in A? LINE* COLOUR @line|square|rectangle|border|frame|circle",
        not_after="DRAWN PAGE",
    ),
    _phrase("COLOUR @mask|overlay|tint|shading over|on|across|atop|covering it|him|her|them|top"),
    _phrase(
        "tint|overlay|colour|color|line|arrow|box to|that|which "
        "mark|marks|indicate|indicates|highlight|identify|identifies it|the"
    ),
    _phrase("cut|cropped|clipped|cut off|out by|at the|edge|image|picture !of"),
    _phrase("blank|plain|transparent|empty|removed|uniform background|backdrop .|cut"),
    # bounding box, thin box, green rectangular box
    _phrase("bounding SHAPE|boxes|frame|region|area|line|lines|square|circle|polygon|border|borders|rectangles"),
    _phrase("bbox|bboxes"),
    _phrase("given|provided|specified|selected BOX|region|area"),
    _phrase("delineated|demarcated by|in|with A? LINE* COLOUR? line|lines|border", not_after="DRAWN"),
    _phrase("thin|dashed|dotted COLOUR? rectangular? @BOX|outline !of", not_after="DRAWN"),
    _phrase("COLOUR rectangular @BOX|outline|border !of"),
    _phrase("rectangular COLOUR @BOX|outline|border !of"),
    # inside the box, in the green box, in a green rectangle
    _phrase("inside|within the LINE* @SHAPE|mask !of|spring|office|truck|car|seat|kite|top"),
    _phrase("in the LINE* COLOUR LINE? @box !of|truck|car|kite"),
    _phrase("in|inside|within a|the LINE* COLOUR rectangular? @rectangle", not_after="DRAWN"),
    _phrase("in|inside|within the LINE* COLOUR @square|circle|border|outline", not_after="DRAWN"),
    _phrase(
        "ADULT in|inside|within a|the LINE* COLOUR rectangular? @BOX|frame|border !tent|of|chair|glasses|bike|bicycle"
    ),
    _phrase(". the _ _* in the @BOX|outline is|has|wears|appears|looks|stands|was"),
    # marked by a box, a box around it, a red border around her
    _phrase("MARKED by|with|in|within|using A? _* @SHAPE|mask|overlay|tint|annotation|annotations|highlight"),
    _phrase("indicated|pointed to|out|at? by|with A? _? arrow|BOX|marker"),
    _phrase("enclosed|surrounded|framed|bordered|outlined|captured by|with|in|within A EDGE LINE* @SHAPE"),
    _phrase(
        "enclosed|surrounded|framed|encircled by|with|within a|the EDGE LINE* @line|lines|border|frame|square",
        not_after="DRAWN PAGE FRAMED plate dish rug photo",
    ),
    _phrase(
        "enclosed|surrounded|contained|captured|shown|placed by|in|within|inside A EDGE LINE* @frame|RING",
        not_after="DRAWN PAGE FRAMED plate dish rug photo photos photograph mirror portrait poster map",
    ),
    _phrase("in|inside|within|by a|the GLARING LINE* frame|RING|line|lines|outline|contour"),
    _phrase("in|inside|within the dashed|dotted|thick|thin|bounding COLOUR? @RING|frame", not_after="DRAWN"),
    _phrase(
        "GLARING thin|thick|dashed? @line|lines|border|frame|circle|square|rectangle|ring|marker|dot|arrow",
        not_after="DRAWN WORN",
    ),
    _phrase("inside|within the COLOUR @frame|line|lines", not_after="DRAWN PAGE FRAMED court field pitch"),
    _phrase(
        "A|thin|rectangular|COLOUR COLOUR @border|line|outline line|box|frame? around it|him|her|them",
        not_after="DRAWN PAGE WORN plate",
    ),
    _phrase(
        "LIVING surrounded|framed|enclosed|bordered by|with|in A LINE* COLOUR LINE* @line|border|frame|circle|square"
    ),
    _phrase(
        "@SHAPE|line|lines|border|circle|frame|square that? is? tightly|closely? drawn tightly|closely? around|over",
        not_after="PAGE",
    ),
    _phrase("A|thin|rectangular|COLOUR @BOX|outline tightly|closely? AROUND it|him|her|them", not_before="corner"),
    _phrase(
        "A|thin|rectangular|COLOUR @BOX|outline tightly|closely? AROUND the|a|an|this|that",
        not_before="corner sole soles edge rim logo",
        not_after="PAGE",
    ),
    _phrase("A|thin|rectangular|COLOUR @BOX AROUND its|his|their"),
    _phrase(
        "COLOUR @line|lines|border|frame|circle|square|ring|marker AROUND the? him|her|them|TARGET|LIVING",
        not_after="DRAWN",
    ),
    _phrase(
        "COLOUR|thin|rectangular @BOX TELLS|AROUND|surrounds|encloses the|a|an|this|it|him|her|them",
        not_before="corner",
    ),
    _phrase("COLOUR @line|border|circle|square|frame TELLS|surrounds|encloses the|a|an TARGET|LIVING"),
    _phrase("in|inside|within a|the magenta|cyan|lime|neon|fuchsia @box"),
    _phrase("COLOUR|thin|rectangular @border|square|circle that? TELLS the|a|an|this"),
    _phrase(
        "boxed|circled|traced|encircled|indicated|delineated|contoured|marked|annotated|shaded|enclosed "
        "in LINE? COLOUR",
        not_after="DRAWN PAGE SCREEN scan size price inches",
        not_before="TRIM lines numbers numerals inches letters pen increments graduations",
        reach=2,
    ),
    _phrase("at|the|box|with coordinates"),
    # masks, tints, dimming
    _phrase("segmentation"),
    _phrase(". the? masked region|area|part|portion|section|object|instance|pixels"),
    _phrase(
        "covered|overlaid|painted|filled|tinted|shaded|coloured|colored|marked|indicated|given|denoted|shown "
        "by|with|in|under "
        "A? LINE* COLOUR? semi? transparent|translucent? @mask|overlay",
    ),
    _phrase(
        "under|beneath|behind|of|inside|within|outside the LINE* @mask|overlay", not_unnamed="he she his her their"
    ),
    _phrase("semi transparent|translucent? mask|overlay|tint|layer|colour|color"),
    _phrase("LINE|semi? transparent|translucent mask|overlay"),
    _phrase("cutout|silhouette on|against|over|with a|an plain? black|white|blank|grey|gray|plain|transparent"),
    _phrase(". a|an|the? cut out|cutout|crop|segment of a|an|the", not_before="cardboard wooden paper"),
    _phrase("isolated|segmented|separated|extracted object|subject|on|from|against|item|instance", not_before="island"),
    _phrase("instance|instances of a|an|the? class|category|object|type"),
    _phrase("an|one|single|this instance of"),
    _phrase("the|these|those|of pixels"),
    _phrase("pixels belong|belonging|of|that|which|in|inside|correspond|corresponding"),
    _phrase("mask overlay|region|area"),
    _phrase("masked out|area|part|portion|section|pixels"),
    _phrase(
        "translucent|transparent|colored|coloured|COLOUR COLOUR? overlay|shading",
        not_after="dress gown skirt blouse lace table curtain",
        not_before="tulle lace sleeves fabric petals leaf leaves eyes feathers",
    ),
    _phrase("translucent|transparent COLOUR? @mask|tint"),
    _phrase("@mask|overlay|tint that? TELLS|AROUND|shows !her|his|their|its|your"),
    _phrase("the|a COLOUR @mask|tint|overlay|highlight covers|contains|shows|marks|is a|an|the|part|over|on"),
    _phrase("with|in|under the COLOUR tint|overlay|highlight", not_after="DRAWN", not_before="hair lens"),
    _phrase("COLOUR @mask|tint|overlay over|covering|overlaid the TARGET|LIVING|image|picture"),
    _phrase("dimmed|darkened|grayed|greyed|desaturated _? background|surroundings"),
    _phrase("background is|has? been? dimmed|darkened|grayed|greyed|masked|desaturated"),
    # cropped, close-up, zoomed in, inset
    _phrase("cropped image|view|photo|picture|section|version|region|close"),
    _phrase("cropped", not_before="WORN", not_after="WORN SCREEN"),
    _phrase("image|picture|photo|object|tight|this crop !top|tops|of"),
    _phrase("shown|seen|visible|view|up _? in|within|of|from the crop"),
    _phrase("center|centre|middle|corner|edge|side|part of the crop|inset|cutout !field|circle|circles"),
    _phrase(". the crop shows|contains|depicts|is"),
    _phrase("cut off by|at the frame|image|picture|photo"),
    _phrase("close up !to|against|next|on|the|her|his|their|shop", not_after="SCREEN"),
    _phrase("the|this|in close up view|shot|image|picture|photo|crop|also? shows|reveals|is"),
    _phrase("in|from|of|to the NTH* close up"),
    _phrase("@outline|contour is|are drawn|traced|marked|shown in|with|by", not_after="DRAWN PAGE"),
    _phrase("closeup|closeups", not_after="SCREEN"),
    _phrase("zoomed !past|by|down|away|off", not_after="OPTIC"),
    _phrase("zoom|zooms in", not_after="OPTIC"),
    _phrase(
        "magnified|enlarged|zoomed|blown up? "
        "view|image|crop|picture|section|patch|portion|area|region|detail|part|inset",
        not_after="OPTIC",
    ),
    _phrase(
        "image|picture|this|the|square patch|tile of|shows|contains|containing", not_after="fabric quilt cloth jacket"
    ),
    _phrase("inset image|picture|photo|view|box|crop|shows"),
    _phrase("in|of the inset"),
    # in the second image, across the frames, region 1
    _phrase("in|from|across|throughout|between|of|by the NTH NTH? @VIEW !PLACED", not_before="bowling game"),
    _phrase("in|from|across|throughout both|all|each|every|these|either of? the|these? NTH? @VIEW !PLACED"),
    _phrase("in|from one of the|these NTH? @VIEW !PLACED"),
    _phrase(". the NTH NTH? @VIEW !PLACED", not_before="hanging hung wall"),
    _phrase("in image|images|picture|pictures|photo|photos|frame|frames one|two|three|four"),
    _phrase(". both|all _? images|pictures|photos|frames|views show|depict|feature"),
    _phrase("across|between|throughout the? video|sampled|given|different|several|multiple|consecutive? frames"),
    _phrase("clean|marked|unmarked|annotated scene|picture|image|view|photo"),
    _phrase("clean|marked|unmarked|annotated @frame|frames", not_after="FRAMED"),
)
_BOOK = phrases.PhraseBook(_PHRASES, FAMILIES)
# Numbered pictures and regions: searched in the caption as it is, with a bounded repeat.
_DIGIT = re.compile(r"\d")
_NUMBERED = re.compile(
    r"\b(?:image|picture|frame|photo|view|region|object|instance|mask|bbox|segment|subject)s?\s?(?:number\s)?#?\d{1,3}\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class MarkerLeak:
    """Drops captions that speak of the mark, the close-up or the order of the pictures.

    Honest boxes, masks and frames stay: those that the category names, that the caption introduced before, or that are
    part of what is printed or painted.
    """

    final: ClassVar[bool] = False

    def __call__(self, said: CheckedCaption) -> str | None:
        """Quote the leak."""
        found = _BOOK.first(said) or marked_name(said)
        if found is None and _DIGIT.search(said.caption) is not None:
            numbered = _NUMBERED.search(without_readings(said.caption))
            found = numbered.group().strip() if numbered else None
        return None if found is None else f"speaks of how the object was shown: {found!r}"
