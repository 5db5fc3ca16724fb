"""Phrases about what was laid over the object or taken from around it: masks, tints, dimmed and cut-out areas."""

from __future__ import annotations

from functools import partial

from capgen.pipeline.checks.vocabulary import phrases
from capgen.pipeline.checks.vocabulary.markers import VOCABULARY

_phrase = partial(phrases.phrase, vocabulary=VOCABULARY)

PHRASES = (
    # under a rosy overlay, in the right hand crop, beneath the arrowhead
    _phrase(
        "under|beneath|below|behind|with|in|inside|within|from|by|as|past|outside|over|through|on|at|of a|an|the|its "
        "_? _? @overlay|highlighting|selection|annotation|cutout|crosshair|crosshairs|arrowhead|segmentation .",
        not_after="PAGE WORN dress gown skirt lace tulle chiffon veil jersey field corn cheese chocolate chocolates "
        "hunter rifle scope gun spear lens",
    ),
    _phrase("in|from|inside|within|by the|a LINE* _? @crop .|is|and|shows", not_after="WORN field farmer"),
    # tinted green by the overlay, because of the selection
    _phrase(
        "by|from|of|in|inside|within|under|beneath|because|behind|outside of? the|an|a LINE* "
        "@overlay|highlight|highlighting|selection|annotation|masking !of|on|reel|tape",
        not_after="hair chocolate chocolates textbook notebook book page",
    ),
    _phrase("unmasked|undimmed|unblurred|unshaded|untinted"),
    _phrase("is|are|not not? dimmed|greyed|grayed|masked .|and|which|is|with", not_after="lights lamp lamps light"),
    _phrase(
        "colored|coloured|tinted|shaded|highlighted|marked COLOUR? for easy|easier|clear? identification|recognition"
    ),
    _phrase(
        "cut out|cutout on|against|over|onto a|an|plain plain|solid|pure|flat|blank? black|white|grey|gray|plain|blank"
    ),
    _phrase("target|query|queried|prompted instance|segment|mask"),
    _phrase("highlight|highlights|highlighting the|this TARGET|area|target"),
    _phrase("highlight box|color|colour|region"),
    _phrase("labeled|labelled|tagged|marked as number|object|region 1|2|3|4|5|6|7|8|9|10|11|12", not_after="DRAWN"),
    _phrase(
        "marked|indicated|specified|masked|circled|boxed|outlined|annotated|delineated|designated|segmented TARGET"
    ),
    _phrase("annotated|delineated|demarcated|designated|segmented item|items|thing|element|entity"),
    _phrase("segmentation|silhouette|instance mask|masks"),
    _phrase("tinted|shaded|colored|coloured region|area !rug|rugs|of|under|beneath|below|behind", not_after="brightly"),
    _phrase("tinted in LINE? COLOUR", not_after="DRAWN glass glasses sunglasses lens lenses"),
    _phrase("object|region|subject|area of interest"),
    _phrase(
        "pixels|pixel !art|block|blocks|display|screen|camera|pattern|style|phone|game|games|resolution|font",
        not_after="million mega screen display game",
    ),
    _phrase(
        "cut|separated|lifted|singled|isolated|extracted|set|segmented|picked out|apart|off? from|against "
        "its|the|their? "
        "surroundings|background|scene|rest|image|picture|others|context"
    ),
    _phrase("the|an added COLOUR? edge|outline|border|line|glow|colour|color|tint|box|mark|frame|shading"),
    _phrase(
        "COLOUR|violet|teal|transparent|translucent shading|tint|wash|film|veil|layer|overlay|haze "
        "laid|placed|drawn|lying|"
        "painted|applied|over over|on|across|it|the"
    ),
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
        "shows|contains|depicts|represents|displays|corresponds|covers|features|includes|encloses|holds "
        "!signs|wear|some|slight|scratches|stains|traces"
    ),
    _phrase(
        "in|inside|within|of the|this annotated|highlighted|marked|selected|indicated|outlined|circled|boxed|"
        "specified|designated|masked area|region|zone|portion|part|section|spot|patch|space",
        not_after="DRAWN PAGE parking",
    ),
    _phrase("superimposed"),
    _phrase("tinted|coloured|colored|COLOUR overlay covers|covering|over|on|across"),
    _phrase(
        "COLOUR|colored|coloured mask laid|placed|drawn|painted|put|applied over|on|across", not_after="DRAWN PAGE face"
    ),
    _phrase("through|in|inside|within the cut out .|is|shows|_"),
    _phrase(". the @box|rectangle|outline|line|mask _ _? _? _? _? _? encloses|surrounds|delimits|bounds"),
    _phrase("set|sets|setting it|him|her|them apart from the rest|background|others|scene"),
    _phrase(
        "tint|wash|shading|circle|dot|digit|number|box|stroke|line|colour|color|film|veil|mark|marker|label|highlight "
        "that|which? is|was|has? been? laid|placed|put|drawn|superimposed|applied|pasted|stamped|overlaid|added "
        "over|on|onto|across|there|around|for|to|in",
        not_after="DRAWN PAGE SCREEN",
        not_before="TRIM",
    ),
    _phrase(
        "painted|coloured|colored|washed|tinted|filled over|in|by|with A? flat|solid|see? through? COLOUR "
        "wash|tint|shade|"
        "layer|over|film|overlay|fill|veil"
    ),
    _phrase("painted|coloured|colored|shaded over in|with see|transparent|translucent|COLOUR", not_after="DRAWN PAGE"),
    _phrase(
        "COLOUR stroke|strokes|aura|bracket|brackets|wash around|along|over|about|that|which|marks|at",
        not_after="DRAWN brush paint",
    ),
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
    _phrase("the segmented _ !body|tail|legs|leg|sofa|orange|worm|tray|bracelet|window|dome", not_before="SEGMENTS"),
    _phrase("segmented area|areas|region|part|portion|mask|view|image|picture|section|subject|out|person|man|woman"),
    _phrase("segmented|isolated|separated from the background|image|picture|scene|rest|surroundings"),
    _phrase(
        ". the @mask|region|segment|highlight|overlay|contour covers|contains|shows|marks|encloses|is|holds a|an|the"
    ),
    _phrase("segmented by|with|in A? LINE* COLOUR|mask|outline|overlay"),
    _phrase("is|are|been|was|being fully? segmented !into|by", not_after="SEGMENTS", not_before="SEGMENTS"),
    _phrase(
        "emphasised|emphasized|queried|numbered|targeted|designated|specified|requested|referenced|referred|chosen|"
        "enumerated|indexed|labelled|labeled|pointed|flagged "
        "object|objects|item|items|thing|region|area|instance|target|subject",
        not_after="DRAWN",
    ),
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
    _phrase("background removed|erased|blacked|whited|blanked|deleted|masked|subtracted"),
    _phrase("COLOUR @mask|overlay|tint|shading over|on|across|atop|covering it|him|her|them|top"),
    _phrase("blank|plain|transparent|empty|removed|uniform background|backdrop .|cut"),
    _phrase("bounding SHAPE|boxes|frame|region|area|line|lines|square|circle|polygon|border|borders|rectangles"),
    _phrase("given|provided|specified|selected BOX|region|area"),
    _phrase(
        "boxed|circled|traced|encircled|indicated|delineated|contoured|marked|annotated|shaded|enclosed "
        "in LINE? COLOUR",
        not_after="DRAWN PAGE SCREEN scan size price inches",
        not_before="TRIM lines numbers numerals inches letters pen increments graduations",
        reach=2,
    ),
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
)
