"""Talk about the picture and the task, and the pictures, screens and frames of the world."""

from __future__ import annotations

import pytest

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.meta_talk import MetaTalk

TALK = """
A heron flies low in the distance of this old black and white photograph.
A tin bucket, captured in a blurry snapshot.
Shortened description: a tin bucket.
A moped leans through a bend in this daring action shot.
A kayak, frozen by the camera.
The image shows a brown dog on a sofa.
This image depicts a man who rides a horse.
The picture shows a small boat on a lake.
The photo features two zebras in tall grass.
The video shows a judo fighter in white.
The scene depicts a busy market.
In this picture, a woman holds a red umbrella.
In this image we see a parked van.
In the image, a train crosses a bridge.
In the video, a bear climbs a tree.
From this frame it is clear that the cat sleeps.
A surfer in the middle of the image rides a wave.
A traffic light on the left side of the picture.
A chair in the bottom right corner of the frame.
A bird flies out of the frame.
A cyclist in the video frame wears a helmet.
A man moves throughout the video with a bag.
This is a photo of a red bus.
This is an image of a red bus.
This is a picture of a red bus.
A photo of a red bus at a stop.
A black and white photo of a man on a bench.
A blurry image showing a fork beside a plate.
A picture of a black cat on a bed.
An image of a wooden table with four chairs.
A video of a skateboarder who falls.
It appears to be a photo of a kitchen.
A low angle shot of a tall giraffe.
A shot of a train at a station.
A side view of a parked motorcycle.
A partial view of a white boat.
The camera pans to a horse at the fence.
The object is a spoon made of wood.
The object appears to be a shiny spoon.
The main subject is a toddler in a red coat.
This object is a pair of scissors.
The item shown is a blue vase.
The object inside is a yellow banana.
Object: a wooden chair with a cushion.
Caption: A wooden chair with a cushion.
Caption 1: A wooden chair with a cushion.
**Caption:** A wooden chair with a cushion.
Image caption: a wooden chair with a cushion.
Description: A wooden chair with a cushion.
Answer: A wooden chair with a cushion.
The caption is about a wooden chair.
A wooden chair with a cushion is the caption for this.
Here is a caption for the chair by the wall.
Here is the one-sentence description you asked for.
Here's a wooden chair with a cushion.
Sure, here is the caption.
Sure! A wooden chair with a cushion.
Certainly, the chair has a blue cushion.
Of course! The chair has a blue cushion.
Okay, a chair with a blue cushion.
I can see a chair with a blue cushion.
I see a chair with a blue cushion.
I think this is a chair with a blue cushion.
We can see a chair with a blue cushion.
You can see a chair with a blue cushion.
Let me describe it: a chair with a cushion.
Based on the image, it is a chair.
Based on the provided coordinates, it is a chair.
A chair with a cushion. Let me know if you need more.
A chair with a cushion. I hope this helps!
A chair with a cushion in one sentence.
{"caption": "A chair with a blue cushion."}
The footage captures a goose that crosses a road.
The goose is shown in the photo with its wings spread.
A goose as seen in the given image crosses a road.
""".strip().splitlines()

