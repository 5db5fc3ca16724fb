"""A report as sections of sentences, tables and plots, which a page and a Markdown file write in their own way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from capgen.report.charts import BarChart, Chart, ColumnChart, LineChart, PlotLine
from capgen.report.figures import CategoryGroup, CategoryShare, RunFigures, SaidOf, SplitFigures
from capgen.report.sections.quality import confidence, judges, reviews, truth
from capgen.report.sections.section import ReportSection, ReportTable, count, share
from capgen.report.sections.work import asking_again, cost, speed, tokens

_MOST_REASONS, _MOST_ROWS = 20, 100


def sections(found: RunFigures) -> list[ReportSection]:
    """All sections that have something to say, in their order."""
    every = [
        _counts(found),
        _reasons(found),
        _captions(found),
        _categories(found),
        _repetition(found),
        confidence(found),
        *judges(found),
        reviews(found),
        truth(found),
        tokens(found),
        asking_again(found),
        speed(found),
        cost(found),
        _origins(found),
    ]
    return [section for section in every if section is not None]


def summary(found: RunFigures) -> list[str]:
    """Where the run stands, in sentences."""
    states = {
        "released": "The run is finished and its release is packed.",
        "running": f"The run is going on ({found.running}); this report counts its finished shards.",
        "unfinished": "The run is not finished; the same command goes on with it. This report counts finished shards.",
        "answered": "Everything is answered, but no release is packed.",
    }
    lines = [states[found.state]]
    if found.warning:
        lines.append(f"Many objects failed: {found.warning}.")
    lines.append(
        f"{count(found.planned)} objects were planned: {count(found.kept)} are released as captions, "
        f"{count(found.dropped)} were dropped, {count(found.failed)} failed, {count(found.settled)} are answered in "
        f"unfinished shards, {count(found.left)} are left. {count(found.shards_done)} of {count(found.shards)} shards "
        "are finished."
    )
    if found.state != "released" and found.kept:
        lines[-1] = lines[-1].replace("are released as captions", "have a caption that the checks let pass", 1)
    return lines


def tiles(found: RunFigures) -> list[tuple[str, str]]:
    """The few numbers that a reader wants first: value and name."""
    done = found.kept + found.dropped + found.failed
    shown = [
        (count(found.planned), "objects planned"),
        (count(found.kept), "captions"),
        (share(found.kept / done) if done else "-", "kept of what is answered"),
        (f"{found.captions.mean_words:.1f}", "words a caption"),
    ]
    if found.speed.sessions:
        shown.append((f"{found.speed.objects_per_s:,.3g}/s", "objects a second"))
    if found.truth:
        shown.append((share(found.truth.right / found.truth.labelled), "right, where truth is known"))
    if found.speed.cost is not None:
        shown.append((f"{found.speed.cost:,.2f}", "cost"))
    return shown


def _counts(found: RunFigures) -> ReportSection:
    rows = [_split(one) for one in found.splits]
    if len(rows) > 1:
        numbers = zip(*(_numbers(one) for one in found.splits), strict=True)
        rows.append(("all splits", *(count(sum(column)) for column in numbers)))
    header = ("split", f"{found.kind or 'medium'}s", "without objects", "objects", "captions", "dropped", "failed")
    lines = [
        f"{count(number)} annotations of the source are no objects: {code}." for code, number in found.left_out.items()
    ]
    bars = tuple((one.split, (one.kept, one.dropped, one.failed)) for one in found.splits)
    chart = BarChart("Objects by split and status", ("captions", "dropped", "failed"), bars)
    return ReportSection("Counts", tuple(lines), (ReportTable(header, tuple(rows), "lrrrrrr"),), (chart,))


def _numbers(one: SplitFigures) -> tuple[int, ...]:
    return one.media, one.without_objects, one.objects, one.kept, one.dropped, one.failed


def _split(one: SplitFigures) -> tuple[str, ...]:
    return one.split, *map(count, _numbers(one))


def _reasons(found: RunFigures) -> ReportSection | None:
    if not found.reasons:
        return None
    rows = [
        (
            one.status,
            one.code,
            one.meaning,
            count(one.objects),
            share(one.share),
            count(one.named),
            _named_categories(one.categories),
        )
        for one in found.reasons[:_MOST_ROWS]
    ]
    header = ("status", "reason", "meaning", "objects", "of all", "named", "most often in")
    examples = [
        (one.code, example.key, example.text) for one in found.reasons[:_MOST_REASONS] for example in one.examples
    ]
    tables = [ReportTable(header, tuple(rows), "lllrrrl")]
    if examples:
        tables.append(ReportTable(("reason", "key", "the caption, or what is said of it"), tuple(examples), "lll"))
    shown = [one for one in found.reasons if one.objects and one.status != "advised"][:_MOST_REASONS]
    chart = BarChart("Objects by first reason", ("objects",), tuple((one.code, (one.objects,)) for one in shown))
    lines = (
        "An object without a caption is counted once, under its first reason. The column `named` counts the objects "
        "that have a code among their reasons. A check that is `advised` leaves the caption where it is.",
    )
    return ReportSection("Dropped and failed", lines, tuple(tables), (chart,) if shown else ())


def _named_categories(shares: Iterable[CategoryShare]) -> str:
    return ", ".join(f"{one.category} {one.objects:,} of {one.of:,}" for one in shares)


def examples_table(examples: Sequence[SaidOf]) -> ReportTable:
    """Keys and captions."""
    return ReportTable(("key", "caption"), tuple((one.key, one.text) for one in examples), "ll")


def _captions(found: RunFigures) -> ReportSection | None:
    said = found.captions
    if not said.captions:
        return None
    lines = (
        f"Captions have {said.mean_words:.1f} words on average and {said.median_words:g} in the median. They use "
        f"{count(said.vocabulary)} different words, {count(said.said_once)} of them once.",
    )
    longest = max(said.words)
    lengths = tuple((n - 0.5, n + 0.5, said.words.get(n, 0)) for n in range(min(said.words), min(longest, 120) + 1))
    charts: list[Chart] = [ColumnChart("Words of a caption", "words", lengths)]
    words = tuple((word, (number,)) for word, number in said.top_words[:15])
    charts.append(BarChart("The most frequent words, articles and their like left out", ("times",), words))
    return ReportSection("Captions", lines, (examples_table(said.examples),), tuple(charts))


def _categories(found: RunFigures) -> ReportSection | None:
    one = found.categories
    if not one.categories:
        return None
    lines = [
        f"{count(one.captioned)} of {count(one.categories)} categories have a caption. The tenth of the categories "
        f"with most captions has {share(one.head_share)} of them."
    ]
    if one.uncaptioned:
        more = ", and others" if one.categories - one.captioned > len(one.uncaptioned) else ""
        lines.append(f"Without any caption: {', '.join(one.uncaptioned)}{more}.")
    groups = tuple(_group(group) for group in one.groups if group.categories)
    tables = [
        ReportTable(("objects of a category", "categories", "objects", "captions", "kept"), groups, "lrrrr"),
        ReportTable(("most captions", "captions"), tuple((name, count(n)) for name, n in one.most), "lr"),
    ]
    if one.worst:
        rows = tuple(
            (c.category, count(c.objects), count(c.of), share(c.objects / c.of), _codes(c.reasons)) for c in one.worst
        )
        header = ("fewest of its objects kept", "captions", "objects", "kept", "why not")
        tables.append(ReportTable(header, rows, "lrrrl"))
    points = tuple((float(rank), float(captions)) for rank, captions in one.ranked)
    chart = LineChart(
        "Captions of each category", "rank of the category", "captions", (PlotLine("captions", points),), log=True
    )
    return ReportSection("Long tail", tuple(lines), tuple(tables), (chart,) if len(points) > 1 else ())


def _group(group: CategoryGroup) -> tuple[str, ...]:
    label = f"{group.low:,} or more" if group.high is None else f"{group.low:,} to {group.high:,}"
    label = f"{group.low}" if group.high == group.low else label
    kept = share(group.kept / group.objects) if group.objects else "-"
    return label, count(group.categories), count(group.objects), count(group.kept), kept


def _repetition(found: RunFigures) -> ReportSection | None:
    one = found.repetition
    if not one.captions:
        return None
    lines = [
        f"The {count(one.captions)} captions are {count(one.distinct)} different sentences "
        f"({share(one.distinct / one.captions)})."
    ]
    if one.known:
        lines.append(
            f"{count(one.repeated)} released captions say the same, or nearly the same, as an earlier one of their "
            f"category. Left out for repeating another: {_codes(one.left_out)}."
        )
    else:
        lines.append("Repeated captions are found when the release is packed, which has not happened.")
    if one.distinct_share is not None:
        lines.append(
            f"{count(one.neighbours)} objects have another one of their category in the same {found.kind or 'medium'}; "
            f"{share(one.distinct_share)} of them have a caption that tells them from it."
        )
    repeated = tuple((text, count(number)) for text, number in one.most_repeated)
    tables = (ReportTable(("most repeated sentence", "captions"), repeated, "lr"),) if repeated else ()
    return ReportSection("Repetition", tuple(lines), tables)


def _codes(counts: dict[str, int]) -> str:
    return ", ".join(f"{code} {number:,}" for code, number in counts.items()) or "none"


def _origins(found: RunFigures) -> ReportSection:
    names = ("model", "model_revision", "engine", "prompt", "prompt_sha256", "highlight", "captions")
    rows = tuple(
        tuple(count(one[name]) if name == "captions" else str(one[name] or "-") for name in names)
        for one in found.origins
    )
    header = ("model", "revision", "engine", "prompt", "prompt sha256", "highlight", "captions")
    lines = (f"Fingerprint of the run: {found.fingerprint}.",)
    return ReportSection("Where the captions come from", lines, (ReportTable(header, rows, "llllllr"),) if rows else ())


@dataclass(frozen=True, slots=True)
class Report:
    """What is written: the figures, and the sections that say them."""

    figures: RunFigures
    sections: list[ReportSection]

    @classmethod
    def of(cls, figures: RunFigures) -> Report:
        """The report of some figures."""
        return cls(figures, sections(figures))
