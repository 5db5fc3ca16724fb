"""Word lists of the marks with which objects are shown to a model, and of what looks like them in the world."""

from __future__ import annotations

from capgen.pipeline.checks.vocabulary import phrases

VOCABULARY = {
    "A": "a an the its",
    "COLOUR": "red green lime blue yellow magenta pink fuchsia purple violet cyan turquoise teal aqua orange neon",
    "LINE": """thin thick bold solid dashed dotted small large tight rectangular bounding bright light drawn shown given
        indicated marked highlighted annotated colored coloured colorful colourful COLOUR""",
    "EDGE": "thin thick dashed dotted bounding bright colored coloured COLOUR",
    # On a picture these colours are a mark's, in the world they are rare.
    "GLARING": "magenta cyan lime fuchsia",
    "RING": "square circle rectangle oval ellipse ring border",
    "BOX": "box rectangle",
    "SHAPE": "BOX outline contour",
    "MARKED": """marked annotated bounded selected singled picked delineated indicated denoted identified demarcated
        circled encircled highlighted overlaid traced""",
    "AROUND": "around surrounding enclosing encircling indicating highlighting marking outlining framing delineating",
    "TELLS": "indicates marks highlights outlines delineates identifies",
    "TARGET": "object objects subject instance region zone",
    "NUMBER": "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 one two three four five",
    # How animals and people move.
    "MOVES": """through across over along down up into toward towards after around about away out in on from back past
        off onto at for ahead forward forwards between beside with""",
    "LIVING": "person man woman boy girl child player animal dog cat horse bird",
    "ADULT": "person man woman player horse",
    "IT": "it him her them the a an this that",
    "NTH": """first second third fourth fifth last final next previous other left right top bottom middle upper lower
        1st 2nd 3rd 4th two three four initial subsequent later earlier close up marked clean full original""",
    "VIEW": """image images picture pictures photo photos photograph photographs frame frames view views crop crops
        clip clips shot shots scene""",
    "PLACED": "frame frames hanging hangs above on",
    # Light, dye and trimmings highlight things honestly, and hair has highlights.
    "LIGHT": """sun sunlight sunshine light lights lighting lamp lamps glow moonlight spotlight spotlights accents trim
        details detailing stripe stripes streaks piping edges lettering stitching shadow shadows embroidery
        icing frosting glaze gold silver snow hair strands text words letters numbers passages sentences route
        candlelight candle candles floodlights floodlight lantern flash sunset dawn sky against paragraph paragraphs
        sentence word passage row column cell cells line lines section date dates""",
    "TRIM": """light lights leds bulbs stitching stitches thread threads embroidery beads piping tape paint icing
        frosting chalk sequins rhinestones glitter pearls trim fur lace ribbon ink pencil marker eyeliner
        lipstick liner stone stones brick bricks tiles flowers cones neon rope plastic rubber metal chrome
        steel brass enamel wood felt leather wool silk satin cotton foil wire tubing""",
    # What is drawn or written on such things is marked by people.
    "PAGE": """map maps calendar page pages newspaper notebook book textbook document spreadsheet column row cell cells
        chart diagram list date dates ad word words sentence sentences paragraph passage route answer name number note
        notes slide poster flyer menu 1st 2nd 3rd 4th 5th 6th 7th 8th 9th 10th 11th
        12th 13th 14th 15th 16th 17th 18th 19th 20th 21st 22nd 23rd 24th 25th 26th 27th 28th 29th 30th 31st""",
    # What shows pictures shows them from near and with marks.
    "SCREEN": """screen screens monitor tablet laptop phone cellphone television tv billboard magazine cover poster page
        projector display displays showing displaying editor editing software app""",
    "OPTIC": """lens lenses camera binoculars telescope microscope objective magnifying magnifier loupe scope zoom
        camcorder""",
    "FRAMED": "bicycle bike motorcycle tent window door glasses eyeglasses mirror bed racket stroller painting picture",
    # What is printed, painted or drawn has outlines of its own.
    "DRAWN": """sign signs logo logos letter letters lettering text word words number numbers numeral design designs
        pattern sticker print emblem graphic graphics drawing label stripe stripes jersey shirt poster badge
        patch tattoo arrow heart hearts star stars flower flowers shape shapes painted printed embroidered map
        sole soles sneaker shoe diamond diamonds skull skulls tie skateboard deck iris pupil makeup cap helmet hat
        lane lanes court field road pitch window windows door eyes lips pillow cake cookie plate mug bowl rug
        blackboard chalkboard whiteboard floor towel quilt blanket cartoon figure mural graffiti button buttons chart
        page line lines parking""",
    # What is woven with a border.
    "CLOTH": "rug carpet runner mat doormat tablecloth towel quilt blanket flag sign scarf bandanna handkerchief",
    # What has segments of its own.
    "SEGMENTS": """body bodies tail legs leg antenna antennae worm caterpillar larva lobster shrimp insect sofa couch
        orange fruit tray plate bowl dish bracelet window windows pane panes dome wheel mirror armor arm arms tube
        panels compartments pieces slices peel circle chocolate cushions""",
    "WORN": """jacket jackets top tops tee shirt shirts pants jeans trousers leggings hair haircut sweater
        sweatshirt hoodie cardigan blouse cut fur mane tail ear ears grass lawn hedge hedges bush bushes bangs
        beard legs length blazer coat vest tank sleeves hem closely short""",
}

FAMILIES = phrases.families(
    {
        # What is a box, a mask, a frame or a plain shape, or may be called so.
        """box carton crate package parcel case chest bin container booth kit basket drawer planter trunk""": "box",
        "mask respirator goggle balaclava helmet snorkel visor": "mask",
        "picture painting photo photograph portrait poster mirror": "picture photo frame",
        "television tv monitor screen laptop computer phone camera magazine book": "picture photo image frame",
        "window door bicycle bike eyeglass glasses spectacle sunglass goggle bed tent racket": "frame",
        "clip frame square rectangle circle ring shot oval line border arrow marker": "",
    }
)

_PICTURED = "picture photo photograph image painting illustration snapshot frame clip"
PICTURE_FAMILIES = phrases.families(
    {
        # What is a picture, or carries one: words for pictures may be about the object.
        """picture photo photograph image painting portrait poster postcard placard print drawing sketch magazine book
        newspaper calendar album billboard card stamp canvas mural tapestry sticker banner artwork collage label sign
        brochure pamphlet notebook""": _PICTURED,
        """television tv monitor screen laptop computer phone cellphone tablet ipad camera projector videotape dvd
        console camcorder""": f"{_PICTURED} video footage screenshot screen",
        """mirror window door bicycle bike motorcycle tricycle handlebar wheel saddle pedal kickstand eyeglass spectacle
        sunglass goggle glasses bed headboard sofa chair stroller tent easel racket trampoline""": "frame",
        "barrette hairpin hairclip": "clip",
        "game": "video",
    }
)
"""What is a picture, a screen or a frame, or carries one: talk of pictures may be about the object."""
