"""The figures of a report: what ``figures.json`` holds. Shares lie in 0 to 1, times are hours or seconds as named."""

from __future__ import annotations

from typing import Any

import msgspec

from capgen.dataset.quality.calibration import Calibration
from capgen.dataset.release_record import ReviewCounts
from capgen.dataset.sessions.session_record import SessionRecord


class FigureStruct(msgspec.Struct, frozen=True, kw_only=True):
    """What all tables of figures have in common."""


class SplitFigures(FigureStruct, frozen=True, kw_only=True):
    """The counts of one split; objects of unfinished shards are in none of them."""

    split: str
    media: int
    without_objects: int
    objects: int
    kept: int
    dropped: int
    failed: int


class SaidOf(FigureStruct, frozen=True, kw_only=True):
    """An object, and its caption or what is said of it."""

    key: str
    text: str


class CategoryShare(FigureStruct, frozen=True, kw_only=True):
    """How many of a category's objects something is true of."""

    category: str
    objects: int
    of: int


class CategoryLoss(CategoryShare, frozen=True, kw_only=True):
    """A category of which ``objects`` are released, and why most of the others are not."""

    reasons: dict[str, int]


class ReasonFigures(FigureStruct, frozen=True, kw_only=True):
    """What is known of a reason code.

    Args:
        status: ``dropped``, ``failed``, or ``advised``, which drops nothing.
        meaning: of the code; empty where it is a plug-in's that is not installed.
        objects: that are counted under it: those of which it is the first reason.
        named: objects that have it among their reasons, where checks dropped them.
        categories: those in which it is counted most often.
    """

    status: str
    code: str
    meaning: str
    objects: int
    share: float
    named: int
    categories: tuple[CategoryShare, ...]
    examples: tuple[SaidOf, ...]


class CaptionFigures(FigureStruct, frozen=True, kw_only=True):
    """Released captions: how many have so many words, and which words they use.

    ``said_once``: words that stand in one caption alone. ``top_words`` leaves out articles and their like.
    """

    captions: int
    words: dict[int, int]
    mean_words: float
    median_words: float
    vocabulary: int
    said_once: int
    top_words: tuple[tuple[str, int], ...]
    examples: tuple[SaidOf, ...]


class CategoryGroup(FigureStruct, frozen=True, kw_only=True):
    """Categories that have ``low`` to ``high`` objects (None: or more), their objects and captions."""

    low: int
    high: int | None
    categories: int
    objects: int
    kept: int


class CategoryFigures(FigureStruct, frozen=True, kw_only=True):
    """The long tail.

    Args:
        captioned: categories with a caption; ``uncaptioned`` names some of the others.
        head_share: the share of the captions that the tenth of the categories with most of them has.
        ranked: (rank, captions) of categories from the most frequent on, thinned out.
        worst: categories with at least 20 objects of which the smallest shares are released.
    """

    categories: int
    captioned: int
    uncaptioned: tuple[str, ...]
    head_share: float
    groups: tuple[CategoryGroup, ...]
    ranked: tuple[tuple[int, int], ...]
    most: tuple[tuple[str, int], ...]
    worst: tuple[CategoryLoss, ...]


class RepetitionFigures(FigureStruct, frozen=True, kw_only=True):
    """How often captions repeat each other.

    Args:
        known: whether dedup has run on these captions; without it ``repeated`` and ``left_out`` are 0.
        distinct: different sentences among the released captions.
        repeated: released captions that say the same, or nearly so, as an earlier one of their category.
        left_out: captions that dedup left out, by reason.
        neighbours: objects that have another one of their category in their image or video, ``alike`` of these have
            its caption's words; ``distinct_share`` is that of the others, None where there are no neighbours.
    """

    known: bool
    captions: int
    distinct: int
    repeated: int
    left_out: dict[str, int]
    neighbours: int
    alike: int
    distinct_share: float | None
    most_repeated: tuple[tuple[str, int], ...]


class ConfidenceFigures(FigureStruct, frozen=True, kw_only=True):
    """Released captions by the probability of their least probable content word, in tenths; ``unknown`` have none.

    ``curve`` is what OUT/calibration.json holds, ``here`` the same from the truth that this report was given.
    """

    tenths: tuple[int, ...]
    unknown: int
    curve: Calibration | None
    here: Calibration | None


