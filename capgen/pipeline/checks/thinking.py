"""A caption that holds the model's reasoning: between tags, or as plain words about the task."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.vocabulary import phrases
from capgen.pipeline.checks.vocabulary.plain_form import plain, watch
from capgen.pipeline.checks.vocabulary.quotations import without_readings

_VOCABULARY = {
    "I": "i we",
    "MUST": "need should must have want",
    "DO": """describe caption write identify focus look check mention avoid analyze analyse consider determine figure
        make create generate include keep produce provide answer think note start output ensure be write say go call use
        mention""",
    "SAY": "say says said ask asks asked want wants state states require requires specify specifies",
    "TASK": "caption description sentence answer response prompt task question instruction instructions request output",
    "SIGHT": "image picture photo video frame frames object box region crop highlight close scene",
    "QUOTED": """read reads reading say says saying text word words written printed lettering labeled labelled message
        titled slogan""",
}
_phrase = partial(phrases.phrase, vocabulary=_VOCABULARY)

_BOOK = phrases.PhraseBook(
    (
        _phrase("the user|prompt|question|task|instruction|instructions|system _? DO|SAY"),
        _phrase("the user is|provided|gave|has|needs|requested|mentioned"),
        _phrase("I MUST to? DO", not_after="QUOTED"),
        _phrase("I'll|i'll|we'll|i'm just|now? DO|going", not_after="QUOTED"),
        _phrase("let me|us just|now|first? DO|see|re|examine|recall|break", not_after="QUOTED"),
        _phrase("let's just|now|first? DO|see|break|examine|tackle|go", not_after="QUOTED"),
        _phrase(
            ". ok|okay|alright|hmm|hm|wait|so|well|now|first|but|also|actually|yes|right .? so|i|i'll|we|let|let's|the"
            " user|need|have|think|me|us|describe|task|question|SIGHT|caption|prompt",
            not_after="QUOTED",
        ),
        _phrase(". hmm|hm", not_after="QUOTED"),
        _phrase(". wait . ", not_after="QUOTED", not_before="sign"),
        _phrase(". wait no|actually|but|maybe|the|let|i|is", not_after="QUOTED"),
        _phrase(". got it .", not_after="QUOTED"),
        _phrase(". actually no|the|it|it's|this|that|i|we", not_after="QUOTED"),
        _phrase(". looking|judging at|from|by the|this SIGHT"),
        _phrase("so|thus|therefore|hence the|my|a final|best|good|possible? TASK is|would|could|should|will"),
        _phrase("the|my|a final|best|good|possible|appropriate|correct TASK is|would|could|should|will|might"),
        _phrase(". step 1|2|3|4|one|two|three|by", not_after="QUOTED"),
        _phrase(". the|my|a? TASK should|must|needs|cannot|has"),
        _phrase("as instructed|requested|required|asked|directed .|the|one|in|a|i|by", not_after="QUOTED"),
        _phrase(". my|the reasoning|thoughts|thinking|analysis .|is|goes"),
        _phrase(". my final|best|own? answer|response|caption|description|guess"),
        _phrase("based|depending|going on|upon|by my analysis|observation|observations|assessment|understanding"),
        _phrase("from|after my|closer|careful analysis|observation|inspection|examination"),
        _phrase("I need|want|require _? _? _? TASK", not_after="QUOTED"),
        _phrase(
            "i|we notice|see|observe|believe|conclude|know|recognise|recognize|identify|count|consider|read|interpret|"
            "keep|choose|pick|mention|focus|note",
            not_after="QUOTED",
        ),
        _phrase(". oops|whoops|oh|wow|uh|um|er|erm|huh|yeah|yep|nah|hey|hi|hello|ah|aha"),
        _phrase(
            ". "
            "correction|edit|update|clarification|disclaimer|caveat|explanation|reason|reasons|context|"
            "background|key|tip|hint|warning|reminder ."
        ),
        _phrase(". no|nope|yes it's|it|that's|that|this|wait|not|actually", not_after="QUOTED"),
        _phrase(". actually|rather|correction|scratch a|an|it|the|that|not|no", not_after="QUOTED"),
        _phrase(". looking|examining|inspecting|upon|on closely|carefully|closer|second|further|reflection|inspection"),
        _phrase(
            "which|this|that means|suggests|implies|indicates|tells this|these|it|that|the is|are|was|object|answer"
        ),
        _phrase(
            "my|our first|own|best|initial|overall? impression|guess|assumption|instinct|conclusion|view",
            not_after="QUOTED",
        ),
        _phrase(". that|this|it must|has|might|may to? be a|an|the"),
        _phrase("note to self|myself|remember"),
        _phrase(". so a|an|the|it|this|that|we|i", not_after="QUOTED"),
        _phrase("i'd|we'd say|guess|call|describe|go|argue|describe|caption|assume", not_after="QUOTED"),
        _phrase(
            "i|we would|could|might|can|may|shall|will say|guess|call|describe|go|argue|caption|assume|infer",
            not_after="QUOTED",
        ),
        _phrase(". thinking|going|judging|reasoning about|by|from|over|through the|this|what"),
        _phrase(". to describe|caption|identify|determine|answer this|the|it"),
        _phrase(". considering|given|analyzing|analysing|examining|observing the|this SIGHT|provided|given|visual"),
        _phrase(
            ". given|considering|following|per|under|within the|these|those|all|your|such _? constraints|constraint|"
            "instructions|instruction|requirements|rules|limits|limit|guidelines|format|request|task|prompt"
        ),
        _phrase("sentence|sentences|words suffices|suffice|is|are enough|sufficient|. .|a|an|the"),
        # No caption of an object speaks of itself: what a sign reads is between quotation marks or after QUOTED.
        _phrase(
            "i|i'm|i'd|i'll|i've|me|my|we|we're|we've|us|our|let's "
            "!.|love|heart|beam|beams|not|sorry|unable|afraid|cannot|can't|can|am|apologize|apologise|could|couldn't|decline|apologies",
            not_after="QUOTED",
        ),
        _phrase(
            "you|you're|you've|you'd|you'll|your|yours !.|and|own|know",
            not_after="QUOTED card banner mat cake balloon thank",
        ),
        _phrase("looking again|closer|closely that|those|these|it|it's|this|i|they"),
        _phrase("wait no|actually|not|it|that|this|let|maybe", not_after="QUOTED"),
        _phrase("no|oh|but|so|hmm|ah wait", not_after="QUOTED"),
        _phrase("on second thought|thoughts|look|glance"),
        _phrase("scratch|strike that", not_after="QUOTED cats cat posts"),
        _phrase(
            "no|or|well|sorry|correction rather|actually|sorry|correction it|it's|a|an|the|this", not_after="QUOTED"
        ),
        # No caption gives orders.
        _phrase(
            ". mention|avoid|include|remember|ensure|consider|focus|output|return|skip|recall|verify|confirm|identify|"
            "summarize|summarise|rewrite|rephrase|shorten|exclude|emphasize|emphasise|refrain|proceed|compose|draft "
            "!of|on|in|by|from|with|is|group|lens",
            not_after="QUOTED",
        ),
        _phrase(
            ". check|note|notice|keep|make|use|try|add|say|start|begin|pick|choose|leave|stick that|it|the|to|in|"
            "sure|out|with|for|if|only|just|what|how|this",
            not_after="QUOTED",
        ),
        _phrase(". the user|users"),
        _phrase(
            ". maybe|perhaps|then|also|just mention|describe|say|add|note|include|use|keep|skip|leave|call|start|focus"
        ),
        _phrase(". now for|to|on the|a|my final|sentence|caption|description|colour|color|answer|last"),
        _phrase(". what matters|counts|remains|stands|follows"),
        _phrase(". user|users wants|asks|asked|wanted|needs|requested|prompt"),
        _phrase(". need|needs|needed|must|should|have|try|trying|going|have to|be|not|avoid|describe"),
        _phrase(". that|this|it|which gives|leaves|yields|makes|tells|suggests us|me .|a|an|the|it|that"),
        _phrase(". looking|checking|judging|examining|zooming|focusing more|again|the|once|further|at|in|it"),
        _phrase(
            ". first|second|next|then|finally|now|lastly i|we|describe|identify|look|the|its|note|mention "
            ".|at|colour|color"
        ),
        _phrase(". in short|brief|sum|other|summary|conclusion|essence .|words|my|the"),
        _phrase(". plan|note|goal|task|thought|idea|guess|answer|final|draft|constraint|rule ."),
        _phrase("step by step", not_after="QUOTED guide photos instructions"),
        _phrase("thinking|thought|reasoning|chain process|of|steps ."),
        _phrase(". thinking|thought|thoughts|reasoning|analysis|analyze|draft|rationale|reflection ."),
        _phrase("chain of thought"),
        _phrase(". final|draft TASK"),
        _phrase("double check|checking", not_after="QUOTED mark"),
        _phrase("could|might also? be|refer a|an|to _? _? or maybe|perhaps|possibly"),
        _phrase(". maybe|perhaps i|we|it|it's|the|this|that"),
        _phrase("i think|guess|believe|assume|suppose|wonder", not_after="QUOTED"),
        _phrase("within|under|in|about 15|20|25|30|40|50|ten|fifteen|twenty|thirty|fifty words"),
        _phrase("should|must be one|a|single|short? sentence|concise"),
        _phrase("as per the|your TASK|guidelines|rules"),
        _phrase("according to the|your TASK|guidelines|rules|user"),
        _phrase("the rules|guidelines|constraints say|says|state|are|require"),
    )
)
# Each repeat is bounded: searched in the caption as it is.
_TAGS = re.compile(
    r"</?(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|scratchpad|analysis|cot|plan|inner_monologue|thought_process)>"
    r"|\u25c1/?think\u25b7|\[/?(?:THINK|THINKING|REASONING)\]|<\|(?:begin|end)_of_(?:thought|thinking|solution)\|>"
    r"|<\|?channel\|?>|<\|(?:thinking|analysis|assistant_thinking|thought)\|>|\bassistantfinal\b|\banalysis(?=We )"
    r"|^\s{0,5}(?:Thinking|Thought|Reasoning|Analysis)\s?(?:Process)?\s?:",
    re.IGNORECASE | re.MULTILINE,
)


_TELLING = _BOOK.telltale | watch(lambda word: word.startswith("analysis") or "assistantfinal" in word)
# A question to oneself: "What is the colour of the car? Red."
_QUESTION = re.compile(
    # not "Got milk?" in quotation marks
    r"\?(?![\"\u201d\u2019'\u00bb])|"
    r"(?:^|[.!?:]\s)(?:So,? |Hmm,? |Now,? |But |And )?(?:is|are|was|what|which|how|does|do|could|can|should|where|why)"
    r"\b[^.!?\"\n]{3,100}\?(?:\s|$)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Thinking:
    """Drops reasoning that leaked into the answer: ``<think>`` and its kin, and "Okay, the user wants", "Wait, the"."""

    final: ClassVar[bool] = False

    def __call__(self, said: CheckedCaption) -> str | None:
        """Quote the reasoning."""
        heard = plain(said.caption)
        if heard.sentence and not heard.lists & _TELLING:  # most captions
            return None
        text = without_readings(said.caption)
        tag = _TAGS.search(text) if _may_hold_a_tag(text) else None
        if tag is None and "?" in text:
            tag = _QUESTION.search(text)
        found = tag.group().strip(" .!") if tag else _BOOK.first(said)
        return None if found is None else f"holds the model's reasoning: {found!r}"


def _may_hold_a_tag(text: str) -> bool:
    """Whether it has what every tag has one of: asking for that first is quicker."""
    small = text.lower()
    return (
        "<" in text
        or ":" in text
        or "[" in text
        or "\u25c1" in text
        or "assistantfinal" in small
        or "analysis" in small
    )
