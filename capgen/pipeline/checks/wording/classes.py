"""Classes of words by which talk of marks, pictures and tasks is told from descriptions, and a code for each word.

A code is one character, so that a caption is a short string: a class's letter, a function word's own character, or one
of the signs for names, colours, numbers and all other words.
"""

from __future__ import annotations

from capgen.pipeline.checks.vocabulary.markers import VOCABULARY
from capgen.pipeline.checks.vocabulary.phrases import expanded

CLASSES = {
    # what is laid over or drawn around an object, and hardly anything in the world
    "S": """overlay overlays mask masks masking highlight highlights highlighting bbox bboxes annotation annotations
        annotator annotators selection contour contours crosshair crosshairs cursor segmentation segment segments
        polygon polygons marking markings halo aura cutout crop crops inset marker markers perimeter bounding
        instance target pixels pixel thumbnail scribble doodle reticle callout callouts lasso viewfinder keypoints
        superpixel superpixels annotating hatchings watermark""",
    # layers of colour
    "L": """tint tints tinting wash film veil shading layer shade sheet coating hue cast haze tone hatching glow sheen
        fill filter tinge stain smear opacity colouration coloration gloss tincture blush overcolour""",
    # shapes around something
    "B": """box boxes rectangle rectangles square squares circle circles outline outlines border borders frame frames
        ring loop loops region regions area areas zone patch boundary boundaries oval ellipse silhouette enclosure
        quadrilateral hexagon capsule framework bounds ringlet""",
    # lines and parts of shapes
    "E": """line lines edge edges edging fringe strip trace stroke strokes band bracket brackets corner corners rim
        shape shapes part portion spot margin margins segmentations underline underlining rims excerpt""",
    # signs that point
    "D": """arrow arrows arrowhead arrowheads dot dots label labels tag tags number numbers digit numeral letter point
        points pointer star cross symbol pin tick tip index mark marks marked caret chevron triangle asterisk
        bullet checkmark tickmark identifier id code ordinal digits pointers pins stars circlet numerals""",
    # what is done to show an object
    "V": """outlined highlighted circled boxed tinted shaded enclosed surrounded encircled labelled labeled numbered
        tagged traced masked indicated annotated delineated selected spotlighted segmented contoured overlaid
        ringed bordered bounded demarcated designated denoted flagged pinpointed emphasized emphasised cropped
        zoomed magnified enlarged isolated superimposed bracketed singled identified specified targeted queried
        requested referenced extracted delimited called picked chosen encased hemmed edged rimmed unmarked
        unmasked spotlit framed accentuated recoloured underlined starred ticked lassoed haloed coded brightened
        sharpened unblurred pasted superposed overprinted suffused tinged recolored colorized colourised saturated
        emphasizing emphasising flagging spotlighting cordoned sectioned""",
    # the same, of things too
    "W": """wrapped covered filled coloured colored painted set drawn given cut separated added placed laid shown
        coated dyed veiled""",
    # what marks do
    "X": """indicating highlighting outlining enclosing surrounding encircling framing delineating tracing following
        indicates outlines encloses surrounds encircles frames delineates traces follows shows contains showing
        containing pointing covers covering touches touching spilling hugging reaching bearing cups cupping hugs
        ringing encases encasing fences bordering embracing overlapping overlaps extends extending reaches enclose
        surround""",
    # how marks look
    "A": """thin thick dashed dotted translucent transparent opaque semi bright glowing luminous neon fluorescent
        rectangular hatched faint fine bold solid tight see soft visible pale tiny narrow artificial hazy ghostly
        jagged ragged fluorescing shimmering sketchy unbroken""",
    # what becomes of the surroundings
    "M": """dimmed darkened blurred dulled desaturated monochrome greyed grayed faded grayscale greyscale muted dim
        blacked whited softened blurry unfocused undimmed subdued hazed dimmer bleached suppressed colourless
        drained unlit defocused obscured lowlighted ghosted smeared""",
    # the surroundings
    "R": """scene background backdrop surroundings rest remainder everything else others neighbours neighbors
        foreground environment whole entire all neighbouring remaining otherwise context exterior elsewhere""",
    # pictures and how they are taken
    "P": """image images picture pictures photo photos photograph photographs photography shot shots video videos
        footage screenshot snapshot view views viewed camera lens closeup close macro panel render still
        perspective angle exposure shutter composition viewpoint focus focal resolution viewer viewers
        photographer photographed captured pictured depicted rendered seen profile shoot portrait observer frozen
        bokeh blur pixelated cinematic lighting photographic vantage cinematography filmed filming photographing
        depiction portrayal portraying portrayed depicts depicting illustrates staging posed tableau vignette
        contrast saturation overexposed underexposed grainy telephoto selfie candid pictorial photogenic cameraman
        cameras lenses aperture zoom onlooker beholder compositional foregrounded photographer's camera's viewer's""",
    # the task
    "K": """caption captions description descriptions described describing describes describe prompt task instruction
        instructions answer response sentence sentences output request word words question user users asked
        category class object objects item subject entity model assistant text note mention mentioning mentioned
        correction captioned summary phrase statement wording paraphrase query requirement prompt's captioning
        summarised summarized stated asks asking tells told requires""",
    # doubt and denial
    "Q": """maybe perhaps possibly probably unclear uncertain unsure unknown seems appears appear appearing looks
        might could may likely apparently presumably cannot can't couldn't unable impossible difficult hard not no
        none nothing neither sorry discernible supposedly arguably plausibly seemingly evidently ambiguous
        indistinct guess assume suppose presumed questionable""",
    # who speaks
    "I": """i i'm i'll i'd we me my our us you your let's we're i've myself ourselves yourself mine yours""",
    # advertisements and moods
    "J": """perfect today timeless discover comfort shop unlock flavour flavor ideal elegance elegant elegantly
        beautifully stunning adorable must any every occasion effortless upgrade style stylish enjoy experience
        adding adds visual interest warmth charm evokes evoking reminiscent sense atmosphere mood attention touch
        beauty striking ultimate luxurious luxury inviting irresistible premium affordable trendy chic iconic
        essential delight delights indulge explore transform elevate inspire inspiring nostalgic nostalgia serene
        serenity tranquil whimsical delightful captivating picturesque breathtaking magical beloved cherished
        quintessential masterpiece testament evocative conveys conveying suggests suggesting symbolises symbolizes
        dreamy poetic""",
    # encyclopedias
    "Y": """commonly typically usually native species used device known type kind often found became popular invented
        rich enjoyed vegetables animals mammals instrument tool vehicle century originated genus belongs mammal
        reptile herbivore domesticated cultivated widely generally primarily ancient originally historically
        represents refers defined typical worldwide traditionally invention dates carnivore rodent crustacean
        amphibian subspecies nutritious ingredient""",
    # what is printed or drawn in the world, and with what
    "T": """logo logos lettering sign print printed embroidered embroidery pattern design stitched stitching emblem
        sticker badge poster page calendar map chart screen monitor newspaper magazine book notebook ink chalk
        pencil paint tape thread piping icing beads engraved stamped woven knitted drawing sketch cartoon letters
        tiles braid lace ribbon rope wire leaf trim""",
    # parts that everything has
    "O": """side sides body figure form surface top bottom middle centre center lower upper half left right front back
        base length colour color colours width height end ends position place location natural""",
    # colours that marks have more often than things
    "G": """magenta cyan lime fuchsia turquoise teal aqua violet""",
}
"""Letters of the classes, and their words."""

