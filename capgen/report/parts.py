"""Tables of figures out of the counts of a run's rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from capgen.dataset.quality.counts import CodeCount
from capgen.dataset.quality.release_counts import CategoryCounts, ReleaseCounts
from capgen.dataset.stats import Stats
from capgen.pipeline.checks import CHECKS
from capgen.pipeline.reasons import REASONS as REASON_MEANINGS
from capgen.pipeline.releasing.dedup import REASONS
from capgen.report.figures import (
    CaptionFigures,
    CategoryFigures,
    CategoryGroup,
    CategoryLoss,
    CategoryShare,
    ReasonFigures,
    RepetitionFigures,
    SaidOf,
    SplitFigures,
)
from capgen.text import IDLE_WORDS

_GROUPS = ((1, 1), (2, 10), (11, 100), (101, 1000), (1001, None))
_RANKS = 200
_NAMED, _WORDS, _EXAMPLES, _OF_REASON = 15, 25, 3, 5
_CAUSES = 3
_FEWEST = 20
"""Objects that a category must have to be named for its small share of captions."""


def splits(stats: Stats) -> tuple[SplitFigures, ...]:
    """The counts of each split, in the order of the plan."""
    return tuple(
        SplitFigures(
            split=name,
            media=one.media,
            without_objects=one.media_without_objects,
            objects=one.objects,
            kept=one.kept,
            dropped=one.dropped.total(),
            failed=one.failed.total(),
        )
        for name, one in stats.splits.items()
    )


def reasons(counts: ReleaseCounts) -> tuple[ReasonFigures, ...]:
    """Every code: what was dropped and failed by first reason, most frequent first, then what checks only advise."""
    stats, quality = counts.stats, counts.quality
    found = []
    for status, first in (("dropped", stats.dropped), ("failed", stats.failed)):
        named = {code: quality.dropped[code].objects for code in quality.dropped if status == "dropped"}
        later = {code: 0 for code in named if code not in first and code not in stats.failed}
        for code, objects in sorted((first | later).items(), key=lambda item: (-item[1], item[0])):
            one = quality.dropped.get(code, CodeCount())
            found.append(_reason(counts, status, code, objects, one))
    advised = sorted(quality.advised.items(), key=lambda item: (-item[1].objects, item[0]))
    return (*found, *(_reason(counts, "advised", code, one.objects, one) for code, one in advised))


def _reason(counts: ReleaseCounts, status: str, code: str, objects: int, one: CodeCount) -> ReasonFigures:
    shares = [] if status == "advised" else [*_with_code(counts.by_category, code)]
    return ReasonFigures(
        status=status,
        code=code,
        meaning=_meaning(code),
        objects=objects,
        share=objects / max(1, counts.stats.objects),
        named=one.objects,
        categories=tuple(sorted(shares, key=lambda share: (-share.objects, share.category))[:_OF_REASON]),
        examples=tuple(SaidOf(key=key, text=text) for key, text in one.examples),
    )


def _meaning(code: str) -> str:
    """What a code means. Data may hold any text as a code: of checks only known ones are loaded."""
    if code in REASON_MEANINGS:
        return REASON_MEANINGS[code].meaning
    doc = getattr(CHECKS.load(code), "__doc__", None) if ":" not in code and code in set(CHECKS) else None
    return " ".join((doc or "").partition("\n\n")[0].split()).replace("``", "")


def _with_code(by_category: dict[str, CategoryCounts], code: str) -> Iterable[CategoryShare]:
    for name, one in by_category.items():
        if one.reasons[code]:
            yield CategoryShare(category=name, objects=one.reasons[code], of=one.objects)


def captions(stats: Stats) -> CaptionFigures:
    """Lengths and words of the released captions, and the first of them."""
    some = {**stats.examples, **dict(stats.first)}  # of several categories, where there are several
    told = Counter({word: count for word, count in stats.vocabulary.items() if word not in IDLE_WORDS})
    return CaptionFigures(
        captions=stats.kept,
        words=dict(sorted(stats.lengths.items())),
        mean_words=stats.mean_words(),
        median_words=stats.median_words(),
        vocabulary=len(stats.vocabulary),
        said_once=sum(count == 1 for count in stats.vocabulary.values()),
        top_words=tuple(sorted(told.items(), key=lambda item: (-item[1], item[0]))[:_WORDS]),
        examples=tuple(SaidOf(key=key, text=text) for key, text in [*some.items()][:_EXAMPLES]),
    )


def categories(counts: ReleaseCounts) -> CategoryFigures:
    """The long tail of the categories, by their objects and by their captions."""
    all_of = counts.by_category
    ranked = sorted((one.kept for one in all_of.values() if one.kept), reverse=True)
    head = ranked[: -(-len(all_of) // 10)]
    step = max(1, -(-len(ranked) // _RANKS))
    large = [
        CategoryLoss(category=name, objects=one.kept, of=one.objects, reasons=dict(one.reasons.most_common(_CAUSES)))
        for name, one in all_of.items()
        if one.objects >= _FEWEST and one.kept < one.objects
    ]
    return CategoryFigures(
        categories=len(all_of),
        captioned=len(ranked),
        uncaptioned=tuple(sorted(name for name, one in all_of.items() if not one.kept)[:_NAMED]),
        head_share=sum(head) / sum(ranked) if ranked else 0.0,
        groups=tuple(_group(all_of, low, high) for low, high in _GROUPS),
        ranked=tuple((rank, count) for rank, count in enumerate(ranked, 1) if (rank - 1) % step == 0),
        most=tuple(counts.stats.top_categories(_NAMED)),
        worst=tuple(sorted(large, key=lambda one: (one.objects / one.of, one.category))[:_NAMED]),
    )


def _group(all_of: dict[str, CategoryCounts], low: int, high: int | None) -> CategoryGroup:
    inside = [one for one in all_of.values() if one.objects >= low and (high is None or one.objects <= high)]
    return CategoryGroup(
        low=low,
        high=high,
        categories=len(inside),
        objects=sum(one.objects for one in inside),
        kept=sum(one.kept for one in inside),
    )


def repetition(counts: ReleaseCounts, *, known: bool) -> RepetitionFigures:
    """How often captions repeat each other; ``known``: dedup has run on them."""
    stats, quality = counts.stats, counts.quality
    return RepetitionFigures(
        known=known,
        captions=stats.kept,
        distinct=stats.distinct_sentences(),
        repeated=stats.repeated,
        left_out={code: stats.dropped[code] for code in REASONS if stats.dropped[code]},
        neighbours=quality.neighbours,
        alike=quality.alike,
        distinct_share=1 - quality.alike / quality.neighbours if quality.neighbours else None,
        most_repeated=tuple(stats.most_repeated(_OF_REASON)),
    )


def origins(stats: Stats) -> tuple[dict[str, Any], ...]:
    """What wrote the released captions, the most productive first."""
    ordered = sorted(stats.origins.items(), key=lambda item: (-item[1], str(item[0])))
    return tuple(origin._asdict() | {"captions": count} for origin, count in ordered)
