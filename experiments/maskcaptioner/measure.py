"""What a trained model is worth on videos it has never seen: CHOTA by both protocols, and what its captions get right.

Run ``python -m experiments.maskcaptioner.measure --model DIR --world DIR --out FILE.json``; ``--world`` is a sample
world of another seed than the model's. A track counts as found where a predicted one covers it with a mask IoU of a
half or more over all frames together; the pairing is one to one, the best in sum.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco
from scipy.optimize import linear_sum_assignment

from capgen.evaluation.evaluate import Options, evaluate
from capgen.evaluation.reading.files import PredictionFile, TruthFile, videos
from capgen.evaluation.reading.tracks import Detection, Id, Notes, VideoTracks
from capgen.evaluation.reporting.report import as_json
from capgen.evaluation.sample_facts import ATTRIBUTES, read_facts, score
from capgen.text import normal
from experiments.maskcaptioner.worlds import UnseenVideos, write_truth

MATCH_IOU = 0.5
_KEPT = ("CHOTA", "DetA", "AssA", "CapA", "LocA", "HOTA", "AP", "AP50", "AP75", "AR10", "protocol_version")
_DRAWS = 500


def predict_all(model: Any, test: UnseenVideos, file: Path, *, captions: bool = True) -> float:
    """Write a model's tracks on every test video as YouTube-VIS results; frames a second."""
    from capgen.maskcaptioner.inference.frames import open_frames
    from capgen.maskcaptioner.inference.stream import Stream
    from capgen.maskcaptioner.predict import annotation, find_tracks

    rows: list[dict[str, Any]] = []
    frames, begun = 0, time.monotonic()
    for video, folder in test.folders.items():
        found = find_tracks(open_frames(folder), Stream(model, captions=captions), model.config.clip_frames)
        rows += [annotation(track, found.frames, video) for track in found.tracks]
        frames += found.frames
    rate = frames / (time.monotonic() - begun)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(rows), encoding="utf-8")
    return rate


def measure(test: UnseenVideos, predictions: Path, *, captions: bool = True) -> dict[str, Any]:
    """The scores of predictions.

    The model has filtered its tracks already, so every one of them counts. CapA is by CIDEr alone, which needs no Java.
    """
    metrics = ("cider",) if captions else ()
    # both, since `capgen eval tracks` would ask for the same
    options = Options(iou="mask", protocols=("clean", "official"), threshold=0.0, metrics=metrics)
    whole = as_json(evaluate(test.truth, predictions, options), draws=_DRAWS)
    found: dict[str, Any] = {}
    for protocol in options.protocols:
        values = whole[protocol]
        found[protocol] = {name: values[name] for name in _KEPT if values.get(name) is not None}
        found[protocol]["intervals"] = {k: v for k, v in values.get("intervals", {}).items() if k in _KEPT}
    return found | {"tracks": match_tracks(test, predictions, captions=captions)}


def match_tracks(test: UnseenVideos, predictions: Path, *, captions: bool = True) -> dict[str, Any]:
    """Recall and precision of whole tracks, and what the captions of the matched ones say of each attribute."""
    truth = TruthFile(test.truth)
    pairs: list[tuple[str, str]] = []
    true, predicted, exact = 0, 0, 0
    for video in videos(truth, PredictionFile(predictions, truth), "mask", Notes()):
        own, found = _tracks(video.truth), _tracks(video.predictions)
        true, predicted = true + len(own), predicted + len(found)
        for mine, theirs in _matches(video).items():
            pairs.append((test.keys[int(mine)], found[theirs][0].caption))
            exact += normal(own[mine][0].caption) == normal(found[theirs][0].caption)
    result: dict[str, Any] = {
        "true": true,
        "predicted": predicted,
        "matched": len(pairs),
        "recall": len(pairs) / max(1, true),
        "precision": len(pairs) / max(1, predicted),
    }
    if captions and pairs:
        scored = score(pairs, read_facts(test.facts))
        result |= {name: scored.attributes[name].as_json() for name in ATTRIBUTES}
        result["whole_caption"] = exact / len(pairs)
    return result


def _tracks(side: tuple[Detection, ...]) -> dict[Id, list[Detection]]:
    tracks: dict[Id, list[Detection]] = {}
    for one in side:
        tracks.setdefault(one.track, []).append(one)
    return tracks


def _matches(video: VideoTracks) -> dict[Id, Id]:
    """Predicted by true track, one to one."""
    own, found = _tracks(video.truth), _tracks(video.predictions)
    table = np.array([[_iou(mine, theirs) for theirs in found.values()] for mine in own.values()])
    if not table.size:
        return {}
    near: NDArray[np.float64] = np.where(table >= MATCH_IOU, table, 0.0)
    mine_ids, their_ids = list(own), list(found)
    rows, columns = linear_sum_assignment(-near)
    return {mine_ids[i]: their_ids[j] for i, j in zip(rows, columns, strict=True) if near[i, j] > 0}


def _iou(mine: list[Detection], theirs: list[Detection]) -> float:
    """Pixels that both cover over pixels that either covers, in all frames together."""
    other = {one.frame: one for one in theirs}
    both = [(one.mask, other[one.frame].mask) for one in mine if one.frame in other]
    shared = sum(float(coco.area(coco.merge([_bare(a), _bare(b)], intersect=True))) for a, b in both)
    total = _pixels(mine) + _pixels(theirs) - shared
    return shared / total if total else 0.0


def _bare(mask: Mapping[str, Any] | None) -> dict[str, Any]:
    assert mask is not None
    return {"size": mask["size"], "counts": mask["counts"]}


def _pixels(side: list[Detection]) -> float:
    return sum(float(coco.area(_bare(one.mask))) for one in side)


def sentence(result: Mapping[str, Any]) -> str:
    """The most important numbers in a line."""
    clean, tracks = result["clean"], result["tracks"]
    parts = [f"{name} {clean[name]:.3f}" for name in ("CHOTA", "DetA", "AssA", "CapA") if name in clean]
    parts += [f"recall {tracks['recall']:.3f}"]
    rates = {name: tracks[name]["rate"] for name in ATTRIBUTES if name in tracks}
    return ", ".join(parts + [f"{name} {rate:.3f}" for name, rate in rates.items() if rate is not None])


def main() -> None:
    """Measure one model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a trained model's folder, a checkpoint's `model`, or `sample`")
    parser.add_argument("--world", type=Path, required=True, help="a sample world with videos")
    parser.add_argument("--out", type=Path, required=True, help="JSON; truth and predictions are written beside it")
    parser.add_argument("--device", default=None)
    parser.add_argument("--threads", type=int, default=0, help="of PyTorch; 0 leaves its default")
    options = parser.parse_args()
    if options.threads:
        import torch

        torch.set_num_threads(options.threads)
    from capgen.maskcaptioner.inference.load import open_model

    test = write_truth(options.world, options.out.with_suffix(".truth.json"))
    predictions = options.out.with_suffix(".predictions.json")
    rate = predict_all(open_model(options.model, options.device), test, predictions)
    result = measure(test, predictions) | {"frames_per_s": rate}
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(sentence(result))


if __name__ == "__main__":
    main()
