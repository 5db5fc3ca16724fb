"""A caption that talks about the picture, the task or itself instead of the object."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.marker_leak import MarkerLeak
from capgen.pipeline.checks.refusal import Refusal
from capgen.pipeline.checks.thinking import Thinking
from capgen.pipeline.checks.vocabulary import phrases
from capgen.pipeline.checks.vocabulary.markers import PICTURE_FAMILIES
from capgen.pipeline.checks.vocabulary.plain_form import plain, watch
from capgen.pipeline.checks.vocabulary.prompt_echo import PROMPT_WORDS, repeated
from capgen.pipeline.checks.wording.net import TRIGGERS, talk

_VOCABULARY = {
    "IN": "in of from within throughout across into inside",
    "GIVEN": "given provided above following current input attached entire whole same",
    "PHOTO": "picture's image's photo's photograph's picture pictures photo photos photograph photographs illustration",
    "STILL": "image images PHOTO",
    "MOVING": "video videos clip footage",
    "GRAB": "screenshot snapshot",
    "SHOWS": """shows show contain include showing depicts depict depicting features featuring displays captures
        captured contains presents portrays illustrates focuses focus includes provides highlights begins starts
        opens ends appears""",
    "KIND": """old vintage close up and white black color colour blurry blurred grainy low high resolution quality
        cropped zoomed in clear detailed professional stock aerial overhead digital nighttime daytime single
        short still side medium wide partial candid beautiful real life angle""",
    "NUMBER": " ".join(map(str, range(1, 61))),
    "VIEW": """side rear front back top down aerial overhead partial close closer blurry cropped detailed wide full
        frontal""",
    # A picture of which this is said is an object of the scene.
    "DRINKS": "glass bottle whiskey whisky vodka tequila rum espresso gun arrow bow rifle goal",
    "HANGS": """wall walls hanging hangs hung framed frame mounted shelf displayed desk mantel fridge refrigerator
        magnet shirt billboard screen cover pinned taped glued printed propped leaning attached carved painted
        engraved embroidered""",
    "PRINTED": """bearing reads featuring poster cartoon meme magazine newspaper comic sign book card page banner mug
        billboard sticker shirt tee sweatshirt cap""",
}
_phrase = partial(phrases.phrase, vocabulary=_VOCABULARY)

_PHRASES = (
    # in this stunning action shot
    _phrase("in|for|of this _? _? shot|photo|photograph|snapshot|image|picture .", not_unnamed="HANGS"),
    _phrase("in|from|for a|an|the _? _? _? shot|snapshot|close .", not_after="DRINKS", not_before="HANGS"),
    _phrase("the|this|its camera|camera's|photographer|photographer's|viewer's frame|shutter|viewpoint"),
    _phrase("by the camera|photographer|cameraman|lens|viewer .", not_after="held carried worn guided"),
    _phrase("outside|within|in|beyond|leaves|enters the field of view"),
    _phrase("out of|centre|center|mid frame .", not_after="bicycle bike bed door window"),
    _phrase("at eye level ."),
    _phrase("whom|that|which|what the user|users|prompt"),
    _phrase("user's prompt|question|request|query|instruction|instructions|wish"),
    _phrase("clip's|video's|sequence's|footage's|film's _? frame|frames"),
    _phrase("can|could|may|might be seen|observed|noticed _? _? .", not_after="not cannot never through window"),
    _phrase("as can|could|may be observed|noticed|seen|expected"),
    # in the background of this black-and-white photograph, captured in a blurry snapshot
    _phrase("IN this KIND KIND? KIND? KIND? @STILL|MOVING|GRAB", not_before="HANGS", not_after="HANGS"),
    _phrase(
        "captured|caught|seen|shown|photographed|presented|taken|shot in a|an KIND* @STILL|GRAB", not_before="HANGS"
    ),
    _phrase("outside|beyond|past the|this shot|frame|picture|image|photo|photograph shown|here|.|and"),
    _phrase(
        ". revised|updated|corrected|improved|rewritten|edited|shortened|alternative|better|refined|cleaned "
        "caption|description|version|sentence|answer|draft"
    ),
    _phrase("forbidden|banned|disallowed|prohibited|unwanted words|word|terms|phrases"),
    # The image shows … / In this picture … / … on the left of the frame
    _phrase(". the|this|these|each|every GIVEN? @PHOTO|MOVING|frame|frames|scene _? _? SHOWS"),
    _phrase("the|this|these|each|every GIVEN? image|images|footage|GRAB _? _? SHOWS", not_unnamed="HANGS"),
    _phrase(". the|this|these GIVEN? @STILL|MOVING|GRAB is|are|has|was", not_unnamed="HANGS"),
    _phrase(". this|these @STILL|MOVING|GRAB|frame|frames of"),
    _phrase(". in|on|from this|these GIVEN? @STILL|MOVING|GRAB|frame|frames|scene"),
    _phrase(
        "IN the|this|these GIVEN? @STILL|MOVING|GRAB "
        "!frame|frames|album|booth|book|window|hanging|above|below|behind|game|games|store|console|call|wall|holding",
        not_unnamed="HANGS",
        not_after="puzzle piece pieces jigsaw postcard magazine",
    ),
    _phrase("IN the|this @frame !of|on|hanging|above|around|holding"),
    _phrase("out of frame"),
    _phrase("top|bottom|left|right|side|corner|edge|center|centre|middle of the @screen"),
    _phrase(
        "video frame|frames|clip|clips|sequence|footage|still",
        not_after="playing plays displaying screen phone tablet laptop monitor television tv",
    ),
    # This is a photo of … / A close shot of … / A side view of …
    _phrase(
        ". this|it|that is|appears|seems|looks to? be|like? a|an|the KIND* @STILL|MOVING|GRAB !frame|album",
        not_unnamed="HANGS",
    ),
    _phrase(
        ". a|an|the? KIND* KIND* @STILL|MOVING|GRAB of|showing|that|depicting|featuring|where|taken|capturing",
        not_unnamed="HANGS",
    ),
    _phrase("appears|seems|looks to be a|an|the @STILL|MOVING|GRAB"),
    _phrase(
        ". a|an? KIND* @shot of "
        "!espresso|whiskey|whisky|vodka|tequila|rum|liquor|coffee|alcohol|vaccine|medicine|syrup|schnapps|sake"
    ),
    _phrase(". a|an|the? VIEW VIEW? view of"),
    _phrase(". a view of a|an|the|this|one|two", not_unnamed="HANGS"),
    _phrase("@camera angle|pans|zooms|moves|follows|captures|view|viewpoint|perspective|shows"),
    # The object is …
    _phrase(
        "the|this main|target|central|described|specified|given|pictured|depicted|primary? "
        "object|subject|item|entity _? is|are|was|appears|seems|looks|has|shown|depicted|described|visible|can|being|"
        "itself|inside|within|of|in"
    ),
    _phrase(". object|subject|category ."),
    _phrase(". the _? object|instance|entity !is|made|used|lying|on|in|held|of"),
    _phrase(". the instance|entity"),
    _phrase("the given|described|specified|depicted|pictured|requested object|item|instance|thing|scene|view|image"),
    _phrase("the viewer|viewers|observer|observers sees|see|can|may|is|looks|notices"),
    _phrase("what|here we|you have|see|find|observe here|is|a|an|the"),
    _phrase("one|single|short sentence caption|captions|description|summary|answer"),
    _phrase(". as requested|instructed|asked|required|directed|promised"),
    _phrase(". in summary|conclusion|essence"),
    _phrase(". this|that|these appears|seems|looks to|like? be|a|an"),
    _phrase(". from what can|could|is|we|i"),
    _phrase("is|are pictured|portrayed .|here|with|in|from|at"),
    _phrase("is|are depicted|shown .|here", not_after="which where whose screen HANGS"),
    _phrase(". it depicts|portrays|shows a|an !time|score|number|word|smile"),
    _phrase(". the|this shot is|was taken|captured|framed"),
    _phrase("seen|viewed|shown|captured from the|a camera|viewer|photographer"),
    _phrase(". the|this description|caption is|reads|says"),
    _phrase(". below|following is|are a|an|the|my|one"),
    _phrase(
        ". _? _? _? the|this @STILL|MOVING|GRAB "
        "!of|on|in|above|below|behind|hanging|frame|frames|to|with|game|games|store|console|call|album|booth",
        not_before="HANGS",
        not_after="HANGS",
        not_unnamed="HANGS",
    ),
    _phrase("this @STILL|MOVING|GRAB !frame|frames|album|booth", not_before="HANGS", not_after="HANGS"),
    _phrase(". to summarise|summarize|conclude|recap|sum|be|put|answer|clarify !up|on|in|at"),
    _phrase(". pictured|depicted|shown|featured|seen here? is|are"),
    _phrase(". what is shown|depicted|seen|visible"),
    _phrase(". the description|caption of|for the|this|a"),
    _phrase(". as described|shown|seen|depicted|pictured|requested|mentioned the|this|a|an|in|by|above"),
    _phrase(
        "the|this|its given|specified|requested|stated|provided|target|object? category|class "
        "is|was|says|given|provided"
    ),
    _phrase("the|this|its given|specified|requested|stated|provided|target|object label is|was|says|given|provided"),
    _phrase("the|this given|specified|requested|stated|provided category|class|label|name"),
    _phrase(". the|this frame captures|depicts|portrays|pictures"),
    _phrase(". in|from|across the @frames"),
    # Caption: … / Sure, here is … / I can see …
    _phrase(
        ". the|a|final|short|image|video|object|sentence|suggested|possible* "
        "caption|captions|description|descriptions|answer|output|response|assistant|user|system|note _? ."
    ),
    _phrase(
        "the|this|your|my following|final|above? caption !quotation|below|above|under|beneath",
        not_after="PRINTED",
        not_before="quotation",
    ),
    _phrase(
        ". sure|certainly|absolutely|okay|ok|alright|yes|understood .|here|here's|i|i'll|i'd|the|this|a|an|let|below"
    ),
    _phrase(". of|got|no course|it|problem .|here|here's|i|i'll|i'd|the|this|a|an|let|below"),
    _phrase(". here|here's is|are|a|an|the|my|your"),
    _phrase(". i see|can|think|believe|would|will|am|have|could|notice|observe"),
    _phrase(". i'm|i'll|i've|i'd|let's|please !sorry|unable|not|afraid"),
    _phrase(". let me"),
    _phrase(". we|you can|see|may|have|are|observe"),
    _phrase("we|you|one can see"),
    _phrase(
        "on|to|by|from|given the|this|these|your|what _? "
        "STILL|MOVING|coordinates|context|prompt|description|frames|information provided|given|shown|above|you"
    ),
    _phrase("based on|upon the|this|these|your|what"),
    _phrase("let|feel me|free know|to"),
    _phrase("if|would you like|need|want|have|would"),
    _phrase("hope this helps"),
    _phrase(
        ". a|an _? _? @photo|photograph|image|snapshot shows|depicts|captures|features a|an|the|two|some",
        not_before="HANGS",
    ),
    _phrase(
        ". describe|caption|write|answer|summarise|summarize|explain|identify|mention|name|list "
        "the|this|a|an|in|only|what|one|your|each"
    ),
    _phrase(". do|don't|never not? mention|describe|include|refer|use|write|name|repeat|guess|add|output"),
    _phrase("is|are|was a|the|my|an short|brief|one? description|caption|summary|answer|response of|for|to|."),
    _phrase("description|caption of|for the|a|an|this", not_after="PRINTED"),
    _phrase("out of focus image|photo|picture|shot|photograph"),
    _phrase("resolution|lighting|exposure|contrast|quality of|in the|this @STILL|MOVING"),
    _phrase("resolution|quality|lighting is|are|was too"),
    _phrase(
        ". place|location|position|object|category|name|label|class|subject|action|colour|color|"
        "material|size|type|state ."
    ),
    _phrase("image|picture|photo|video|visual quality|resolution|clarity|noise", not_after="PRINTED"),
    _phrase("quality|resolution|clarity is|are|was|makes poor|low|bad|limited|high|good|it"),
    _phrase("low|poor|high image? quality|resolution|res !screen|display|monitor|camera|print|tv|television"),
    _phrase(
        "pixelated|pixellated|overexposed|underexposed|grainy",
        not_after="screen monitor television tv display sweater jumper",
        not_before="screen display monitor pattern art game design print graphic icon logo wood leather surface "
        "texture style camouflage camo heart hearts character characters creature sword monster sprite sprites font "
        "mosaic uniform fabric",
    ),
    _phrase("no|not more|longer than _ words|sentences|sentence"),
    _phrase("in|under|with|within|about|of _ words|sentences or? less|fewer|max|maximum|only|long|total"),
    _phrase(
        ". a|one|single|short|brief|concise* sentence|caption|description|summary describing|about|that|of|for|which"
    ),
    _phrase(". option|choice|candidate|version|alternative|variant|suggestion|caption|answer 1|2|one|two|a|b ."),
    _phrase("in one sentence"),
    _phrase(". one sentence ."),
    _phrase(". caption|description a|an|the|of|for"),
    _phrase("the user asked|asks|wants|wanted|requested|request"),
    _phrase("plain english"),
    _phrase("you are|were shown|given|asked"),
    _phrase(". you write|describe|will|should|must|get|receive|caption|see"),
    _phrase(
        ". write|give|provide|generate|produce|answer|respond|reply|output|return|use|keep|include|mention "
        "with|in? _? _? _? sentence|sentences|caption|captions|description|english|words|json"
    ),
    _phrase(". never|always|only|do mention|describe|guess|use|write|answer|repeat"),
    _phrase("what it is|looks how|and|what"),
    _phrase(". what it is|looks|does"),
    _phrase("describe only? the"),
    # What is said of the picture as a whole.
    _phrase(
        "the|this|these|overall|entire|whole|provided|given _? _? @STILL|MOVING|GRAB "
        "!frame|frames|album|albums|booth|book|books|page|pages|window|hook|rail|game|games|store|console|call|conference|player|"
        "screen|camera|wall|hanging|above|below|behind|on|tube|doorbell",
        not_before="HANGS",
        not_after="HANGS PRINTED holding holds takes taking poses posing puzzle piece pieces jigsaw postcard "
        "magazine mirror reflecting reflects reflected "
        "looking looks points pointing points studies admires beside",
        not_unnamed="HANGS",
    ),
    _phrase(
        ". the|this overall|whole|entire? scene|atmosphere|composition|mood|ambiance|ambience "
        "is|conveys|suggests|captures|evokes|has|feels|shows|depicts|appears|looks|seems|gives"
    ),
    _phrase(
        "sense|feeling|air|touch of nostalgia|calm|mystery|tranquility|tranquillity|serenity|warmth|motion|urgency"
    ),
    _phrase(
        ". great|good|nice|excellent|interesting|wonderful question|choice|request|prompt|catch|image|picture|photo"
    ),
    _phrase("happy|glad|here|pleased to help|assist"),
    _phrase("feel free|hope this|hope that|let me|any questions|anything else"),
    _phrase(". this|that|it|here is|are the|an|your thing|object|item|subject|one|target|answer|result|output"),
    _phrase("word|words|character|token|sentence count|limit|limits|maximum|long"),
    _phrase("fits|fit|within|under|over|exceeds|meets the|a|your? limit|length|requirement|requirements|constraint"),
    # What holds for the kind of thing in general, not for the object.
    _phrase(
        "the|a viewer's|viewers|viewer|observer's|beholder's|reader's|photographer's "
        "eye|eyes|attention|gaze|view|perspective|focus|angle|point",
        not_after="camera dslr lens",
    ),
    _phrase("photographed from|with|in|at|by|against|during|through|using|on"),
    _phrase("long|short|double|multiple exposure", not_after="PRINTED print camera lens"),
    _phrase("depth of field"),
    _phrase("bokeh|jpeg|pixelation|watermark|watermarked", not_after="PRINTED banknote paper"),
    _phrase("compression|image|jpeg|visual|digital artefacts|artifacts|artefact|artifact|noise|quality"),
    _phrase("stock|file|promotional|press|product image|photo|photograph|picture|shot|footage", not_after="PRINTED"),
    _phrase("who|whoever|someone took|takes|shot|captured this|these|it"),
    _phrase("as can|could|may be told|seen|judged|inferred|gathered from|by|in"),
    _phrase(". to sum up in|briefly|."),
    _phrase(
        ". "
        "alternatively|alternately|otherwise|additionally|furthermore|moreover|however|meanwhile|overall|specifically|namely"
    ),
    _phrase(
        ". attempt|try|version|draft|id|entry|sample|example|item|take|candidate "
        "1|2|3|4|5|6|7|8|9|10|11|12|13|14|15|one|two|three"
    ),
    _phrase(". thanks|thank for|you"),
    _phrase(". never|always !before|again"),
    _phrase(". don't|do not? _ !not"),
    _phrase("mention of|mentions"),
    _phrase("per|following|under|by the|your rules|instructions|instruction|guidelines|prompt|brief|request|format"),
    _phrase(". NUMBER words|word|characters|tokens .|and|fits|total"),
    _phrase("caption|description|answer attempt|attempts|draft|version|try"),
    _phrase("composition draws|leads|is|places|centers|centres|guides"),
    _phrase(". shown|seen|pictured|depicted|captured|featured|displayed|presented here|in a|an|the|_? _? _? _? @STILL"),
    _phrase(". shown|seen|pictured|depicted|featured|presented here"),
    _phrase(". among|amongst the _? _? _? are|is|we"),
    _phrase("once upon a time"),
    _phrase(
        ". buy|shop|order|click|subscribe|download|visit|discover|enjoy|introducing|try|get "
        "now|here|today|our|this|the|your|it|online"
    ),
    _phrase("free shipping|delivery|returns"),
    _phrase("on sale now|today", not_after="PRINTED"),
    _phrase("also|sometimes|commonly|often|better|otherwise|formerly known as"),
    _phrase(
        ". _ are|is "
        "large|small|medium|long|flightless|herbivorous|carnivorous|aquatic|marine|domesticated|wild|social|nocturnal|"
        "edible? aquatic|marine|flightless|sized|domesticated? "
        "mammals|animals|birds|reptiles|insects|fish|plants|fruits|"
        "vegetables|vehicles|tools|rodents|amphibians|mammal|animal|bird|reptile|insect|plant|fruit"
    ),
    _phrase(
        "found|lives|live|grows|grow|thrives|inhabits in|throughout? _? _? _? "
        "waters|africa|asia|europe|australia|america|"
        "regions|climates|habitats|countries|forests|worldwide"
    ),
    _phrase("native|endemic|indigenous to"),
    _phrase(". a|an|the? _ _? is|are a|an|the type|kind|species|breed|genus|form|member|variety|class of"),
    _phrase(
        "is|are|was a|an|the|one? of? the? largest|smallest|fastest|tallest|oldest|heaviest living|land|animal|bird|"
        "mammal|species|of|in|native"
    ),
    _phrase(
        ". a|an|the? _ _? is|are|was "
        "commonly|typically|usually|often|generally|traditionally|widely|primarily|mainly _? "
        "used|found|made|eaten|worn|played|known|served|seen|associated|considered"
    ),
    _phrase(
        "commonly|typically|usually|generally|traditionally|widely|often "
        "used|eaten|worn|played|served|considered|known "
        "for|in|to|as|by|at|during"
    ),
    _phrase("scientific name|names"),
    _phrase("family|genus|species felidae|canidae|bovidae|equidae|rosaceae"),
    _phrase("was|were|first invented|discovered|domesticated|introduced|founded|patented in|by"),
)
_BOOK = phrases.PhraseBook(_PHRASES, PICTURE_FAMILIES)


_OF_NAME = re.compile(
    r" (?:image|images|picture|pictures|photo|photos|photograph|photographs|snapshot|screenshot|footage|rendering"
    r"|render|shot) of "
    r"(?:an? |the |this |two |some )?(?:[^ .]{1,15} ){0,3}NAME "
)
_OF_WORDS = watch(frozenset(re.findall(r"[a-z]{4,}", _OF_NAME.pattern.partition(")")[0])))


def _picture_of(said: CheckedCaption) -> str | None:
    """A photograph of a dog, where the dog was asked for."""
    found = phrases.around_name(said, _OF_NAME, _OF_WORDS)
    return None if found is None else found.group().strip()


_TELLING = _BOOK.telltale | _OF_WORDS | PROMPT_WORDS | TRIGGERS
_OTHERS = (Refusal(), MarkerLeak(), Thinking())


def _is_accounted_for(said: CheckedCaption) -> bool:
    """Whether another check says why the caption is dropped."""
    return any(check(said) is not None for check in _OTHERS)


@dataclass(frozen=True, slots=True)
class MetaTalk:
    """Drops "the image shows", "the object is", "Caption:" and "Sure, here is".

    Where the object itself is a picture, a screen or a frame, the words for those are its own.

    Args:
        weights: whether a caption is also weighed as a whole, for talk that no phrase knows: of marks, pictures, the
            task or doubts.
    """

    weights: bool = True

    final: ClassVar[bool] = False

    def __call__(self, said: CheckedCaption) -> str | None:
        """Quote the talk."""
        if not plain(said.caption).lists & _TELLING:  # most captions
            return None
        found = _BOOK.first(said) or _picture_of(said) or repeated(said.caption)
        if found is None and self.weights and (likely := talk(said)) is not None and not _is_accounted_for(said):
            return f"reads like talk about the picture or the task: {likely.words!r}"
        return None if found is None else f"talks about the picture or the task: {found!r}"
