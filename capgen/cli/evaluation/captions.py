"""``capgen eval captions``: captions of regions against references, or under a judge."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from capgen.cli import options
from capgen.cli.evaluation.tracks import AsJsonFlag, OutFlag
from capgen.cli.runs.output import long_work
from capgen.display import StepLog, echo, progress_terminal
from capgen.errors import UnknownName, UserError

if TYPE_CHECKING:
    from capgen.evaluation.region_captions.judging.judge import Judge
    from capgen.evaluation.region_captions.judging.scores import JudgedScores
    from capgen.evaluation.region_captions.references import ScoringModels

app = typer.Typer(rich_markup_mode=None)

_BENCHMARKS = ("dlc-bench", "questions", "videorefer-d", "gar-simple", "gar-detailed", "plm-rcap", "plm-rdcap")


@app.command()
@long_work("the numbers")
def captions(
    gt: Annotated[Path | None, typer.Option(help="References by key, or the file or folder of --benchmark.")] = None,
    pred: Annotated[Path | None, typer.Option(help="Captions by key.")] = None,
    judged: Annotated[
        list[Path] | None, typer.Option(help="Judged file to count; give several to compare them.", show_default=False)
    ] = None,
    metrics: Annotated[
        list[str], typer.Option("--metrics", help="Caption metrics, comma-separated: cider, meteor, rouge, or none.")
    ] = ["cider,meteor,rouge"],  # noqa: B006 - typer copies it
    sentence_model: Annotated[
        str | None, typer.Option(help="Model of sentence-transformers, for the cosine of embeddings.")
    ] = None,
    bert_model: Annotated[str | None, typer.Option(help="Encoder of transformers, for BERTScore.")] = None,
    bert_layer: Annotated[int | None, typer.Option(help="Its layer. Default: the one papers use, or the last.")] = None,
    clip_model: Annotated[str | None, typer.Option(help="CLIP-like model, for CLIPScore and RefCLIPScore.")] = None,
    regions: Annotated[Path | None, typer.Option(help="COCO file of the regions' masks, for --clip-model.")] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the pictures, for --clip-model, or for a judge that looks at them.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="Device of these models. Default: a GPU, else the CPU.")] = None,
    benchmark: Annotated[str | None, typer.Option(help=f"Judged benchmark: {', '.join(_BENCHMARKS)}.")] = None,
    judge: Annotated[str | None, typer.Option(help="Model that judges: Hub name, folder, or a server's name.")] = None,
    engine: options.EngineFlag = None,
    server: Annotated[
        str | None, typer.Option(help="Address of the judge's server (http://host:8000/v1), for engine openai.")
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="Prompt of the judge, a file. Default: the benchmark's.")] = None,
    repeat: Annotated[int, typer.Option(help="Judgements of every question, for their spread.")] = 1,
    temperature: Annotated[float, typer.Option(help="Temperature of the judge.")] = 0.0,
    free_answers: Annotated[
        bool, typer.Option("--free-answers", help="Do not hold the judge to a JSON schema.")
    ] = False,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of answers. Default: capgen's in the user's cache.")
    ] = None,
    gpus: Annotated[int, typer.Option(help="GPUs of the judge's engine; 0 runs on the CPU.")] = 0,
    set_: options.SetFlag = None,
    out: OutFlag = None,
    json_: AsJsonFlag = False,
) -> None:
    """Score captions of regions, without tracking.

    Captions are compared by key with references, a judge answers questions about them (--benchmark, --judge), or
    answers that a judge has given are counted (--judged). docs/evaluation.md explains all three.
    """
    from capgen.dataset.files import write_whole
    from capgen.dataset.lock import exclusive_file
    from capgen.evaluation.region_captions.references import ScoringModels

    with exclusive_file(out) if out else nullcontext():
        if judged and not (gt or pred or benchmark or judge):
            found, lines = _judged(judged)
        elif benchmark or judge:
            flags = {"sampling.temperature": temperature, "engine.options.base_urls": server}
            name = engine or ("openai" if server else "vllm")
            options_ = _JudgeFlags(_benchmark(benchmark), gt, pred, images, prompt, repeat, not free_answers, cache)
            found, lines = options_.run(_judge(judge, name, set_ or (), flags, gpus))
        elif pred and not judged:
            models = ScoringModels(sentence_model, bert_model, bert_layer, clip_model, regions, images, device)
            found = _against_references(gt, pred, metrics, models)
            lines = _reference_lines(found)
        else:
            raise UserError("nothing to score", "give --gt and --pred, --benchmark and --judge, or --judged alone")
        text = json.dumps(found, indent=2)
        if out:
            write_whole(out, text.encode() + b"\n")
    echo(text if json_ else "\n".join(lines))


def _judged(files: Sequence[Path]) -> tuple[dict[str, Any], list[str]]:
    """What judged files say, and why they must not be compared where they must not."""
    from capgen.evaluation.region_captions.judged_files import score_judged
    from capgen.evaluation.region_captions.judging.scores import comparison_warnings

    scores = [score_judged(file) for file in files]
    warnings = comparison_warnings(scores)
    lines = [line for one in scores for line in one.lines()] + [f"warning: {one}" for one in warnings]
    if len(scores) == 1:
        return scores[0].as_json(), lines
    return {"scores": [one.as_json() for one in scores], "warnings": warnings}, lines


def _benchmark(name: str | None) -> str:
    if name is None:
        raise UserError("a judge needs something to judge", f"give --benchmark: {', '.join(_BENCHMARKS)}")
    if name not in _BENCHMARKS:
        raise UnknownName("--benchmark", name, _BENCHMARKS)
    return name


def _judge(model: str | None, engine: str, assignments: Sequence[str], flags: dict[str, Any], gpus: int) -> Judge:
    from capgen.cli.evaluation.engine_judge import EngineJudge

    if model is None and engine != "echo":
        raise UserError("nobody judges", "give --judge MODEL, with --server ADDRESS where a server runs it")
    return EngineJudge.of(model or engine, engine, assignments, flags, gpus)


@dataclass(frozen=True, slots=True)
class _JudgeFlags:
    """The flags of a judged benchmark."""

    name: str
    gt: Path | None
    pred: Path | None
    images: Path | None
    prompt: str | None
    repeat: int
    structured: bool
    cache: Path | None

    def run(self, judge: Judge) -> tuple[dict[str, Any], list[str]]:
        """Judge, with a bar on the terminal."""
        from capgen.evaluation.region_captions.benchmarks.base import BenchmarkFiles
        from capgen.evaluation.region_captions.judged_benchmarks import judge_captions
        from capgen.evaluation.region_captions.judging.cache import JudgementCache, usual_folder

        if self.pred is None:
            raise UserError("there are no captions to judge", "give --pred")
        if self.repeat < 1:
            raise UserError(f"--repeat {self.repeat} is no number of judgements", "give 1 or more")
        console = progress_terminal()
        columns = (TextColumn("judging"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with (
            JudgementCache(self.cache or usual_folder(), judge.identity) as cache,
            Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
        ):
            task, steps = progress.add_task("judging", total=None), StepLog()

            def tell(done: int, total: int) -> None:
                progress.update(task, completed=done, total=total)
                steps(f"judged {done:,} of {total:,}")

            scores: JudgedScores = judge_captions(
                self.name,
                BenchmarkFiles(self.gt, self.pred, self.images),
                judge,
                cache,
                prompt=self.prompt,
                repeat=self.repeat,
                structured=self.structured,
                progress=tell,
            )
        return scores.as_json(), scores.lines()


def _reference_lines(found: dict[str, Any]) -> list[str]:
    lines = [f"{key} {value:.4f}" for key, value in found["values"].items() if value is not None]
    named = [f"{score} by {model}" for score, model in found["models"].items()]
    return [f"regions {found['regions']:,}", *lines, *(f"- {note}" for note in [*named, *found["notes"]])]


def _against_references(gt: Path | None, pred: Path, metrics: list[str], models: ScoringModels) -> dict[str, Any]:
    """Scores against references, with the programs that the metrics need."""
    from capgen.evaluation.evaluate import metrics_of
    from capgen.evaluation.metrics.text.java_metrics import scorers
    from capgen.evaluation.region_captions.references import score_regions

    names = metrics_of(metrics) if gt else ()
    programs, missing = scorers(names)
    try:
        found = asdict(score_regions(gt, pred, names, programs, models))
    finally:
        for program in programs.values():
            program.close()
    return found | {"notes": [*found["notes"], *missing]}
