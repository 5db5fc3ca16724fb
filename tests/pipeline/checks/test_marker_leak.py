"""What a mark on the picture leaves in captions, and the boxes, masks and frames of the world."""

from __future__ import annotations

import pytest

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.marker_leak import MarkerLeak

LEAKS = """
A spoon with the number 3 marker lies on a cloth.
A heron with a long beak; red box, lower right.
A ladle on a hook, at the tip of the arrow.
A tin mug, under a rosy overlay.
Mark 4 refers to a tin kettle on the stove.
A heron tinted violet by the overlay stands in the reeds.
A tram turns orange because of the selection.
A rake, coloured teal for identification, leans on the shed.
The unmasked part of the bench is green.
A jug, cut out on a plain white background, has two handles.
A shovel enclosed by a thin dashed polygon.
The highlighted dog is lying on a couch.
A man in a blue shirt, highlighted in the picture, rides a horse.
A bicycle highlighted by a thin red line leans on a wall.
A woman outlined in red is holding a cup of tea.
A motorcycle outlined with a bright yellow line waits at the lights.
A zebra with a green outline grazes in tall grass.
The elephant is outlined and stands near the river.
A red-outlined chair stands in the corner.
A green rectangular box highlighting a giraffe.
A sheep inside a green rectangular box on a hill.
A brown horse within a rectangular green box.
A cyclist in a yellow jacket inside the bounding box.
The bounding-box contains a small teapot.
A train in the bbox is crossing a bridge.
The marked object is a wooden spoon.
A marked person is crossing the street.
A close-up of a cat with green eyes.
A closeup view of a silver fork.
Close up shot of a tennis racket.
A cropped image of a brown leather shoe.
A skateboard that is cropped at the edge.
A surfer, cropped, rides a wave.
A boat inside the box floats on a lake.
A boat inside the thin box floats on a lake.
A runner within the red box jumps over a hurdle.
The man in the green box is wearing a black suit.
The man in the box is wearing a black suit.
A bus in a yellow rectangle drives down the road.
A grey pigeon in the second image walks on the pavement.
A grey pigeon in the first picture walks on the pavement.
A child in the last frame waves at the crowd.
The same dog appears in both images with a ball.
A goalkeeper who moves to the left across the frames.
A ball that rolls across the sampled frames.
A judo fighter in each frame wears white.
Region 1 is a bowl of soup.
<region1> is a slice of pizza on a plate.
A kite in region 3 flies above the beach.
Object 2 is a parked scooter.
The image 1 shows a parked scooter.
A cup with the contour drawn in red.
A cup with a magenta contour on the table.
A contour line around the vase follows its shape.
A goat traced in blue stands on a rock.
A toddler circled in red holds a spoon.
A parrot boxed in green sits on a branch.
A plane surrounded by a thin green box takes off.
A plane enclosed in a red box takes off.
A laptop marked with a red box lies on the desk.
A man with a box drawn around him carries a ladder.
A man with a red box around him carries a ladder.
A player with a red line around him runs.
A segmentation mask of a horse in a field.
A masked region of the grass with a cow.
A truck covered by a translucent green mask.
A cow overlaid with a red mask grazes.
A duck with a semi-transparent blue overlay swims.
A red mask over the person hides the details.
A knife in front of a dimmed background.
A sofa against a greyed-out background.
A zoomed-in view of a wall clock.
A zoomed picture of a pair of glasses.
The inset image shows a spoon.
The region of interest holds a wine glass.
A carrot indicated by the arrow lies on the board.
A carrot indicated by a red box lies on the board.
In the marked frame a white van turns right.
A man in a green box rides past a fence.
A man surrounded by a green border rides past a fence.
A scooter pointed to by the arrow stands at the kerb.
The second image shows a scooter at the kerb.
A scooter at the kerb in frame two.
The target object stands at the kerb.
A lamp as seen in the crop glows faintly.
A horse in the blue circle trots.
The thin red box encloses a traffic light.
A traffic light identified by a rectangle is green.
""".strip().splitlines()

