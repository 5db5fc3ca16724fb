"""Judging the captions of a run, or other sentences about its objects: shard by shard, resumable, into a table."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from capgen.dataset.files import open_parquet, whole_file
from capgen.dataset.layout import RunLayout, picture_bounds, refuse_links
from capgen.dataset.lock import exclusive_file
from capgen.dataset.plan import PlannedMedia, PlanRecord
from capgen.dataset.quality.judge_scores import JudgedBy, scores_schema
from capgen.dataset.reader import check_root, read_columns, read_media, read_plan
from capgen.dataset.shards import finished_shards
from capgen.errors import UserError
from capgen.pipeline.engines.base import EngineContext, EngineDead, EngineFault, Session, build_engine
from capgen.pipeline.engines.scoring.base import SentenceScorer, check_scores, scorer_of
from capgen.pipeline.engines.scoring.fit import fit_of, to_compare
from capgen.pipeline.engines.starting.start import start_engine
from capgen.pipeline.judging import questions
from capgen.pipeline.judging.records import JudgeJournal, JudgeRules, JudgeSummary, score_table
from capgen.pipeline.judging.scores import JudgedCaption, yes_score
from capgen.pipeline.planning.preflight import check_model, tell_model
from capgen.pipeline.rendering.prompt import prompt_of
from capgen.pipeline.rendering.render import Renderer, render_media
from capgen.pipeline.settings import Settings
from capgen.pipeline.sources.reading.decode import decode_media
from capgen.pipeline.view import View

_AHEAD = 2
"""Sentences of media that are begun, for each one that may be with the engine."""
_SHARD_COLUMNS = ("key", "category", "caption", "status", "logprob_min")


@dataclass(frozen=True, slots=True)
class RunningEngine:
    """An engine that somebody else has started and will stop, and the loop in which it runs."""

    session: Session
    runner: asyncio.Runner


Told = Callable[[int, int], None]
"""Is told how many sentences are judged, and how many there are."""


def judge_run(
    out: Path,
    settings: Settings,
    rules: JudgeRules,
    *,
    sentences: Mapping[str, str] | None = None,
    table: Path | None = None,
    gpus: int = 0,
    told: Told | None = None,
    running: RunningEngine | None = None,
) -> JudgeSummary:
    """Judge the kept captions of a run, or some sentences about its objects, and write the table.

    What a call that was stopped has judged is not asked again by the same call.

    Args:
        settings: how pictures are shown, and the engine with its model; see ``retry.recorded``.
        sentences: by key; None judges the run's own captions.
        table: the Parquet file; None is ``OUT/judge.parquet``.
        gpus: of the one engine; 0 is the CPU.
        running: judges with this engine instead of one of its own.

    Raises:
        InUse: another process judges into the same table.
        UserError: nothing can be judged, an engine cannot score, keys are of no finished object, or an entry of OUT is
            a link that would lead writes elsewhere.
        LedgerError: the run's files are damaged.
    """
    refuse_links(out)
    plan = read_plan(out)
    if settings.source.root is not None:
        check_root(out, plan, settings.source.root)
    total = _count(out, plan, sentences)
    category_told = rules.tells_category(settings.prompt)
    summary = JudgeSummary(rules.method, rules.threshold, category_told)
    place = table or RunLayout(out).judge
    with exclusive_file(place):
        journal = JudgeJournal.open(out, settings, rules)
        work = _Judging(out, plan, settings, rules, sentences, journal)
        name = _judge_name(plan, settings, rules)
        by = JudgedBy(model=name, threshold=rules.threshold, category_told=category_told)
        with whole_file(place) as part, open_parquet(part, scores_schema(by)) as writer:
            done = 0
            for judged in _batches(work, gpus, running):
                writer.write_table(score_table(judged, rules))
                for one in judged:
                    summary.add(one)
                done += len(judged)
                if told:
                    told(done, total)
        summary.reused = journal.reused
        journal.remove()
    return summary


def _judge_name(plan: PlanRecord, settings: Settings, rules: JudgeRules) -> str | None:
    """What judges, as a card may name it: the run's own model by the name in its rows, a folder by its last part."""
    if rules.method == "confidence":
        return None
    if settings.model.id == plan.settings.get("model", {}).get("id"):
        return plan.model.name
    folder = Path(settings.model.id)
    return folder.name if folder.is_absolute() else settings.model.id


