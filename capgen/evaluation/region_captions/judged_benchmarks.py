"""The benchmarks with a judge by name, and the whole way from files to numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from capgen.evaluation.region_captions.benchmarks.base import BenchmarkFiles, CaptionBenchmark
from capgen.evaluation.region_captions.benchmarks.dlc_bench import DlcBench
from capgen.evaluation.region_captions.benchmarks.gar_bench import GarBench
from capgen.evaluation.region_captions.benchmarks.plm_videobench import RCap, RDCap
from capgen.evaluation.region_captions.benchmarks.videorefer import VideoReferBench
from capgen.evaluation.region_captions.judging.cache import JudgementCache
from capgen.evaluation.region_captions.judging.judge import Judge
from capgen.evaluation.region_captions.judging.prompts import JudgePrompt
from capgen.evaluation.region_captions.judging.scores import JudgedScores, prompt_facts
from capgen.evaluation.region_captions.judging.session import Judgements, put_questions


@dataclass(frozen=True, slots=True)
class JudgedBenchmark:
    """How a benchmark is opened, and the prompt that it is judged with unless another is named."""

    open: Callable[[BenchmarkFiles], CaptionBenchmark]
    prompt: str


JUDGED_BENCHMARKS: Mapping[str, JudgedBenchmark] = {
    "dlc-bench": JudgedBenchmark(DlcBench.open, "multiple-choice_v1"),
    "questions": JudgedBenchmark(partial(DlcBench.open, recognise=False), "multiple-choice_v1"),
    "videorefer-d": JudgedBenchmark(VideoReferBench.open, "four-aspects_v1"),
    "gar-simple": JudgedBenchmark(partial(GarBench.open, detailed=False), "same-meaning_v1"),
    "gar-detailed": JudgedBenchmark(partial(GarBench.open, detailed=True), "relation_v1"),
    "plm-rcap": JudgedBenchmark(RCap.open, "similarity_v1"),
    "plm-rdcap": JudgedBenchmark(RDCap.open, "similarity_v1"),
}


def judge_captions(
    name: str,
    files: BenchmarkFiles,
    judge: Judge,
    cache: JudgementCache,
    *,
    prompt: str | None = None,
    repeat: int = 1,
    structured: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> JudgedScores:
    """The numbers of a benchmark under a judge.

    Args:
        name: one of ``JUDGED_BENCHMARKS``.
        prompt: a shipped one or a file; None is the benchmark's usual one.

    Raises:
        UserError: a file, the prompt or the judge is not usable.
    """
    chosen = JUDGED_BENCHMARKS[name]
    text = JudgePrompt.load(prompt or chosen.prompt)
    benchmark = chosen.open(files)
    found = put_questions(
        benchmark.questions(), text, judge, cache, repeat=repeat, structured=structured, progress=progress
    )
    return JudgedScores(
        benchmark=name,
        captions=files.predictions.name,
        regions=benchmark.regions,
        repetitions=[benchmark.numbers(one) for one in found.answers],
        judge=judge.identity,
        prompt=prompt_facts(text),
        pictures=files.images is not None,
        structured=structured,
        requests=_requests(found),
        notes=[*benchmark.notes, *_notes(found, judge, repeat)],
    )


def _requests(found: Judgements) -> dict[str, int]:
    prompt, answer = found.tokens
    return {
        "asked": found.asked,
        "from_cache": found.kept,
        "unreadable": found.unreadable,
        "prompt_tokens": prompt,
        "answer_tokens": answer,
    }


def _notes(found: Judgements, judge: Judge, repeat: int) -> list[str]:
    total = found.asked + found.kept
    notes = [f"{total:,} requests, {found.kept:,} of them answered before; {sum(found.tokens):,} tokens"]
    if found.unreadable:
        notes.append(f"{found.unreadable:,} of {total:,} replies hold no answer and bring no points")
    if repeat > 1:
        notes.append(f"{found.disputed:,} of {total // repeat:,} questions were not answered alike each time")
        if not found.disputed and judge.identity.settings.get("temperature") == 0:
            notes.append("at temperature 0 repeated judgements may be the same one; give --temperature to see a spread")
    return notes