class JudgeFigures(FigureStruct, frozen=True, kw_only=True):
    """The scores of one method of ``capgen judge``.

    Args:
        rows: scores of captions as they are now; ``stale`` ones are of captions that have changed, and not counted.
        verdicts: rows by verdict.
        edges, counts: a histogram of the scores, with one edge more than counts.
        curve: precision against kept share, where truth is known.
    """

    method: str
    rows: int
    stale: int
    verdicts: dict[str, int]
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    curve: Calibration | None


class TruthFigures(FigureStruct, frozen=True, kw_only=True):
    """What is known of how many captions are right.

    Args:
        source: name of the file that tells.
        labelled: released captions with a label; ``right`` of them, a share in [low, high] with 95 %.
        attributes: with facts, by attribute: right, wrong, unsaid and rate.
        missing: with facts, objects without a caption.
    """

    source: str
    labelled: int
    right: int
    low: float
    high: float
    attributes: dict[str, dict[str, Any]]
    missing: int


class TokenFigures(FigureStruct, frozen=True, kw_only=True):
    """Tokens of the answers that the rows have, as the data card counts them, and of all answers, tries included."""

    prompt: int
    cached: int
    output: int
    all_prompt: int
    all_cached: int
    all_output: int


class TryFigures(FigureStruct, frozen=True, kw_only=True):
    """Answers asked for beyond the first.

    Args:
        answers: in all; ``attempts``: requests, those included that an engine did not answer.
        asked_again, mended: objects asked again because of a check, and those of them that are released.
        asked_to_differ, differing: objects asked for what differs, and those of them that got another caption.
        retried: what `capgen retry` did, by reason: rounds, asked, changed, kept.
    """

    answers: int
    attempts: int
    asked_again: int
    mended: int
    asked_to_differ: int
    differing: int
    retried: dict[str, dict[str, int]]


class SpeedFigures(FigureStruct, frozen=True, kw_only=True):
    """When and how fast the run asked.

    Args:
        sessions: one for each start of the run; empty where the run is of a capgen that kept no records.
        asked_hours: of all sessions, from the first call for an engine to the end of asking.
        objects_per_s: objects settled in all sessions by the seconds of that time.
        rates: (beginning in hours, pauses left out; objects a second) of steps of equal length.
        starts: where later sessions begin, in these hours.
        busy_share, idle_share, down_share: of the time for which engines were wanted: with requests in flight, up but
            without any, and starting, lost or stopping.
        lost: engines that were started anew.
        price, cost: of a GPU's hour and of the run; None where no price was given or no GPU used.
        cost_per_1000: of a thousand released captions.
    """

    sessions: tuple[SessionRecord, ...]
    asked_hours: float
    objects_per_s: float
    rates: tuple[tuple[float, float], ...]
    starts: tuple[float, ...]
    busy_share: float | None
    idle_share: float | None
    down_share: float | None
    lost: int
    gpu_hours: float
    price: float | None
    cost: float | None
    cost_per_1000: float | None


class RunFigures(FigureStruct, frozen=True, kw_only=True):
    """Everything that a report says of a run.

    Args:
        made: when, in UTC.
        state: ``released``, ``running``, ``unfinished`` or ``answered`` (not packed yet, or nothing was kept).
        running: who works on it.
        settled: objects that are answered but in shards that are not finished.
        origins: what wrote the released captions: model, revision, engine, prompt, highlight, captions.
    """

    version: int = 1
    out: str
    title: str
    dataset: str
    kind: str
    made: str
    state: str
    running: str | None
    warning: str | None
    fingerprint: str
    planned: int
    kept: int
    dropped: int
    failed: int
    settled: int
    left: int
    shards: int
    shards_done: int
    left_out: dict[str, int]
    splits: tuple[SplitFigures, ...]
    reasons: tuple[ReasonFigures, ...]
    captions: CaptionFigures
    categories: CategoryFigures
    repetition: RepetitionFigures
    confidence: ConfidenceFigures
    reviews: ReviewCounts | None
    judges: tuple[JudgeFigures, ...]
    truth: TruthFigures | None
    tokens: TokenFigures
    tries: TryFigures
    speed: SpeedFigures
    origins: tuple[dict[str, Any], ...]
