"""What a caption must not be, each check a file; a new one is a file and a line here."""

from capgen.registry import Registry

CHECKS = Registry(
    "check",
    "capgen.checks",
    {
        "empty": "capgen.pipeline.checks.answer.empty:Empty",
        "not_stopped": "capgen.pipeline.checks.answer.not_stopped:NotStopped",
        "refusal": "capgen.pipeline.checks.refusal:Refusal",
        "marker_leak": "capgen.pipeline.checks.marker_leak:MarkerLeak",
        "meta_talk": "capgen.pipeline.checks.meta_talk:MetaTalk",
        "thinking": "capgen.pipeline.checks.thinking:Thinking",
        "coordinates": "capgen.pipeline.checks.coordinates:LeakedCoordinates",
        "format": "capgen.pipeline.checks.format:Format",
        "language": "capgen.pipeline.checks.language:Language",
        "length": "capgen.pipeline.checks.answer.length:Length",
        "repetition": "capgen.pipeline.checks.repetition:Repetition",
        "unsure": "capgen.pipeline.checks.answer.unsure:Unsure",
        "wrong_category": "capgen.pipeline.checks.categories.wrong_category:WrongCategory",
    },
)
