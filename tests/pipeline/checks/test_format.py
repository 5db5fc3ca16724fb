"""What is no plain sentence is dropped: special tokens, markup, lists, JSON, mojibake."""

from __future__ import annotations

import pytest

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.format import Format
from capgen.pipeline.checks.vocabulary.mojibake import mojibake

NO_SENTENCE = """
A grey kitten on a windowsill #cat #cosy
A brown sofa with with cushions in the a corner is is and on a rug of the.
A blue kite,, with a tail.
A grey van with tinted windows, a roof rack and its old
A silver van with tinted windows and a dent in the bum
- A chair with a blue cushion.
* A chair with a blue cushion.
1. A chair with a blue cushion.
A chair with a blue cushion.<|im_end|>
A chair with a blue cushion.<|endoftext|>
A chair with a blue cushion.<end_of_utterance>
A chair with a blue cushion.<end_of_turn>
A chair with a blue cushion.</s>
A chair with a blue cushion.<eos>
<image>A chair with a blue cushion.
[INST] A chair with a blue cushion. [/INST]
A chair with a blue cushion. [EOS]
A chair with a blue cushion.<0x0A>
A chair with a blue cushion.<\uff5cend\u2581of\u2581sentence\uff5c>
A chair with a blue cushion.<<SYS>>
```A chair with a blue cushion.```
A **blue** chair by the wall.
A *blue* chair by the wall.
A `blue` chair by the wall.
## A blue chair by the wall
A <b>blue</b> chair by the wall.
<p>A blue chair by the wall.</p>
A blue chair by the wall.<br/>
<caption>A blue chair by the wall.</caption>
A blue chair &amp; a table.
{"caption": "A blue chair by the wall."}
["A blue chair by the wall."]
{'object': 'chair', 'colour': 'blue'}
caption="A blue chair by the wall."
1. A blue chair 2. A red table
A chair with \\text{blue} cushion.
A chair by the wall.\\nA table.
![A chair](chair.png) by the wall.
[A chair](http://example.org/) by the wall.
| chair | blue |
\u2022 A blue chair by the wall.
A blue chair on a shel\ufffd\ufffd by the wall.
A caf\u00c3\u00a9 chair by the wall.
A chair\u00e2\u20ac\u2122s leg by the wall.
A chair with a \u00e4\u00b8\u00ad\u00e5\u203a\u00bd cushion.
A blue chair \u0120by the wall.
""".strip().splitlines()

SENTENCES = """
A monitor that shows HTML with a <div> and a </body>.
A man who leans on a shovel beside the open pit
A caf\u00e9 table with a cr\u00e8me br\u00fbl\u00e9e in a white dish.
A bottle of C\u00f4tes du Rh\u00f4ne with a torn label.
A mug with "#1 Dad" in blue letters.
A T-shirt that reads "<3" in pink on the chest.
A cookbook titled "1. Soups 2. Stews" lying on a counter.
A price tag that reads \u20ac4.99 beside a melon.
A thermometer reading 37 \u00b0C on its small display.
A man\u2019s hand \u2014 sleeves rolled up \u2014 holds a fork.
A cup with \u201cI \u2665 NY\u201d printed in black.
A box (opened) and a lid [of tin] on a shelf.
A well-known actor - in a black suit - waves.
A sign with "5th Ave. & W 57th St." in white.
A poster that says "**SALE**" in red.
A C# programming book next to a mug.
A sign that reads STOP!
A calculator with the keys + - * / and =.
A na\u00efve drawing of a house; its roof is red.
A man at no. 1. He wears a hat.
A shirt with \u0394\u0394\u0394 across the chest.
A bus to \u0141\u00f3d\u017a and Malm\u00f6.
""".strip().splitlines()


@pytest.mark.parametrize("caption", NO_SENTENCE)
def test_what_is_no_plain_sentence_is_dropped(caption):
    assert Format()(CheckedCaption(caption))


@pytest.mark.parametrize("caption", SENTENCES)
def test_a_plain_sentence_is_kept(caption):
    assert Format()(CheckedCaption(caption)) is None


@pytest.mark.parametrize("text", ["naïve café", "Ærø Ýmir", "Łódź Ÿ", "漢字", "a\u0085b", "über-größe", "½ ° €"])
def test_text_in_other_letters_is_no_mojibake(text):
    assert mojibake(text) is None


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
@pytest.mark.parametrize("text", ["café", "Malmö", "“quoted”", "出口", "выход", "naïve", "100 °"])
def test_utf8_read_as_another_encoding_is_found(text, encoding):
    try:
        wrong = text.encode().decode(encoding)
    except UnicodeDecodeError:
        pytest.skip("the encoding has no such bytes")
    assert mojibake(f"A sign {wrong} on a door.")


def test_two_captions_with_a_blank_line_between_them_are_no_caption():
    assert Format()(CheckedCaption("A tall lamp.\n\nA brass lamp beside the bed."))
    assert Format()(CheckedCaption("A tall lamp\nbeside the bed.")) is None
