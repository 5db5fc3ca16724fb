"""The commands of `writing.py`: how each is called twice, so that one output differs from the other."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.stress.fuzz_inputs import eval_inputs


@dataclass(frozen=True, slots=True)
class WritingCommand:
    """A command that writes below a folder.

    Args:
        call: what follows ``capgen``, for the inputs' folder, the folder to write to, and whether it is the old call.
        over: whether it may write over an older output.
        share: of the trials; slow commands have fewer.
        differs: names of files that two calls do not make alike.
        once: it refuses what it has finished.
        look: what is wrong with what is there, beside single files.
    """

    name: str
    call: Callable[[Path, Path, bool], list[str]]
    over: bool = True
    share: float = 1.0
    differs: tuple[str, ...] = ()
    once: bool = False
    look: Callable[[Path], str | None] = lambda _: None

    def arguments(self, base: Path, place: Path, *, old: bool) -> list[str]:
        """The command line."""
        return self.call(base, place, old)

    def may_differ(self, name: str, data: bytes) -> bool:
        """Whether a file's bytes say nothing: they are times, or the folder says that it is unfinished."""
        return any(name.endswith(one) for one in self.differs) and (bool(data) or self.once or name.endswith(".csv"))

    def alike(self, name: str, data: bytes, known: bytes) -> bool:
        """Whether two calls have made the same file: tensors by their values, stored in whatever order."""
        return data == known or (name.endswith(".pt") and bool(data) and _equal(_tensors(data), _tensors(known)))

    def trouble(self, place: Path) -> str | None:
        """What is wrong with what is there."""
        return self.look(place)


def _tensors(data: bytes) -> object:
    import torch

    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _equal(a: object, b: object) -> bool:
    import torch

    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(_equal, a, b))
    return bool(a == b)


def prepare(base: Path) -> None:
    """Import what commands import, and make the inputs in a process of its own: a fork has none of torch's threads."""
    import accelerate  # noqa: F401
    import matplotlib.backends.backend_agg  # noqa: F401
    import torch.utils.data  # noqa: F401
    import transformers  # noqa: F401

    import capgen.cli.main
    import capgen.cli.training
    import capgen.evaluation.evaluate
    import capgen.exporting.export
    import capgen.maskcaptioner.inference.load
    import capgen.maskcaptioner.training.loop
    import capgen.pipeline.gallery.export
    import capgen.report.write  # noqa: F401

    pid = os.fork()
    if pid == 0:
        try:
            _inputs(base)
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 - the parent ends
            os.write(2, f"the inputs cannot be made: {type(error).__name__}: {error}\n".encode())
            os._exit(1)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        sys.exit("no inputs")


def _inputs(base: Path) -> None:
    from tests.maskcaptioner.films import write_video
    from tests.maskcaptioner.random_model import save_random
    from tests.maskcaptioner.worlds import make_releases, training_file

    make_releases(base)
    training_file(base)
    save_random(base / "model")
    write_video(base / "clip.mp4", 12, fps=8)
    eval_inputs(base)


def _predict(base: Path, place: Path, old: bool) -> list[str]:
    found = ["predict", str(base / "clip.mp4"), "--model", str(base / "model"), "--out", str(place / "out")]
    return [*found, "--device", "cpu", "--threshold", "0.0", "--max-tracks", "2" if old else "3"]


def _tracks(base: Path, place: Path, old: bool) -> list[str]:
    files = ["--gt", str(base / "masks" / "gt.json"), "--pred", str(base / "masks" / "pred.json")]
    files += ["--out", str(place / "scores.json"), "--html", str(place / "page.html"), "--metrics", "cider"]
    return ["eval", "tracks", *files, "--bootstrap", "0" if old else "20"]


def _captions(base: Path, place: Path, old: bool) -> list[str]:
    files = ["--gt", str(base / "captions" / "gt.json"), "--pred", str(base / "captions" / "pred.json")]
    return ["eval", "captions", *files, "--out", str(place / "scores.json"), "--metrics", "rouge" if old else "cider"]


def _export(form: str, *more: str) -> Callable[[Path, Path, bool], list[str]]:
    def call(base: Path, place: Path, old: bool) -> list[str]:
        root = ["--root", str(base / "world" / "lvis")]
        return ["export", str(base / "images"), str(place / ("old" if old else "dest")), "--to", form, *root, *more]

    return call


