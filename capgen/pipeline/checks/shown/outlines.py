"""Phrases about what was drawn around the object: boxes, outlines, circles, arrows, numbers."""

from __future__ import annotations

from functools import partial

from capgen.pipeline.checks.vocabulary import phrases
from capgen.pipeline.checks.vocabulary.markers import VOCABULARY

_phrase = partial(phrases.phrase, vocabulary=VOCABULARY)

PHRASES = (
    # red box, upper centre; the one with the dot; at the tip of the arrow
    _phrase(
        "the one|ones in|under|with|inside|below|beneath|at|by|beside the LINE* @box|dot|arrow|mark|marker|outline|mask"
    ),
    _phrase(
        "the one|only|part|item|thing marked|outlined|boxed|shaded|tinted|selected|pointed|coloured|colored .|in|by"
    ),
    _phrase(
        "at|by|below|beneath|under|beside|near|from the tip|end|point of the|an LINE* arrow|pointer|cursor",
        not_after="DRAWN bow",
    ),
    _phrase(". LINE* COLOUR @box|rectangle|outline|square upper|lower|top|bottom|left|right|middle|centre|center"),
    _phrase("upper|lower left|right|centre|center|middle @box|outline|rectangle|crop ."),
    _phrase(
        "just|partly|slightly|mostly inside|outside|past|beyond the LINE* @box|outline|rectangle|contour|border|frame ."
    ),
    _phrase(
        "and is|are|was circled|outlined|boxed|highlighted|ringed|marked|framed in LINE* COLOUR|white|black .",
        not_after="PAGE DRAWN",
    ),
    _phrase("bounding !MOVES"),
    # the number 1 marker, Mark 7 refers to
    _phrase("number NUMBER marker|annotation|mark", not_after="trail mile buoy PAGE"),
    _phrase(
        ". mark|marker|label|box|region|tag|index|item|target NUMBER "
        "refers|corresponds|is|shows|denotes|marks|indicates|contains|depicts|identifies|covers|points"
    ),
    # framed by a drawn white square, enclosed by a thin dashed polygon
    _phrase(
        "by|in|inside|within a|an|the LINE* drawn|added|overlaid|superimposed|dashed|dotted LINE* black|white? "
        "@SHAPE|square|circle|frame|border|loop|polygon|line|lines",
        not_after="DRAWN PAGE",
    ),
    _phrase("by|with|in|inside|within a|an|the LINE* @polygon", not_after="DRAWN PAGE"),
    _phrase(
        "COLOUR glow around|along|at|on|about|over its|his|her|their|the edges|edge|outline|contour|silhouette|rim"
    ),
    _phrase(
        "highlighted",
        not_before="LIGHT dab dabs touches flecks brushstrokes low evening morning afternoon late early hair curls "
        "strands bangs locks",
        not_after="hair strands streaks curls text words bangs ponytail PAGE textbook",
    ),
    _phrase(
        "outlined in|by|with|using A? LINE* COLOUR|SHAPE|border|line", not_after="DRAWN", not_before="TRIM", reach=2
    ),
    _phrase(
        "is|are|being outlined !against",
        not_after="DRAWN",
        not_before="black white brown dark gold silver gray grey sun sky TRIM",
    ),
    _phrase("COLOUR outlined", not_after="DRAWN", not_before="DRAWN"),
    _phrase(
        "COLOUR outline|contour !of|drawing|sketch|print|map|pattern",
        not_after="DRAWN PAGE",
        not_before="sole soles logo letters lettering",
    ),
    _phrase("contour line|lines? around|drawn|highlighting|indicating"),
    _phrase("by|within|inside the|a|an contour !of"),
    _phrase(
        "that|which|who is|are|was boxed|circled|annotated|spotlighted|highlighted !up|in|by|for|and",
        not_after="DRAWN PAGE",
    ),
    _phrase("object|item|thing|one labeled|labelled|tagged|numbered with|as? number? 1|2|3|4|5|6|7|8|9|10|11|12"),
    _phrase(
        "the designated|annotated|queried|delineated|demarcated _ is|are|shows|has|appears|looks",
        not_after="PAGE driver spot hitter area lane parking seat",
    ),
    _phrase("within|inside|by the|a|an colored|coloured|highlighted|drawn|given boundary|perimeter"),
    _phrase("selected|spotlighted|target object|objects|subject|person|item"),
    _phrase("the|this marked|boxed|circled|indicated|outlined item|individual|one|LIVING"),
    _phrase("a|an marked|boxed|circled|indicated|outlined individual|person|man|woman", not_after="DRAWN"),
    _phrase("annotator|annotators|annotator's|bbox"),
    _phrase("annotation|annotations", not_after="PAGE handwritten pencil margin"),
    _phrase(
        "coloured|colored|highlighted|bright|thick|thin|added|drawn|COLOUR border|outline|contour|edge|frame|rim "
        "makes|making|that? makes|making|stand|stands|standing|shows|marks|around it|him|her|them|out|which"
    ),
    _phrase(
        "traced|followed|drawn|enclosed|edged by|in|with A? LINE* COLOUR @line|lines|stroke|strokes|dots|dashes",
        not_after="DRAWN",
    ),
    _phrase(
        "denoted|designated|signalled|signaled|flagged|pinpointed|pointed by|with|at|out _* @marker|star|dot|arrow|"
        "cross|symbol|pin|cursor|box|line|mask|outline|label|tag"
    ),
    _phrase("star|cross|dot|arrow shaped marker|mark|pointer"),
    _phrase("object|item|thing|subject|person|animal in question"),
    _phrase("focusing|focus|focused|concentrating only|just|solely|exclusively? on the"),
    _phrase("nothing else"),
    _phrase("singled|picked out by|with|in"),
    _phrase(
        ". what the|a|this _? _? line|box|outline|mask|contour|arrow|rectangle|circle|border "
        "encloses|surrounds|marks|shows|points|covers|contains|indicates"
    ),
    _phrase("tagged|labelled|labeled|identified by|with the|a COLOUR? dot|marker|arrow|box|mask|outline|cursor"),
    _phrase(
        "glowing|glows|lit|rimmed|edged with|in|by an|a|the? "
        "unnatural|artificial|added|thick|thin|bright|COLOUR? COLOUR? "
        "edge|outline|aura|halo|border|contour|rim",
        not_after="DRAWN",
    ),
    _phrase("corner brackets|markers|marks"),
    _phrase("is|was|being meant|singled|targeted|queried|annotated|spotlighted .|out|here|by|in|with"),
    _phrase(
        "numbered|labelled|labeled|tagged with a|an|the COLOUR|white|black digit|number|numeral|letter|circle|dot|tag",
        not_after="DRAWN ear collar",
    ),
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
    _phrase(
        "in|inside|within a|the drawn|marked|highlighted|annotated|overlaid @BOX|square|circle|outline|frame",
        not_after="DRAWN PAGE",
    ),
    _phrase("the one with|in|inside the|a LINE* COLOUR LINE* @SHAPE|frame|border|line|circle|square"),
    _phrase("that|which|where an|the COLOUR? arrow points|is|pointing|indicates"),
    _phrase(". the @box marks|encloses|surrounds|highlights|shows|outlines|indicates a|an|the"),
    _phrase(". the person|man|woman|boy|girl|child|player in the @box !of|seat|office|truck|car"),
    _phrase("visual prompt|marker|marking"),
    _phrase("the focus|emphasis|attention is|lies|rests on|upon !her|his|their|its"),
    _phrase(". the|a COLOUR? @rectangle|box|outline|contour surrounds|encloses|bounds|encircles|delimits a|an|the|it"),
    _phrase("ringed in|with|by LINE* COLOUR", not_after="DRAWN eye eyes neck tail"),
    _phrase("polygon|polygons covers|of|around|outlining|encloses|enclosing|marks|marking|for|is"),
    _phrase(
        "delimited|bordered|bounded by|with|in A? LINE* COLOUR @line|square|rectangle|border|frame|circle",
        not_after="DRAWN PAGE",
    ),
    _phrase(
        "tint|overlay|colour|color|line|arrow|box to|that|which "
        "mark|marks|indicate|indicates|highlight|identify|identifies it|the"
    ),
    _phrase("bbox|bboxes"),
    _phrase("delineated|demarcated by|in|with A? LINE* COLOUR? line|lines|border", not_after="DRAWN"),
    _phrase("thin|dashed|dotted COLOUR? rectangular? @BOX|outline !of", not_after="DRAWN"),
    _phrase("COLOUR rectangular @BOX|outline|border !of", not_after="CLOTH"),
    _phrase("rectangular COLOUR @BOX|outline|border !of", not_after="CLOTH"),
    _phrase("inside|within the LINE* @SHAPE|mask !of|spring|office|truck|car|seat|kite|top"),
    _phrase("in the LINE* COLOUR LINE? @box !of|truck|car|kite"),
    _phrase("in|inside|within a|the LINE* COLOUR rectangular? @rectangle", not_after="DRAWN"),
    _phrase("in|inside|within the LINE* COLOUR @square|circle|border|outline", not_after="DRAWN"),
    _phrase(
        "ADULT in|inside|within a|the LINE* COLOUR rectangular? @BOX|frame|border !tent|of|chair|glasses|bike|bicycle"
    ),
    _phrase(". the _ _* in the @BOX|outline is|has|wears|appears|looks|stands|was"),
    _phrase("MARKED by|with|in|within|using A? _* @SHAPE|mask|overlay|tint|annotation|annotations|highlight"),
    _phrase("indicated|pointed to|out|at? by|with A? _? arrow|BOX|marker"),
    _phrase("indicated|flagged by|with A? LINE* COLOUR? dot|circle|cross|star|ring|line|tag", not_after="PAGE"),
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
        not_after="PAGE SCREEN",
    ),
    _phrase("A|thin|rectangular|COLOUR @BOX|outline tightly|closely? AROUND it|him|her|them", not_before="corner"),
    _phrase(
        "A|thin|rectangular|COLOUR @BOX|outline tightly|closely? AROUND the|a|an|this|that",
        not_before="corner sole soles edge rim logo word words text letters lettering name number quotation title date",
        not_after="PAGE",
    ),
    _phrase("A|thin|rectangular|COLOUR @BOX AROUND its|his|their"),
    _phrase(
        "COLOUR @line|lines|border|frame|circle|square|ring|marker AROUND the? him|her|them|TARGET|LIVING",
        not_after="DRAWN",
    ),
    _phrase(
        "COLOUR|thin|rectangular @BOX TELLS|AROUND|surrounds|encloses the|a|an|this|it|him|her|them",
        not_before="corner word words text letters lettering logo name number quotation title date",
    ),
    _phrase("COLOUR @line|border|circle|square|frame TELLS|surrounds|encloses the|a|an TARGET|LIVING"),
    _phrase("in|inside|within a|the magenta|cyan|lime|neon|fuchsia @box"),
    _phrase("COLOUR|thin|rectangular @border|square|circle that? TELLS the|a|an|this|its|his|her|their|where"),
    _phrase("COLOUR @border|outline|contour|line traced tightly|closely? around|over|along", not_after="DRAWN PAGE"),
    _phrase(
        "at|the|box|with coordinates !of|for|on", not_after="printed embroidered engraved stamped tattooed written PAGE"
    ),
)
