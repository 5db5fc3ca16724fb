"""How fast the evaluator is, and how much memory it takes: beside TrackEval, and at the size of LV-VISCap.

    python -m benchmarks.evaluator.eval_speed [--videos 2000]

Three questions, on generated tracks with masks at 720p:
- HOTA on the same boxes: capgen beside TrackEval (PyPI trackeval), in one process from boxes in memory to numbers, and
  each in a process of its own from files to numbers;
- time and memory of a mask evaluation (CHOTA under both protocols, CIDEr, mask AP) as the number of videos grows;
- the time of a whole evaluation (CHOTA under both protocols, mask AP) at the size of LV-VISCap's validation split.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from pycocotools import mask as coco

from benchmarks.common import machine

HEIGHT, WIDTH, FRAMES, TRACKS = 720, 1280, 40, 8
WORDS = [
    "a",
    "the",
    "small",
    "large",
    "red",
    "grey",
    "dog",
    "person",
    "car",
    "runs",
    "stands",
    "near",
    "behind",
    "grass",
    "road",
    "wall",
    "slowly",
]


def ellipse(x: float, y: float, w: float, h: float) -> dict[str, Any]:
    """A mask of 24 corners, as a COCO RLE with counts as text."""
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    points = np.stack([x + w / 2 * (1 + np.cos(angle)), y + h / 2 * (1 + np.sin(angle))], 1)
    corners = points.clip(0, (WIDTH - 1, HEIGHT - 1)).ravel().tolist()
    found = coco.frPyObjects([corners], HEIGHT, WIDTH)[0]
    return {"size": found["size"], "counts": found["counts"].decode()}


def paths(rng: np.random.Generator, tracks: int, frames: int) -> np.ndarray:
    """Boxes that wander, [tracks, frames, 4]."""
    size = rng.uniform(60, 260, (tracks, 1, 2))
    start = rng.uniform(0, (WIDTH - 300, HEIGHT - 300), (tracks, 2))[:, None]
    moved = start + np.cumsum(rng.normal(0, 4, (tracks, frames, 2)), axis=1)
    boxes = [moved.clip(0, (WIDTH - 270, HEIGHT - 270)), np.broadcast_to(size, moved.shape)]
    found: np.ndarray = np.round(np.concatenate(boxes, 2), 2)
    return found


def coco_files(folder: Path, videos: int, *, masks: bool) -> tuple[Path, Path]:
    """Truth and predictions of ``videos`` x 40 frames x 8 tracks as COCO files."""
    rng = np.random.default_rng(0)
    gt, pred = folder / f"gt_{videos}_{masks}.json", folder / f"pred_{videos}_{masks}.json"
    images = [
        {"id": v * 100 + f, "video_id": v, "height": HEIGHT, "width": WIDTH}
        for v in range(videos)
        for f in range(FRAMES)
    ]
    with gt.open("w") as truth, pred.open("w") as found:
        truth.write(
            json.dumps({"images": images, "categories": [{"id": 1, "name": "object"}]})[:-1] + ', "annotations": ['
        )
        found.write("[")
        first = True
        for v in range(videos):
            own = paths(rng, TRACKS, FRAMES)
            other = (own + rng.normal(0, 6, own.shape)).clip(1).round(2)
            captions = [" ".join(rng.choice(WORDS, 12)) for _ in range(TRACKS)]
            for t in range(TRACKS):
                for f in range(FRAMES):
                    for out, boxes in ((truth, own), (found, other)):
                        row = {
                            "image_id": v * 100 + f,
                            "track_id": t,
                            "category_id": 1,
                            "score": 0.9,
                            "caption": captions[t],
                        }
                        row |= {"segmentation": ellipse(*boxes[t, f])} if masks else {"bbox": boxes[t, f].tolist()}
                        out.write(("" if first else ",") + json.dumps(row))
                    first = False
        truth.write("]}")
        found.write("]")
    return gt, pred


def mot_files(folder: Path, gt: Path, pred: Path) -> Path:
    """The same boxes in the form that TrackEval reads."""
    root = folder / "mot"
    rows: dict[tuple[str, int], list[str]] = {}
    for kind, many in (
        ("gt", json.loads(gt.read_text())["annotations"]),
        ("pred", json.loads(pred.read_text())),
    ):
        for one in many:
            video, frame = divmod(one["image_id"], 100)
            box = ",".join(map(str, one["bbox"]))
            rows.setdefault((kind, video), []).append(f"{frame + 1},{one['track_id'] + 1},{box},1,1,1,1")
    for (kind, video), lines in rows.items():
        path = (
            root / "gt" / f"v{video:04d}" / "gt" / "gt.txt"
            if kind == "gt"
            else root / "trackers" / "t" / f"v{video:04d}.txt"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines))
    return root


def tao_files(folder: Path, gt: Path, pred: Path) -> Path:
    """The same files in the form that TrackEval's TAO reader takes: one JSON file a side, as capgen reads them."""
    root = folder / "tao"
    document = json.loads(gt.read_text())
    numbers: dict[tuple[int, int], int] = {}
    for one in document["images"]:
        one["frame_index"] = one["id"] % 100
    for one in document["annotations"]:
        video = one["image_id"] // 100
        one |= {"video_id": video, "track_id": numbers.setdefault((video, one["track_id"]), len(numbers))}
    labels: dict[str, list[int]] = {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    videos = sorted({one["video_id"] for one in document["images"]})
    document["videos"] = [{"id": v, "name": f"v{v:05d}", **labels} for v in videos]
    document["tracks"] = [{"id": n, "video_id": v, "category_id": 1} for (v, _), n in numbers.items()]
    (root / "gt").mkdir(parents=True)
    (root / "trackers" / "t" / "data").mkdir(parents=True)
    (root / "gt" / "gt.json").write_text(json.dumps(document))
    (root / "trackers" / "t" / "data" / "pred.json").write_bytes(pred.read_bytes())
    return root


def track_files(folder: Path, videos: int, tracks: int) -> tuple[Path, Path]:
    """LV-VIS's form: ``tracks`` masks tracks over ``videos`` videos of 40 frames, and predictions near them."""
    rng = np.random.default_rng(0)
    per_video = np.bincount(rng.integers(0, videos, tracks), minlength=videos)
    annotations: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for v in range(videos):
        own = paths(rng, int(per_video[v]), FRAMES)
        for track in own:
            category = int(rng.integers(1, 1197))
            masks = [ellipse(*box) for box in track]
            near = [ellipse(*(box + rng.normal(0, 5, 4)).clip(2)) for box in track]
            base = {"video_id": v, "category_id": category, "caption": " ".join(rng.choice(WORDS, 14))}
            areas = [float(coco.area({**m, "counts": m["counts"].encode()})) for m in masks]
            annotations.append(
                {**base, "id": len(annotations) + 1, "iscrowd": 0, "segmentations": masks, "areas": areas}
            )
            found.append({**base, "score": float(rng.random()), "segmentations": near})
    categories = [{"id": i, "name": str(i), "partition": i % 4} for i in range(1, 1197)]
    sizes = [{"id": v, "height": HEIGHT, "width": WIDTH, "length": FRAMES} for v in range(videos)]
    gt, pred = folder / "lvvis_gt.json", folder / "lvvis_pred.json"
    gt.write_text(json.dumps({"videos": sizes, "annotations": annotations, "categories": categories}))
    pred.write_text(json.dumps(found))
    return gt, pred


def job_capgen(gt: str, pred: str, protocols: str, metrics: str) -> dict[str, Any]:
    """One evaluation by capgen."""
    from capgen.evaluation.evaluate import Options, evaluate
    from capgen.evaluation.metrics.protocols import Protocol

    names = tuple(metrics.split(",")) if metrics != "none" else ()
    chosen = cast("tuple[Protocol, ...]", tuple(protocols.split(",")))
    options = Options(protocols=chosen, threshold=0.0, metrics=names)
    start, cpu = time.perf_counter(), time.process_time()
    result = evaluate(Path(gt), Path(pred), options)
    taken, worked = time.perf_counter() - start, time.process_time() - cpu
    wanted = ("HOTA_mean", "HOTA", "CHOTA", "CapA", "AP")
    return {"seconds": taken, "cpu": worked, "values": {name: result.scores[0].values.get(name) for name in wanted}}


def job_trackeval(root: str, videos: str) -> dict[str, Any]:
    """One evaluation by TrackEval of its text files, a file a video: HOTA alone, one process, no preprocessing."""
    dataset = {
        "TRACKER_SUB_FOLDER": "",
        "SKIP_SPLIT_FOL": True,
        "DO_PREPROC": False,
        "SEQ_INFO": {f"v{v:04d}": FRAMES for v in range(int(videos))},
    }
    return _trackeval(root, "MotChallenge2DBox", "pedestrian", dataset)


def job_trackeval_json(root: str) -> dict[str, Any]:
    """One evaluation by TrackEval of the JSON files that capgen reads: HOTA alone, one process."""
    return _trackeval(root, "TAO", "object", {})


def _trackeval(root: str, kind: str, name: str, options: dict[str, Any]) -> dict[str, Any]:
    import trackeval

    dataset = {"GT_FOLDER": f"{root}/gt", "TRACKERS_FOLDER": f"{root}/trackers", "OUTPUT_FOLDER": f"{root}/out"}
    options = {**dataset, "TRACKERS_TO_EVAL": ["t"], "PRINT_CONFIG": False, **options}
    quiet = dict.fromkeys(("PRINT_RESULTS", "PRINT_CONFIG", "TIME_PROGRESS", "OUTPUT_SUMMARY", "PLOT_CURVES"), False)
    quiet |= {"OUTPUT_DETAILED": False, "OUTPUT_EMPTY_CLASSES": False, "USE_PARALLEL": False}
    start, cpu = time.perf_counter(), time.process_time()
    evaluator = trackeval.Evaluator(quiet)
    data = getattr(trackeval.datasets, kind)(options)
    results, _ = evaluator.evaluate([data], [trackeval.metrics.HOTA({"PRINT_CONFIG": False})])
    taken, worked = time.perf_counter() - start, time.process_time() - cpu
    hota = results[kind]["t"]["COMBINED_SEQ"][name]["HOTA"]["HOTA"]
    return {"seconds": taken, "cpu": worked, "values": {"HOTA_mean": float(np.mean(hota)), "HOTA": float(hota[9])}}


def job_core(gt: str, pred: str) -> dict[str, Any]:
    """Both in one process, from the same boxes in memory to HOTA at 19 thresholds; CPU seconds, the best of three."""
    import trackeval
    from trackeval.datasets._base_dataset import _BaseDataset

    from capgen.evaluation.metrics.hota import ALPHAS, combine, count, match
    from capgen.evaluation.metrics.protocols import Kept, sequence_of
    from capgen.evaluation.reading.files import PredictionFile, TruthFile, videos
    from capgen.evaluation.reading.tracks import Notes

    truth = TruthFile(Path(gt))
    all_videos = list(videos(truth, PredictionFile(Path(pred), truth), "box", Notes()))
    metric = trackeval.metrics.HOTA({"PRINT_CONFIG": False})

    def ours() -> float:
        counts = []
        for video in all_videos:
            sequence = sequence_of(Kept(video.truth, video.predictions), len(video.frames), np.float64)
            counts.append(count(sequence, match(sequence), ALPHAS, np.float64))
        return float(combine(counts)["HOTA"].mean())

    def by_frame(side: Sequence[Any], frames: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The boxes and the track numbers of each frame, as TrackEval's readers leave them."""
        rows: list[list[Any]] = [[] for _ in range(frames)]
        for one in side:
            rows[one.frame].append(one)
        boxes = [np.array([one.box for one in row]).reshape(-1, 4) for row in rows]
        return boxes, [np.array([one.track for one in row], int) for row in rows]

    arrays = [(by_frame(v.truth, len(v.frames)), by_frame(v.predictions, len(v.frames))) for v in all_videos]

    def theirs() -> float:
        results = {}
        for n, ((own, ids), (other, tracks)) in enumerate(arrays):
            pairs = zip(own, other, strict=True)
            similarity = [_BaseDataset._calculate_box_ious(a, b, box_format="xywh") for a, b in pairs]
            sizes = (sum(map(len, tracks)), sum(map(len, ids)), TRACKS, TRACKS)
            names = ("num_tracker_dets", "num_gt_dets", "num_tracker_ids", "num_gt_ids")
            data: dict[str, Any] = dict(zip(names, sizes, strict=True))
            data |= {"gt_ids": ids, "tracker_ids": tracks, "similarity_scores": similarity}
            results[str(n)] = metric.eval_sequence(data)
        return float(metric.combine_sequences(results)["HOTA"].mean())

    found = {}
    for name, run in (("capgen", ours), ("trackeval", theirs)):
        run()
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            value = run()
            best = min(best, time.process_time() - start)
        found[name] = {"cpu": best, "HOTA_mean": value}
    return found


def alone(job: str, *arguments: object) -> dict[str, Any]:
    """Run a job in a process of its own, and note the most memory it held."""
    command = [sys.executable, "-m", "benchmarks.evaluator.eval_speed", "--job", job, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def measure(videos: int) -> dict[str, Any]:
    found: dict[str, Any] = {"videos": videos, "frames": FRAMES, "tracks": TRACKS, "size": [HEIGHT, WIDTH]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        gt, pred = coco_files(folder, videos, masks=False)
        found["core"] = alone("core", gt, pred)
        found["boxes"] = {"capgen": alone("capgen", gt, pred, "official", "none")}
        found["boxes"]["trackeval"] = alone("trackeval", mot_files(folder, gt, pred), videos)
        found["boxes"]["trackeval_json"] = alone("trackeval_json", tao_files(folder, gt, pred))
        found["memory"] = []
        for n in (videos // 8, videos):
            own, other = coco_files(folder, n, masks=True)
            megabytes = (own.stat().st_size + other.stat().st_size) / 2**20
            done = alone("capgen", own, other, "official,clean", "cider")
            found["memory"].append({"videos": n, "megabytes": megabytes, **done})
            own.unlink()
            other.unlink()
        own, other = track_files(folder, 837, 3700)
        found["lvviscap"] = alone("capgen", own, other, "official,clean", "cider")
    found["machine"] = machine()
    return found


_SHARED = "The cores were shared with other work: CPU seconds compare, seconds on the clock are an upper limit."


def table(found: dict[str, Any]) -> str:
    core, ours, theirs = found["core"], found["boxes"]["capgen"], found["boxes"]["trackeval"]
    same, about = found["boxes"]["trackeval_json"], found["machine"]
    lines = [
        f"# The evaluator's speed: {found['videos']} videos x {FRAMES} frames x {TRACKS} tracks, 720p, generated",
        f"{about['processor']}, {about['cores']} cores, Python {about['python']}; load before: {about['load_before']}.",
        *([_SHARED] if about["load_before"] > about["cores"] else []),
        "",
        "| HOTA of the same boxes | TrackEval | capgen | TrackEval / capgen |",
        "|---|---|---|---|",
        _row("from memory, CPU s (one process, best of 3)", core["trackeval"]["cpu"], core["capgen"]["cpu"]),
        _row("from the same JSON files, CPU s (capgen: protocol official)", same["cpu"], ours["cpu"]),
        _row("from the same JSON files, s on the clock", same["seconds"], ours["seconds"]),
        _row("from the same JSON files, peak memory, MB", same["peak"], ours["peak"], digits=0),
        f"| HOTA, 19 thresholds | {same['values']['HOTA_mean']:.12f} | {ours['values']['HOTA_mean']:.12f} | |",
        _row("TrackEval from text files, one a video: CPU s", theirs["cpu"], ours["cpu"]),
        _row("TrackEval from text files: peak memory, MB", theirs["peak"], ours["peak"], digits=0),
        "",
        "| masks: both protocols, CIDEr, AP | files, MB | CPU s | s on the clock | peak memory, MB |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {m['videos']} videos | {m['megabytes']:.0f} | {m['cpu']:.1f} | {m['seconds']:.1f} | {m['peak']:.0f} |"
        for m in found["memory"]
    ]
    whole = found["lvviscap"]
    lines += [
        "",
        "LV-VISCap's size (837 videos, 3,700 tracks, both protocols, CIDEr, mask AP): "
        f"{whole['cpu']:.1f} CPU s, {whole['seconds']:.1f} s on the clock, {whole['peak']:.0f} MB at the peak.",
    ]
    return "\n".join(lines)


def _row(name: str, theirs: float, ours: float, digits: int = 2) -> str:
    return f"| {name} | {theirs:.{digits}f} | {ours:.{digits}f} | {theirs / ours:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=2000)
    parser.add_argument("--job", nargs="+")
    arguments = parser.parse_args()
    if arguments.job:
        kind, *rest = arguments.job
        jobs: dict[str, Callable[..., dict[str, Any]]]
        jobs = {"capgen": job_capgen, "core": job_core}
        jobs |= {"trackeval": job_trackeval, "trackeval_json": job_trackeval_json}
        done = jobs[kind](*rest)
        # Not getrusage: its peak begins with that of the process that forked this one.
        status = Path("/proc/self/status").read_text()
        done["peak"] = int(status.split("VmHWM:")[1].split()[0]) / 1024
        print(json.dumps(done))
        return
    found = measure(arguments.videos)
    text = table(found)
    print(text)
    results = Path(__file__).resolve().parents[1] / "results"
    results.mkdir(exist_ok=True)
    (results / "eval_speed.json").write_text(json.dumps(found, indent=2) + "\n")
    (results / "eval_speed.md").write_text(text + "\n")


if __name__ == "__main__":
    main()