def _gallery(base: Path, place: Path, old: bool) -> list[str]:
    more = ["--limit", "2"] if old else []
    return [
        "gallery",
        str(base / "images"),
        "--root",
        str(base / "world" / "lvis"),
        "--export",
        str(place / "page"),
        *more,
    ]


def _page_shows(place: Path) -> str | None:
    """The page's pictures are there."""
    page = place / "page" / "index.html"
    text = page.read_text("utf-8") if page.is_file() else ""
    names = [part.split('"')[0] for part in text.split('src="pictures/')[1:]]
    gone = [name for name in names if not (place / "page" / "pictures" / name).is_file()]
    return f"the page shows {gone[0]}, which is not there" if gone else None


def _report(base: Path, place: Path, old: bool) -> list[str]:
    return ["report", str(base / "images"), "--to", str(place / "report"), *(["--price", "2"] if old else [])]


def _preview(base: Path, place: Path, old: bool) -> list[str]:
    found = ["preview", "--dataset", "lvis", "--root", str(base / "world" / "lvis"), "--split", "train"]
    return [*found, "-n", "2" if old else "5", "--out", str(place / "page.html")]


def _reviews(base: Path, place: Path, old: bool) -> list[str]:
    more = ["--filter", "q=1"] if old else []
    return [
        "reviews",
        str(base / "images"),
        "--root",
        str(base / "world" / "lvis"),
        "--to",
        "cvat",
        "--folder",
        str(place / "cvat"),
        *more,
    ]


def _sample(base: Path, place: Path, old: bool) -> list[str]:
    return ["sample", str(place / ("old" if old else "world")), "--images", "6", "--videos", "1", "--seed", "3"]


def _segment(base: Path, place: Path, old: bool) -> list[str]:
    found = ["segment", str(base / "clip.mp4"), "--model", str(base / "model"), "--out", str(place / "out")]
    return [*found, "--threshold", "0.0", "--every", "2", "--max-objects", "1" if old else "3"]


def _train(base: Path, place: Path, old: bool) -> list[str]:
    found = ["train", str(base / "tiny.toml"), "--out", str(place / ("old" if old else "out"))]
    found += ["--data", str(base / "images"), "--data", str(base / "videos"), "--root", str(base / "world" / "lv-vis")]
    for setting in ("stages.images.steps=2", "stages.clips.steps=2", "stages.clips.accumulate=1"):
        found += ["--set", setting]
    return found


def _training_is_whole(place: Path) -> str | None:
    """Each checkpoint that has its name has all its files, the curves are a picture, and no row of a table is cut."""
    from PIL import Image

    out = place / "out"
    if (out / "loss.png").is_file():
        Image.open(out / "loss.png").verify()
    for table in (out / "logs").glob("*.csv"):
        head, *rows = table.read_text("utf-8").splitlines()
        cut = [row for row in rows[:-1] if row.count(",") != head.count(",")]
        if cut or not head.startswith("step,"):
            return f"{table.name} holds {(cut or [head])[0]!r}"
    for folder in (place / "out" / "checkpoints").glob("step-*"):
        if folder.suffix != ".part":
            names = {path.name for path in folder.rglob("*") if path.is_file()}
            missing = {"state.pt", "rng-0.pt", "model.safetensors", "config.json"} - names
            empty = [path.name for path in folder.rglob("*") if path.is_file() and not path.stat().st_size]
            if missing or empty:
                return f"{folder.name} lacks {sorted(missing)}, and {empty} are empty"
    return None


COMMANDS = {
    command.name: command
    for command in (
        WritingCommand("eval tracks", _tracks),
        WritingCommand("eval captions", _captions),
        WritingCommand("export coco", _export("coco", "--pictures", "copy"), over=False),
        WritingCommand("export webdataset", _export("webdataset"), over=False),
        WritingCommand("export llava", _export("llava", "--pictures", "copy"), over=False),
        WritingCommand("gallery --export", _gallery, look=_page_shows),
        WritingCommand("report", _report),
        WritingCommand("preview", _preview),
        WritingCommand("reviews --to", _reviews),
        WritingCommand("sample", _sample, over=False, once=True, differs=("unfinished.json", ".jpg")),
        WritingCommand("predict", _predict, share=0.5),
        WritingCommand("segment", _segment, share=0.5),
        WritingCommand("train", _train, over=False, share=0.5, differs=(".csv", "loss.png"), look=_training_is_whole),
    )
}
