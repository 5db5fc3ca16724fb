"""Exports and imports of a release of LVIS's size: seconds, and the peak of resident memory of each step's process.

    python -m benchmarks.exports.export_memory [--objects 1270141] [--forms official ms-swift ...]

The release is that of ``benchmarks.pack_memory``: 13 objects a picture, masks of a few hundred characters, nine of ten
objects with a caption. ``import`` reads the official JSON that ``official`` wrote. The baseline is pycocotools' own
loader on that JSON, in a process of its own. Goal: every step of capgen under 2 GiB.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import pack_memory
from benchmarks.common import machine, save

OBJECTS = 1_270_141
LIMIT_MIB = 2048
FORMS = ("official", "coco", "youtube-vis", "llava", "ms-swift", "pixelrefer", "jsonl")
NOTE = f"Peak of resident memory of each step's own process. Goal: under {LIMIT_MIB:,} MiB for each step of capgen."


def export(out: Path, form: str) -> dict[str, float]:
    """One form, pictures by reference."""
    from capgen.exporting import FORMATS
    from capgen.exporting.export import ExportRequest, export_release

    dest = out.parent / form
    report = export_release(ExportRequest(out, dest, form, FORMATS.build(form, {}, "option ")))
    return {"captions": report.counts["captions"], "bytes": sum(p.stat().st_size for p in dest.rglob("*.json*"))}


def import_official(out: Path) -> dict[str, float]:
    """The official JSON as a release again."""
    from capgen.pipeline.importing.imports import ImportRequest, import_captions

    report = import_captions(ImportRequest(out.parent / "official", out.parent / "imported"))
    return {"captions": report.kept}


def baseline(out: Path) -> dict[str, float]:
    """What pycocotools makes of the larger of the JSON files."""
    from pycocotools.coco import COCO

    return {"objects": len(COCO(str(out.parent / "coco/annotations/instances_train.json")).anns)}


def child(step: str, out: Path, objects: int) -> None:
    begun = time.perf_counter()
    if step == "make":
        pack_memory.make(out, objects)
        told = pack_memory.pack_release(out)
    elif step == "import":
        told = import_official(out)
    elif step == "pycocotools":
        told = baseline(out)
    else:
        told = export(out, step.removeprefix("export "))
    seconds = time.perf_counter() - begun
    speed = {"seconds": round(seconds, 1), "objects_per_s": round(objects / seconds)}
    print(json.dumps({**speed, "peak_mib": round(pack_memory.peak_mib()), **told}))


def measure(step: str, out: Path, objects: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.exports.export_memory", "--child", step, "--out", str(out)]
    done = subprocess.run([*command, "--objects", str(objects)], check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=OBJECTS)
    parser.add_argument("--forms", nargs="+", default=list(FORMS), choices=FORMS)
    parser.add_argument("--child")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.child:
        child(args.child, args.out, args.objects)
        return
    before = machine()
    results: list[dict[str, float | str]] = []
    with tempfile.TemporaryDirectory() as folder:
        steps = ["make", *(f"export {form}" for form in args.forms), "import", "pycocotools"]
        for step in steps:
            found = measure(step, Path(folder) / "out", args.objects)
            if step != "make":
                results.append({"step": step, "objects": args.objects, **found})
            print(json.dumps(found), flush=True)
    save("export_memory", results, NOTE, before)
    if any(float(row["peak_mib"]) > LIMIT_MIB for row in results if row["step"] != "pycocotools"):
        raise SystemExit(f"a step went over {LIMIT_MIB} MiB")


if __name__ == "__main__":
    main()
