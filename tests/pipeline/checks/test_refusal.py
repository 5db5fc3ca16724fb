"""Refusals and apologies, and what signs in pictures read."""

from __future__ import annotations

import pytest

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.refusal import Refusal

REFUSALS = """
I'm sorry, but I can't help with that.
I\u2019m sorry, I cannot identify people.
I am sorry, but the picture is too dark.
Sorry, but I can't see any spoon here.
We're sorry, this content is not available.
I apologize, but there is nothing to describe.
My apologies, no caption is possible.
I cannot determine what this is.
I can\u2019t tell what the object is.
I can not describe it.
I am unable to see the picture.
I'm unable to provide a description.
I am not able to assist with this request.
I'm not sure what this object is.
I do not see a spoon anywhere.
I don't see any object there.
I won't describe this person.
I must decline this request.
I could not find the spoon.
As an AI, I have no eyes.
As an AI language model, I cannot see pictures.
As a large language model I have limits.
Unable to determine the object from the given view.
It is not possible to identify the animal.
It's difficult to tell what it is.
It is impossible to describe the animal.
The animal cannot be identified.
The object can't be clearly determined.
The colour could not be determined.
There is no visible object at that place.
There is no object to describe.
There are no objects.
No visible object is present.
There is not enough information to describe it.
Insufficient detail to say what it is.
Please provide a clearer picture.
Could you share a larger picture?
The image is missing.
The object is not visible.
The image is too blurry to tell what is there.
The picture is too dark to make out anything.
This request is against the policy.
N/A
None.
Unknown
No caption.
抱歉\uff0c我无法识别这张图片。
无法确定物体的类别。
""".strip().splitlines()

HONEST = """
A tortoise pulled in so far that its head cannot be seen.
A dog that looks sorry lies on a rug.
A sign that reads: I'm sorry, we are closed.
A card with the words I am sorry in gold.
A shirt saying sorry but not sorry.
A boy who cannot reach the top shelf.
A man unable to lift a heavy suitcase.
A cat that can't get down from a tree.
A bear seen through trees; its head is hidden.
A girl with a kite that will not fly.
An airplane too small to carry many passengers.
A train that is not moving, at a platform.
A clock whose hands tell the time.
A watch that cannot tell the time any more.
A model of a ship in a bottle.
A fashion model in a long coat.
A shop assistant behind a counter.
An AI logo on a laptop lid.
A banana, none of it peeled.
A sign with information about the trail.
A parking meter with no coins in it.
A referee who does not look at the players.
A woman providing water to a horse.
A window with no visible damage.
A nun standing in an unknown street.
A bottle with an unreadable label.
A dog not visible to the cat behind the fence.
A man sharing a picture on his phone.
A polar bear that is hard to see against the snow.
""".strip().splitlines()


@pytest.mark.parametrize("caption", REFUSALS)
def test_a_refusal_is_dropped(caption):
    assert Refusal()(CheckedCaption(caption))


@pytest.mark.parametrize("caption", HONEST)
def test_an_honest_caption_is_kept(caption):
    assert Refusal()(CheckedCaption(caption)) is None


def test_the_message_quotes_the_refusal():
    assert Refusal()(CheckedCaption("I\u2019m sorry, I cannot.")) == 'refuses: "i\'m sorry"'
