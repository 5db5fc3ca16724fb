"""Peak memory of ``capgen predict`` on 1,000 frames beside 100: clips stream, so it must hardly grow.

    python -m benchmarks.predict_memory [--frames 100 1000] [--height 240 --width 320]

Each length runs in a process of its own on a generated mp4 of moving squares, with a random MaskCaptioner of the
``sample`` preset and a threshold low enough that tracks, masks and captions are made; the peak is that of resident
memory. The baseline decodes the same video into a list, which is what streaming replaces.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import machine, save

GOAL = 1.2


def write_video(path: Path, frames: int, height: int, width: int) -> None:
    import av

    rng = np.random.default_rng(0)
    ground = rng.integers(60, 120, (height // 8, width // 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"preset": "ultrafast"})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for index in range(frames):
            picture = ground.copy()
            for number in range(4):
                x = int((width - 40) * (0.5 + 0.5 * np.sin(index / 40 + number)))
                y = number * (height - 40) // 4
                picture[y : y + 40, x : x + 40] = (60 * number, 255 - 50 * number, 120)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def save_model(folder: Path) -> None:
    from tests.maskcaptioner.random_model import save_random

    save_random(folder)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def one(kind: str, video: Path, model: Path, out: Path) -> None:
    """What a child process does; prints its numbers."""
    start = time.perf_counter()
    if kind == "predict":
        from rich.console import Console

        from capgen.cli.maskcaptioner import PredictRequest, predict

        found, _ = predict(PredictRequest(video, str(model), out, threshold=0.05, max_tracks=6), Console(stderr=True))
        count, tracks = found.frames, len(found.tracks)
    else:
        from capgen.maskcaptioner.inference.frames import open_frames
        from capgen.maskcaptioner.inference.load import open_model

        open_model(str(model))
        count, tracks = len(list(open_frames(video))), 0
    print(json.dumps({"frames": count, "tracks": tracks, "peak MiB": peak_mib(), "s": time.perf_counter() - start}))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--height", type=int, default=240)
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--one", nargs=4, metavar=("KIND", "VIDEO", "MODEL", "OUT"))
    args = parser.parse_args()
    if args.one:
        one(args.one[0], *map(Path, args.one[1:]))
        return
    before = machine()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_model(folder / "model")
        for kind in ("predict", "all frames in a list"):
            for frames in args.frames:
                video = folder / f"{frames}.mp4"
                if not video.exists():
                    write_video(video, frames, args.height, args.width)
                command = [
                    sys.executable,
                    "-m",
                    "benchmarks.predict_memory",
                    "--one",
                    kind,
                    str(video),
                    str(folder / "model"),
                    str(folder / "out"),
                ]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                row = {"what": kind, **json.loads(done.stdout.splitlines()[-1])}
                first = next((r["peak MiB"] for r in rows if r["what"] == kind), row["peak MiB"])
                rows.append(row | {"times the shortest": row["peak MiB"] / first})
    worst = max(row["times the shortest"] for row in rows if row["what"] == "predict")
    verdict = "met" if worst <= GOAL else "missed"
    note = f"{args.width}x{args.height} pixels. Goal: at most {GOAL} times the memory of the shortest: {verdict}."
    save("predict_memory", rows, note, before)


if __name__ == "__main__":
    main()
