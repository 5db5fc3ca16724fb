"""Loops of language models, and repetition that honest captions have."""

from __future__ import annotations

import pytest

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.repetition import Repetition

LOOPS = """
A brass brass plaque plaque with with engraved engraved letters letters fixed to a stone wall wall.
The red the red the red
A red red red ball on the floor.
A dog and a cat and a dog and a cat and a dog and a cat.
A blue car a blue car in the yard.
A man with a hat, a man with a hat, a man with a hat.
A brown dog sits. A brown dog sits.
A brown dog sits! It waits. A brown dog sits.
A yellow bananananananana on a plate, aaaaaaaaaa.
A bus!!!!!!!!!! on the road.
A bus .............. on the road.
A kite in the sky in the sky in the sky.
A horse with a long long long tail.
The tall tree and the tall tree and the tall tree by a house.
A small white plate on a small white plate on a small white table.
na na na na na na na na
1girl, solo, 1girl, solo, 1girl, solo
一只猫一只猫一只猫一只猫
白い犬と白い犬と白い犬と白い犬
หมาดำหมาดำหมาดำหมาดำ
abcabcabcabcabcabcabcabcabcabcabcabcabcabcabc
""".strip().splitlines()

HONEST = """
A santoku rocks up and down, up and down, through a heap of green onions.
A lanyard printed STAFF STAFF STAFF STAFF in blue capitals, looped around a man's neck.
A puffy red felt heart stitched with HA HA HA HA HA hangs from the doorknob.
A frog hops, hops, hops into the pond.
A tall pole at the end of the pier has stripes, red, white, red, white, red, white, and a lamp.
A man in a red shirt and a man in a blue shirt.
A white cup on a white plate on a white table.
A bowl of rice next to a bowl of soup and a bowl of fruit.
Row after row of red seats in an empty stadium.
Row after row after row of red seats.
A very, very tall giraffe beside a fence.
Two horses side by side on a hillside.
A plate that reads 7 7 7 on a truck.
A black and white cow behind black and white sheep.
A sign that reads Stop. Stop. Go.
A woman in a black coat with a black bag and black shoes.
A clock tower with a clock on each side of the tower.
A dog on the left side of a sofa, looking to the right side of the room.
A bus with the number 1000000 on its side.
A tuk-tuk on a dusty road.
A boy with a bow and arrow.
The girl has a toy in her left hand and a cup in her right hand.
一个穿红色衬衫的男人和一个穿蓝色衬衫的男人站在街上。
一只哈哈大笑的熊猫。
白い犬と黒い犬が公園で遊んでいる。
A tall glass, half full, beside an empty glass.
A cat jumps from the floor to the chair and from the chair to the table.
A Google logo with two o letters.
A long word on a sign: Llanfairpwllgwyngyll.
""".strip().splitlines()


@pytest.mark.parametrize("caption", LOOPS)
def test_a_caption_that_goes_in_circles_is_dropped(caption):
    assert Repetition()(CheckedCaption(caption))


@pytest.mark.parametrize("caption", HONEST)
def test_an_honest_caption_is_kept(caption):
    assert Repetition()(CheckedCaption(caption)) is None


def test_each_limit_is_an_option():
    shares = "A small cat sits by a small dog, and a small cat looks at a small dog."
    assert Repetition(max_share=0.1)(CheckedCaption(shares))
    assert Repetition(max_share=0.5)(CheckedCaption(shares)) is None
    assert Repetition(max_words=4)(CheckedCaption("A red red red ball.")) is None
    assert Repetition(max_characters=12)(CheckedCaption("A bus!!!!!!!!!!")) is None


@pytest.mark.parametrize(
    ("caption", "message"),
    [
        ("The red the red the red", "'the red' 3 times in a row"),
        ("A brown dog sits. A brown dog sits.", "'a brown dog sits' is said twice"),
        ("A bus!!!!!!!!!!", "'!' more than 6 times in a row"),
    ],
)
def test_the_message_quotes_what_is_repeated(caption, message):
    assert Repetition()(CheckedCaption(caption)) == message