def _count(out: Path, plan: PlanRecord, sentences: Mapping[str, str] | None) -> int:
    """How many sentences there are.

    Raises:
        UserError: none, or some about objects that the run does not have.
    """
    kept, left = 0, set(sentences or ())
    for entry in finished_shards(out, plan):
        columns = read_columns(out, entry.index, ("key", "status")).to_pydict()
        left.difference_update(columns["key"])
        kept += columns["status"].count("kept")
    if sentences is None and not kept:
        raise UserError(f"{out} has no caption to judge", "finish the run first")
    if left:
        raise UserError(f"no finished object of {out} has the key {min(left)!r}", "give the OUT of these sentences")
    return kept if sentences is None else len(sentences)


def _batches(work: _Judging, gpus: int, running: RunningEngine | None) -> Iterator[list[JudgedCaption]]:
    """The judged sentences of a shard at a time, in the order of the plan."""
    if work.rules.method == "confidence":
        yield from work.confidences()
        return
    with nullcontext(running.runner) if running else asyncio.Runner() as runner:
        shards = work.asked(gpus, running.session if running else None)
        try:
            while (judged := runner.run(anext(shards, None))) is not None:
                yield judged
        finally:
            runner.run(shards.aclose())


@dataclass(frozen=True, slots=True)
class _Medium:
    """A picture or video with the rows of its objects, and the sentences about them by key."""

    shard: int
    planned: PlannedMedia
    rows: list[dict[str, Any]]
    wanted: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Shown:
    """The objects of a medium as a model sees them, by key.

    Args:
        views: the judge's requests.
        as_asked: the requests as the run made them, where the judge's tell the category and the run's did not.
        why: why an object cannot be shown.
    """

    views: dict[str, View] = field(default_factory=dict)
    as_asked: dict[str, View] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Begun:
    """A medium in hand: its shard, how many sentences there are about it, and the task that judges them."""

    shard: int
    sentences: int
    task: asyncio.Future[list[JudgedCaption]]


@dataclass(frozen=True, slots=True)
class _Scoring:
    """The engine's scorer, and the gate of the sentences that are with it."""

    scorer: SentenceScorer
    gate: asyncio.Semaphore


