"""``capgen eval captions``: captions of regions against references, or the answers of a judge."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from capgen.cli.evaluation.tracks import AsJsonFlag
from capgen.display import echo
from capgen.errors import UserError

if TYPE_CHECKING:
    from capgen.evaluation.region_captions.references import ScoringModels

app = typer.Typer(rich_markup_mode=None)


@app.command()
def captions(
    gt: Annotated[Path | None, typer.Option(help="References: JSON of captions by key.")] = None,
    pred: Annotated[Path | None, typer.Option(help="Captions: JSON, one by key.")] = None,
    judged: Annotated[Path | None, typer.Option(help="DLC-Bench: a file with a judge's answers, to count.")] = None,
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
    images: Annotated[Path | None, typer.Option(help="Folder of the pictures, for --clip-model.")] = None,
    device: Annotated[str | None, typer.Option(help="Device of these models. Default: a GPU, else the CPU.")] = None,
    json_: AsJsonFlag = False,
) -> None:
    """Score captions of regions, without tracking.

    Captions are compared by key with references, or the answers of a judge are counted; docs/evaluation.md has both.
    """
    from capgen.evaluation.region_captions.references import ScoringModels

    if judged and not gt and not pred:
        from capgen.evaluation.region_captions.dlc_bench import score_dlc_bench

        found = asdict(score_dlc_bench(judged))
        lines = [
            f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value:,}" for key, value in found.items()
        ]
    elif pred and not judged:
        models = ScoringModels(sentence_model, bert_model, bert_layer, clip_model, regions, images, device)
        found = _against_references(gt, pred, metrics, models)
        lines = [f"{key} {value:.4f}" for key, value in found["values"].items() if value is not None]
        named = [f"{score} by {model}" for score, model in found["models"].items()]
        lines = [f"regions {found['regions']:,}", *lines, *(f"- {note}" for note in [*named, *found["notes"]])]
    else:
        raise UserError("nothing to score", "give --gt and --pred, or --judged alone")
    echo(json.dumps(found, indent=2) if json_ else "\n".join(lines))


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