HONEST = """
A fawn bounding over a fallen trunk.
A cap with a red rectangle around the words on its front.
A shirt printed with the coordinates of Lisbon.
A calendar with the 9th circled in blue.
A drum kit with one pad outlined in green rubber.
A neatly cropped hedge along a garden path.
A ferris wheel outlined in blue neon lights.
A gingerbread heart outlined with pink icing.
A beautifully marked cat with amber eyes.
A boldly marked bird on a feeder.
A rug with a red border around the edge.
A flag with a blue rectangle in one corner.
A stack of thin pizza boxes beside an oven.
Apples packed inside the boxes of a market stall.
A cowboy drinking a glass of milk in one shot.
A motorcycle that zoomed past the crowd.
A road sign marked with a white arrow.
A fence around the yard of a farm.
A newspaper box around the corner from a cafe.
A double picture frame with a child in the left picture frame.
A map with a highlighted route on a table.
A cardboard box filled with old books.
A red box on a shelf beside a lamp.
A cat sleeping in a red box.
A white rectangular box with a lid stands on the desk.
A mailbox with a small red flag on a wooden post.
A woman wearing a face mask waits at the counter.
A man in a blue face mask pushes a cart.
A skier in a black ski mask and orange goggles.
A masked man in a cape stands on the stage.
A pair of red boxing gloves hanging from a nail.
An outline of a bird painted on the wall.
A red outline of a heart on a white pillow.
White letters outlined in red on a shop sign.
A tree outlined against the evening sky.
A wooden picture frame with a gold border.
A marked police car with its lights on.
A black marker pen without its cap.
The frame of a bicycle leaning on a fence.
A pink plastic lunch box with a handle.
A metal toolbox full of wrenches.
A bus stop sign with a blue border.
A triangular road sign with a red border.
A white plate with a thin green line along its rim.
A girl with blonde highlights in her hair.
A woman with highlighted hair laughs.
A statue highlighted by warm sunlight.
A silver kettle with light reflecting off its curved side.
A cropped denim jacket on a hanger.
A boy with closely cropped hair kicks a ball.
A field of crops behind an old barn.
A woman in a white crop top and jeans.
A dog standing close up to the fence.
A baseball player standing in the batter's box.
A glazed donut in the box next to two others.
A kitten that climbs out of a cardboard box, its tail still inside the box.
A cake decorated with red and blue icing.
A tennis player behind the white line of the court.
A basketball court marked with yellow lines.
A parking space marked in white.
A large green square on the left of a blue circle.
A small red rectangle behind a yellow triangle.
A pair of glasses with a thin red frame.
A round mirror in a green frame.
A set of three pictures hanging above a sofa.
The face of an old clock surrounded by a gold frame.
A garden surrounded by a white fence.
A man holding a photo of his daughter.
A camera with a zoom lens on a tripod.
A bright spotlight on a stage.
A jogger wearing a shirt with the number 12.
A race car with number 3 on its door.
A sleek sports car with smooth contours.
A kitchen with an inset sink.
A window box full of red geraniums.
A telephone box on a street corner.
A big box truck parked beside a loading dock.
A pair of tinted sunglasses on a table.
A tent with a transparent window.
A black dog in the background of a park.
A child holding a box with a red bow around it.
A white cat with a black patch around one eye.
A road with a yellow line in the middle.
A hockey goalie wearing a white mask.
A jar with a label (net weight 1,000 grams).
A remote control with red, green and blue buttons.
A left-hand glove on the top shelf.
A calf next to its mother, grazing.
A man looking at his phone while crossing the street.
A pillow with a blue outline around its edges.
A scuba diver adjusting the strap of a mask.
A window framed in dark wood.
A wooden crate of oranges, stacked on another box.
""".strip().splitlines()


@pytest.mark.parametrize("caption", LEAKS)
def test_a_caption_that_speaks_of_the_mark_is_dropped(caption):
    assert MarkerLeak()(CheckedCaption(caption))


@pytest.mark.parametrize("caption", HONEST)
def test_an_honest_caption_is_kept(caption):
    assert MarkerLeak()(CheckedCaption(caption)) is None


@pytest.mark.parametrize(
    ("category", "synonyms", "caption"),
    [
        ("box", (), "A green rectangular box with a white lid."),
        ("box", (), "The hinges inside the box are rusty."),
        ("mailbox_(at_home)", ("letter_box_(at_home)",), "Some letters are inside the box on the wall."),
        ("carton", (), "A bottle of milk stands beside eggs inside the box."),
        ("mask", ("facemask",), "The straps inside the mask are white and thin."),
        ("gasmask", ("respirator",), "The filter within the mask is made of metal."),
        ("mirror", (), "A round mirror with a curl in the left frame."),
        ("painting", (), "Two boats painted in the left picture of a pair."),
        ("rectangle", (), "A thin rectangle with red stripes."),
    ],
)
def test_words_of_the_mark_may_be_the_objects_own_name(category, synonyms, caption):
    assert MarkerLeak()(CheckedCaption(caption, category=category, synonyms=synonyms)) is None
    assert MarkerLeak()(CheckedCaption(caption, category="dog")), (
        "the same words leak when another object was asked for"
    )


@pytest.mark.parametrize(
    ("category", "caption"),
    [
        ("box", "A cardboard box outlined in red."),
        ("box", "The highlighted box stands on the floor."),
        ("mask", "A white mask in the second image."),
        ("picture frame", "A wooden picture frame inside the bounding box."),
        ("painting", "A close-up of a painting of a ship."),
    ],
)
def test_a_name_excuses_only_its_own_word(category, caption):
    assert MarkerLeak()(CheckedCaption(caption, category=category))


@pytest.mark.parametrize(
    "caption",
    [
        "A dog OUTLINED IN RED.",
        "A dog outlined\nin  red.",
        "A close\u2011up of a dog.",
        "A close\u2010up of a dog.",
        "A dog \u201chighlighted\u201d here.",
    ],
)
def test_case_blanks_and_typography_hide_nothing(caption):
    assert MarkerLeak()(CheckedCaption(caption))


def test_the_message_quotes_the_leak():
    assert (
        MarkerLeak()(CheckedCaption("A woman outlined in red waves."))
        == "speaks of how the object was shown: 'outlined in red'"
    )