_FUNCTION_WORDS = """a an the of in on at by with from to for and or but as is are was were be been it its his her their
    one he she him they that which who whose this these those while where when into onto over under around near beside
    behind above below between against along across through out up down off inside within without outside two three
    four five only also so than then there here has have had being more most very just still both each other another
    same such if beneath past""".split()  # noqa: SIM905
NAME, COLOUR, NUMBER, OTHER = "N", "C", "0", "x"
_ENDINGS = {"ly": "y", "ing": "g", "ed": "d"}
_SIGN_OF = {word: chr(0x100 + place) for place, word in enumerate(_FUNCTION_WORDS)}
_PLAIN_COLOURS = "black white brown grey gray golden silver gold beige cream".split()  # noqa: SIM905
_COLOURS = frozenset((*expanded(["COLOUR"], VOCABULARY), *_PLAIN_COLOURS))
HOT = frozenset("SLBEDVWXAMRPKQIJYG")
"""Classes of which a stretch of words must have one to be weighed."""
HEAVY = frozenset((OTHER, *_ENDINGS.values(), "T"))
"""Codes of words with a meaning of their own, of which few stand in a clause that is about a mark."""
MOST_WORDS, LONGEST_WORD = 1 << 16, 40  # words that are remembered, and their letters
_WORDS = {
    **dict.fromkeys(_COLOURS, COLOUR),
    **{word: letter for letter, row in reversed(CLASSES.items()) for word in row.split()},
    **_SIGN_OF,
    ",": ",",
}
_READABLE = {sign: word for word, sign in _SIGN_OF.items()}


class _Codes(dict[str, str]):
    """The code of each word; those of words that are in no class are found once."""

    def __missing__(self, word: str) -> str:
        code = _code(word)
        if len(self) < MOST_WORDS and len(word) <= LONGEST_WORD:
            self[word] = code
        return code


def _code(word: str) -> str:
    if word[0].isdigit():
        return NUMBER
    if word.endswith("ish") and word.removesuffix("ish").removesuffix("d") in _COLOURS:  # reddish
        return COLOUR
    return next((sign for ending, sign in _ENDINGS.items() if word.endswith(ending)), OTHER)


CODES = _Codes(_WORDS)


def readable(codes: str) -> str:
    """Codes with blanks between them, and the function words themselves."""
    return " ".join(_READABLE.get(code, code) for code in codes)


def from_readable(row: str) -> str:
    """The codes of which ``readable`` made that row."""
    return "".join(_SIGN_OF.get(word, word) for word in row.split())
