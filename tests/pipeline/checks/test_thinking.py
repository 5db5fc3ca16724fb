"""Reasoning that leaked into the answer is dropped, tagged or not; people who think are kept."""

from __future__ import annotations

import pytest

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.thinking import Thinking

FAULTY = """
<think>The user wants a caption of the dog.</think> A brown dog on a sofa.
</think> A brown dog on a sofa with a red collar.
◁think▷ A dog is visible ◁/think▷ A brown dog on a sofa.
<reasoning>It has brown fur</reasoning> A brown dog on a sofa.
Okay, the user wants me to describe the dog. It is brown.
Okay, let's see. The dog is brown and sits on a sofa.
Hmm, the animal could be a dog or maybe a fox, with brown fur.
Wait, the collar is red, not blue. A brown dog with a red collar.
Got it. A brown dog with a red collar sits on a sofa.
I need to describe the dog in one sentence, so a brown dog on a sofa.
We need to write a caption about the dog with brown fur.
First, I should look at the dog: it is brown and small.
So the caption would be a brown dog on a red sofa.
Thinking process: 1. Identify the dog. A brown dog.
Let me think about the dog. It has brown fur and a collar.
The prompt says to describe the dog with the brown fur.
The question asks for a dog on a red sofa.
Step 1: find the dog. Step 2: describe its fur.
Therefore, the final answer is a brown dog on a red sofa.
Reasoning: the fur is brown. Answer: a brown dog on a sofa.
Maybe it's a terrier, so a small brown terrier on a sofa.
analysisWe need to describe dog. assistantfinalA brown dog on a sofa.
<|channel|>analysis<|message|>A brown dog on a sofa.
A brown dog on a sofa. That should be one sentence under 20 words.
Now, I'll describe the dog: brown fur, red collar, on a sofa.
I think it is a brown dog lying on a sofa.
Looking at the image, the dog has brown fur and a red collar.
According to the instructions, the dog is brown and on a sofa.
Let's break down the scene: a brown dog lies on a red sofa.
But the user said only one sentence, so a brown dog on a sofa.
""".strip().splitlines()

HONEST = """
A tote bag with "Got tea?" in plain black type.
A magnet with the words "Let me think about it".
A shirt with the slogan "Think. Then think again."
A thinking man with his chin on his hand sits on a step.
A bronze statue of a thinker, hand on chin.
A student who is thinking over a chess move.
A man who must be one of the runners, in a red shirt.
A sign that reads Let me think.
A mug that says Okay, but first coffee.
A woman deep in thought on a bench.
A sign that reads "Step 1: wash your hands".
A note that says "I need to buy milk".
A dog waits at a door.
Final lap of a race: a runner in red leads.
A double boiler on a stove.
""".strip().splitlines()


@pytest.mark.parametrize("caption", FAULTY)
def test_a_faulty_caption_is_dropped(caption):
    assert Thinking()(CheckedCaption(caption))


@pytest.mark.parametrize("caption", HONEST)
def test_an_honest_caption_is_kept(caption):
    assert Thinking()(CheckedCaption(caption)) is None
