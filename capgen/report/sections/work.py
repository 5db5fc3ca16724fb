"""The sections on the work itself: tokens, further answers, speed, engines and cost."""

from __future__ import annotations

from capgen.dataset.sessions.session_record import SessionRecord
from capgen.report.charts import ColumnChart
from capgen.report.figures import RunFigures
from capgen.report.sections.section import ReportSection, ReportTable, count, share
from capgen.text import duration


def tokens(found: RunFigures) -> ReportSection | None:
    """Tokens, and how many of the prompts' the engine had computed before."""
    one = found.tokens
    if not one.all_prompt and not one.prompt:
        return None
    rows = [
        (name, count(prompt), count(cached), share(cached / prompt) if prompt else "-", count(output))
        for name, prompt, cached, output in (
            ("answers in the rows, as the data card counts", one.prompt, one.cached, one.output),
            ("all answers, tries included", one.all_prompt, one.all_cached, one.all_output),
        )
    ]
    header = ("what", "prompt tokens", "of them cached", "cached share", "tokens written")
    lines = ("Cached tokens are those that an engine took over from an earlier request that began alike.",)
    return ReportSection("Tokens", lines, (ReportTable(header, tuple(rows), "lrrrr"),))


def asking_again(found: RunFigures) -> ReportSection | None:
    """Tries, repeated requests, and what `capgen retry` did."""
    one = found.tries
    if not one.answers:
        return None
    rows = [
        ("answers asked for, in all", count(one.answers)),
        ("requests sent again because an engine failed", count(max(0, one.attempts - one.answers))),
        ("objects asked again because a check refused or doubted the answer", count(one.asked_again)),
        ("of these, released", count(one.mended)),
        ("objects asked again to tell them from a neighbour", count(one.asked_to_differ)),
        ("of these, given another caption", count(one.differing)),
        ("engines started anew", count(found.speed.lost)),
    ]
    tables = [ReportTable(("what", "number"), tuple(rows), "lr")]
    if one.retried:
        told = tuple(
            (code, *(count(did[name]) for name in ("rounds", "asked", "changed", "kept")))
            for code, did in one.retried.items()
        )
        header = ("retried reason", "rounds", "objects asked", "answered otherwise", "kept")
        tables.append(ReportTable(header, told, "lrrrr"))
    return ReportSection("Asked again", (), tuple(tables))


def speed(found: RunFigures) -> ReportSection:
    """Objects a second over time, and what the engines did meanwhile."""
    one = found.speed
    if not one.sessions:
        return ReportSection("Speed", ("No session of this run was recorded, so its speed is not known.",))
    lines = [
        f"The run asked for {duration(3600 * one.asked_hours)} in {len(one.sessions)} "
        f"{'session' if len(one.sessions) == 1 else 'sessions'} and settled {one.objects_per_s:,.3g} objects a second, "
        "starts of engines included."
    ]
    if one.busy_share is not None:
        lines.append(
            f"Of the time for which engines were wanted they had requests in flight {share(one.busy_share)}, were idle "
            f"{share(one.idle_share or 0)}, and were starting, lost or stopping {share(one.down_share or 0)}."
        )
    scale, unit = (3600.0, "seconds") if one.asked_hours < 0.1 else (1.0, "hours")
    step = scale * one.asked_hours / max(1, len(one.rates))
    chart = ColumnChart(
        "Objects a second" + (", a line where a session began" if one.starts else ""),
        f"{unit} of asking, pauses left out",
        tuple((scale * begin, scale * begin + step, rate) for begin, rate in one.rates),
        "objects/s",
        tuple(scale * start for start in one.starts),
    )
    header = ("began", "took", "engines", "objects", "objects/s", "starts of engines", "started anew", "idle", "ended")
    rows = tuple(_session(session, running=found.running) for session in one.sessions)
    return ReportSection(
        "Speed", tuple(lines), (ReportTable(header, rows, "lrlrrlrrl"),), (chart,) if one.rates else ()
    )


def _session(one: SessionRecord, *, running: str | None) -> tuple[str, ...]:
    settled = max(0, one.settled - one.before)
    engines = f"{one.engines} on the CPU" if not one.gpus else f"{one.engines} with {one.gpus} GPU"
    return (
        one.started,
        duration(one.seconds),
        engines,
        count(settled),
        f"{settled / one.seconds:,.3g}" if one.seconds else "-",
        ", ".join(f"{value:.1f} s" for value in one.start_s[:4]) + (", ..." if len(one.start_s) > 4 else ""),
        count(one.lost),
        share(one.idle_s / one.engine_s) if one.engine_s else "-",
        one.ended or ("running, or killed" if running else "killed"),
    )


def cost(found: RunFigures) -> ReportSection:
    """GPU hours, and their price where one is given."""
    one = found.speed
    if not one.sessions:
        return ReportSection("Cost", ("No session of this run was recorded, so its GPU hours are not known.",))
    lines = [f"GPU hours: {one.gpu_hours:,.3g}. A GPU counts from the call for its engine to the end of asking."]
    if one.cost is not None:
        per_1000 = "" if one.cost_per_1000 is None else f", {one.cost_per_1000:,.3g} for 1,000 released captions"
        lines.append(f"At {one.price:g} an hour of a GPU: {one.cost:,.2f}{per_1000}.")
    elif one.price is None:
        lines.append("`capgen report OUT --price P` gives the cost at a price of P an hour of a GPU.")
    else:
        lines.append("The run held no GPU itself (those of servers are not counted), so it has no cost by GPU hours.")
    return ReportSection("Cost", tuple(lines))
