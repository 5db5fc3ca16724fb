"""Phrases about how the pictures were cut and ordered: crops, close-ups, insets, the second image."""

from __future__ import annotations

from functools import partial

from capgen.pipeline.checks.vocabulary import phrases
from capgen.pipeline.checks.vocabulary.markers import VOCABULARY

_phrase = partial(phrases.phrase, vocabulary=VOCABULARY)

PHRASES = (
    _phrase("marked|flagged|selected|chosen|highlighted|singled for description|captioning|you|reference|attention"),
    _phrase("for reference !book|books|only|library", not_after="PAGE"),
    _phrase("in|within|inside the crop|cutout .|is|it|there|we"),
    _phrase("see|cf|refer to? box|region|figure|fig|image|mask|frame|label|crop 1|2|3|4|5|6|7|8|9|10|11|12"),
    _phrase("cut|cropped|clipped|cut off|out by|at the|edge|image|picture !of"),
    _phrase("cropped image|view|photo|picture|section|version|region|close"),
    _phrase("cropped !of", not_before="WORN", not_after="WORN SCREEN"),
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
    _phrase("zoomed !past|by|down|away|off", not_after="OPTIC screen phone iphone smartphone mirror glass"),
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