HONEST = """
A soldier's cap in pixelated green camouflage.
A brown dog lies on a sofa with its head on a cushion.
A framed picture of a sailboat hanging on the wall.
A picture of a sailboat hanging on a wall.
A photo of an old man in a wooden frame on the shelf.
A girl who takes a photo of her friends.
A tourist holding a camera in front of a statue.
A man smiling at the camera with a thumb up.
A video game controller with two sticks.
A row of DVDs and video tapes on a shelf.
A shot glass with a gold rim.
A shot of espresso in a small white cup.
A basketball player about to take a shot.
A hair clip shaped like a butterfly.
A stack of paper clips on a desk.
A wooden bed frame without a mattress.
The frame of a window with peeling paint.
A window whose frame is painted green.
A room with a view of the sea.
A balcony with a view over the city.
A small object that looks like a coin lies in the sand.
A bench with a sign that reads: no smoking.
A clock showing ten past two.
A television on a stand beside a plant.
A screen that displays a map of the city.
A laptop with a picture of a beach on its screen.
A painting of a ship in a storm.
A drawing of a cat on a sheet of paper.
A poster with the caption of a famous cartoon.
A scene from a play on an outdoor stage.
A sure-footed goat on a steep rock.
A surfer who catches a wave close to the pier.
A ball hit toward the camera by a tennis player.
A passenger plane here on the runway at dusk.
A shirt with the words I love my dog.
A street sign: Main Street.
A storefront sign: open, come in.
A gray cat. It sits by the door.
A photographer adjusting the lens of her camera.
A video camera on a tripod.
A rear-view mirror with a tag hanging from it.
A side table with a lamp and a note on it.
A magazine with a woman on its cover.
An answering machine beside a phone.
A boy scout in the front row of a parade.
A spotted dog, sitting in the yard; a ball lies beside it.
A man (left) shaking hands with a woman.
A 2-tier cake with 3 candles.
A bag of chips - half empty - on a table.
A subject of the king kneels in a stained glass window.
A red kite, given its size, dominates the sky.
A phone on the table with the photo album open.
A boy in the picture frame on the desk smiles.
A system of pipes under the sink.
A note pinned to a cork board.
A user manual for a printer.
A large pink object shaped like a donut on a roof.
A white clip holding a bag of bread closed.
A man standing on the left of a bus.
Two people can be seen through the window of a bus.
A sculpture featuring a horse and its rider.
""".strip().splitlines()


@pytest.mark.parametrize("caption", TALK)
def test_talk_about_the_picture_or_the_task_is_dropped(caption):
    assert MetaTalk()(CheckedCaption(caption))


@pytest.mark.parametrize("caption", HONEST)
def test_an_honest_caption_is_kept(caption):
    assert MetaTalk()(CheckedCaption(caption)) is None


@pytest.mark.parametrize(
    ("category", "synonyms", "caption"),
    [
        ("painting", (), "The painting of a harbour has two boats in the picture."),
        ("poster", ("placard",), "A poster with a singer in the middle of the photo."),
        ("photograph", (), "The photograph shows an old couple."),
        ("picture", (), "This picture of a sailing boat is small."),
        ("television_set", ("tv",), "A football player runs in the video."),
        ("monitor_(computer_equipment) computer_monitor", (), "A green field fills the lower part of the picture."),
        ("videotape", (), "The video is in a black plastic case."),
        ("mirror", (), "A carved leaf decorates the top of the frame."),
        ("bicycle", ("bike_(bicycle)",), "A bottle is fixed to the lower part of the frame."),
        ("clip", (), "The clip is made of black plastic."),
        ("camera", (), "The camera angle can be set with a silver lever."),
        ("shot_glass", (), "A shot of something brown with a gold rim."),
    ],
)
def test_words_for_pictures_may_be_the_objects_own_name(category, synonyms, caption):
    assert MetaTalk()(CheckedCaption(caption, category=category, synonyms=synonyms)) is None
    assert MetaTalk()(CheckedCaption(caption, category="dog")), (
        "the same words are talk when another object was asked for"
    )


@pytest.mark.parametrize(
    ("category", "caption"),
    [
        ("painting", "The object is a painting of a ship."),
        ("painting", "Sure, here is a painting of a ship."),
        ("bicycle", "The image shows a bicycle with a basket."),
        ("bicycle", "A bicycle in this picture has a basket."),
        ("television_set", "Caption: a television on a stand."),
    ],
)
def test_a_name_excuses_only_its_own_words(category, caption):
    assert MetaTalk()(CheckedCaption(caption, category=category))


def test_the_message_quotes_the_talk():
    expected = "talks about the picture or the task: 'the image shows'"
    assert MetaTalk()(CheckedCaption("The image shows a dog.")) == expected