class _Judging:
    """A call in progress."""

    def __init__(
        self,
        out: Path,
        plan: PlanRecord,
        settings: Settings,
        rules: JudgeRules,
        sentences: Mapping[str, str] | None,
        journal: JudgeJournal,
    ) -> None:
        self.rules = rules
        self._out, self._plan, self._settings = out, plan, settings
        self._sentences, self._journal = sentences, journal
        self._renderer = Renderer(settings.render, prompt_of(rules.prompt(settings.prompt)))
        asked = prompt_of(settings.prompt)
        told_more = asked.category != self._renderer.prompt.category
        self._own_renderer = Renderer(settings.render, asked) if told_more else None
        self._root = settings.source.root or plan.root or ""
        self._bounds = picture_bounds(settings.source.root, settings.source.follow_links)

    def confidences(self) -> Iterator[list[JudgedCaption]]:
        """The captions' own log-probabilities as scores."""
        if self._sentences is not None:
            raise UserError("the method confidence knows the run's own captions alone", "use --method fit")
        for entry in finished_shards(self._out, self._plan):
            rows = read_columns(self._out, entry.index, _SHARD_COLUMNS).to_pylist()
            yield [
                JudgedCaption(key=row["key"], caption=row["caption"], score=row["logprob_min"])
                for row in rows
                if row["status"] == "kept"
            ]

    async def asked(self, gpus: int, running: Session | None) -> AsyncGenerator[list[JudgedCaption], None]:
        """Scores by an engine, a shard at a time; the next images and videos are begun while one is waited for."""
        check_scores(self._settings.engine.name, "--method confidence")
        engine = build_engine(self._settings.engine)
        media, ahead = self._media(), deque[_Begun]()
        if running is None:
            check_model(self._settings)
            tell_model(self._settings)
        context = EngineContext(self._settings.model, self._settings.sampling, gpus)
        session = running or await start_engine(engine, context)
        requests = self.rules.contrast + 1 + (self._own_renderer is not None) if self.rules.method == "fit" else 1
        at_once = max(2, -(-engine.in_flight // requests))
        scoring = _Scoring(scorer_of(session), asyncio.Semaphore(at_once))
        try:
            shard, judged = 0, list[JudgedCaption]()
            while self._begin(ahead, media, scoring, _AHEAD * at_once):
                one = ahead.popleft()
                if one.shard != shard:
                    yield judged
                    shard, judged = one.shard, []
                judged += await one.task
            yield judged
        finally:
            for begun in ahead:
                begun.task.cancel()
            await asyncio.gather(*(begun.task for begun in ahead), return_exceptions=True)
            if running is None:
                await session.stop()

    def _begin(self, ahead: deque[_Begun], media: Iterator[_Medium], scoring: _Scoring, sentences: int) -> bool:
        """Begin media, two at least, until so many sentences are in hand; False where none is left in hand."""
        while len(ahead) < 2 or sum(begun.sentences for begun in ahead) < sentences:
            medium = next(media, None)
            if medium is None:
                break
            task = asyncio.ensure_future(self._medium(scoring, medium))
            ahead.append(_Begun(medium.shard, len(medium.wanted), task))
        return bool(ahead)

    def _media(self) -> Iterator[_Medium]:
        """The media with sentences to judge, in the order of the plan."""
        for entry in finished_shards(self._out, self._plan):
            rows = {row["key"]: row for row in read_columns(self._out, entry.index, _SHARD_COLUMNS).to_pylist()}
            for planned in read_media(self._out, entry, legacy_root=self._plan.legacy_root):
                of_medium = [rows[planned.key_of(item.object_id)] for item in planned.objects]
                wanted = {row["key"]: text for row in of_medium if (text := self._text(row)) is not None}
                if wanted:
                    yield _Medium(entry.index, planned, of_medium, wanted)

    def _text(self, row: Mapping[str, Any]) -> str | None:
        if self._sentences is not None:
            return self._sentences.get(row["key"])
        return row["caption"] if row["status"] == "kept" else None

    async def _medium(self, scoring: _Scoring, medium: _Medium) -> list[JudgedCaption]:
        """The sentences about one picture or video."""
        planned, rows, wanted = medium.planned, medium.rows, medium.wanted
        known = {key: self._journal.get(key, text) for key, text in wanted.items()}
        shown = _Shown()
        if any(one is None for one in known.values()):
            shown = await asyncio.to_thread(self._show, planned)

        async def one(place: int, key: str, text: str) -> JudgedCaption:
            if (found := known[key]) is not None:
                return found
            if key not in shown.views:
                return JudgedCaption(key=key, caption=text, message=shown.why.get(key, "it cannot be shown"))
            try:
                async with scoring.gate:
                    judged = await self._one(scoring.scorer, key, text, place, rows, shown)
            except EngineDead:
                raise
            except EngineFault as error:
                return JudgedCaption(key=key, caption=text, message=str(error))
            self._journal.add(judged)
            return judged

        places = {row["key"]: place for place, row in enumerate(rows)}
        return list(await asyncio.gather(*(one(places[key], key, text) for key, text in wanted.items())))

    def _show(self, planned: PlannedMedia) -> _Shown:
        """All objects of a medium as the model is to see them; slow."""
        media, shown = decode_media(planned, str(self._root), self._bounds), _Shown()
        for result in render_media(media, self._renderer):
            if isinstance(result, View):
                shown.views[result.key] = result
            else:
                shown.why[result[0].key] = result[1].message
        if self._own_renderer is not None:
            again = render_media(media, self._own_renderer)
            shown.as_asked.update((view.key, view) for view in again if isinstance(view, View))
        return shown

    async def _one(
        self,
        scorer: SentenceScorer,
        key: str,
        text: str,
        place: int,
        rows: list[dict[str, Any]],
        shown: _Shown,
    ) -> JudgedCaption:
        views = shown.views
        if self.rules.method == "yes_no":
            return await self._questions(scorer, key, text, views[key])
        categories = [row["category"] for row in rows]
        others = [rows[other]["key"] for other in to_compare(place, categories, self.rules.contrast)]
        held_against = [views[other] for other in others if other in views]
        found = await fit_of(scorer, text, views[key], held_against, own_again=shown.as_asked.get(key))
        return JudgedCaption(
            key=key,
            caption=text,
            score=found.score,
            least=found.least,
            contrast=found.contrast,
            prompt_tokens=found.prompt_tokens,
            cached_tokens=found.cached_tokens,
        )

    async def _questions(self, scorer: SentenceScorer, key: str, text: str, view: View) -> JudgedCaption:
        answers: dict[str, float] = {}
        tokens = cached = 0
        for name in questions.order(key, self.rules.seed):
            found = await scorer.first_word(questions.asked(view, text, name))
            tokens, cached = tokens + found.prompt_tokens, cached + found.cached_tokens
            yes = questions.probability_of_yes(found.choices)
            if yes is not None:
                answers[name] = yes
        count = len(questions.QUESTIONS)
        told = f"the model answered {len(answers)} of {count} questions with yes or no"
        return JudgedCaption(
            key=key,
            caption=text,
            score=yes_score(answers) if len(answers) == count else None,
            answers=answers,
            prompt_tokens=tokens,
            cached_tokens=cached,
            message=None if len(answers) == count else told,
        )
