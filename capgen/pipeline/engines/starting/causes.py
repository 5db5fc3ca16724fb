"""Why an engine did not start, from what it and its processes print, and a remedy for what often goes wrong."""

from __future__ import annotations

import errno
import math
import os
import re
import shutil
import signal
import tempfile
from pathlib import Path
from typing import NamedTuple

from capgen.redaction import message

_NO_ROOM = 16 * 2**20
_ERROR = r"(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception)"
_SENTENCE = re.compile(rf"^.*?\b({_ERROR}: .+)$", re.MULTILINE)
_BARE = re.compile(rf"^(?:\(\w[^)]*\)\s)?(?:ERROR\s[^\]]*\]\s)?({_ERROR})$", re.MULTILINE)
"""An error without words, such as MemoryError, behind the prefixes of vLLM's log."""
_BEGINS = "failed to start."
"""vLLM's line before the error that ended one of its processes."""
_POINTER = re.compile(r"initialization failed|check the logs|See stack trace for|See root cause above")
"""Some processes of vLLM only say that another one did not start, or that the cause was printed before."""
_WRAPPED = re.compile(r"^RuntimeError: Worker failed with error '(.+)', please check the stack trace .*$")
"""How vLLM passes on what a worker said."""
_GONE = re.compile(r"Failed core proc\(s\): \{([^}]*)\}")
_EXIT = re.compile(r"'([^']*)': (-?\d+)")

_TIGHTER = "engine.options.args.gpu_memory_utilization"
_HOST_MEMORY = (
    "free memory on this machine, or take a smaller model, fewer engines (--workers) or a smaller "
    "engine.options.cpu_kv_gib"
)
_GPU_MEMORY = (
    "take a smaller or quantized model, more GPUs for each engine (--tensor-parallel 2), a smaller "
    "engine.options.max_num_seqs or max_model_len, and end what else uses the GPU"
)
_COMPILER = (
    "install a C compiler and the headers of Python (gcc, python3-dev), or --set engine.options.args.enforce_eager=true"
)


class KnownCause(NamedTuple):
    """An error that often ends a start.

    Args:
        remedy: what to do about it.
        lasting: another start on this machine ends in the same way.
    """

    pattern: re.Pattern[str]
    remedy: str
    lasting: bool = False


_LASTING = True
_KNOWN: tuple[KnownCause, ...] = tuple(
    KnownCause(re.compile(pattern, re.IGNORECASE), *told)
    for pattern, *told in (
        (
            r"less than desired GPU memory utilization|less than the engine's budget",
            f"end what else uses the GPU (nvidia-smi lists it), or --set {_TIGHTER}=0.8 or less",
        ),
        (
            r"less than requested memory for kv|less than desired CPU memory utilization",
            "free memory on this machine, or lower engine.options.cpu_kv_gib (and VLLM_CPU_KVCACHE_SPACE, if set)",
        ),
        (
            r"larger than the available KV cache|stored in KV cache",
            "--set engine.options.max_model_len=8192 or less; or more memory for it: on the CPU "
            f"engine.options.cpu_kv_gib=4, on a GPU {_TIGHTER}=0.95",
            _LASTING,
        ),
        (
            r"no available memory for the cache blocks",
            f"--set {_TIGHTER}=0.95 where nothing else uses the GPU, or {_GPU_MEMORY}",
            _LASTING,
        ),
        (
            r"CUDA(?: error:)? out of memory|HIP out of memory|CUDA_ERROR_OUT_OF_MEMORY|not enough GPU memory"
            r"|CUBLAS_STATUS_ALLOC_FAILED|OutOfMemoryError",
            _GPU_MEMORY,
        ),
        (
            r"no kernel image is available|NO_BINARY_FOR_GPU|not compatible with the current PyTorch"
            r"|invalid device function",
            "install a build of torch and vLLM that was made for this GPU: the installed one has no code for it",
            _LASTING,
        ),
        (
            r"driver (?:on your system )?(?:version )?is (?:too old|insufficient)|unsupported toolchain"
            r"|UNSUPPORTED_PTX_VERSION|forward compatibility was attempted|unsupported display driver",
            "update the NVIDIA driver, or install builds of torch and vLLM for the CUDA version that nvidia-smi shows",
            _LASTING,
        ),
        (
            r"no CUDA GPUs are available|no CUDA-capable device|found no NVIDIA driver|failed to infer device type"
            r"|CUDA unknown error|driver initialization failed|system not yet initialized"
            r"|invalid device ordinal|busy or unavailable",
            "see that nvidia-smi lists the GPUs and that CUDA_VISIBLE_DEVICES leaves them in; --gpus 0 runs on the CPU",
        ),
        (
            r"NCCL|DistBackendError",
            "set NCCL_DEBUG=INFO and look at what the engine prints; in a container give more shared memory "
            "(--shm-size=8g) or set NCCL_P2P_DISABLE=1; --tensor-parallel 1 needs no NCCL",
        ),
        (
            r"only supported on GPUs with compute capability|does not support bfloat16",
            "--set engine.options.dtype=half",
            _LASTING,
        ),
        (r"divisible by tensor parallel size", "give a --tensor-parallel that divides that number", _LASTING),
        (
            r"no space left on device|disk quota exceeded|file too large",
            "make room on that disk, or name another: vLLM and torch write below TMPDIR, VLLM_CACHE_ROOT, "
            "TORCHINDUCTOR_CACHE_DIR and TRITON_CACHE_DIR",
        ),
        (
            r"can't allocate memory|cannot allocate memory|unable to mmap|MemoryError|bad_alloc|ran out of memory"
            r"|low on memory|memory runs out",
            _HOST_MEMORY,
        ),
        (r"ended by SIGBUS|bus error", "give more shared memory: /dev/shm is full (in a container, --shm-size=8g)"),
        (
            r"ended by SIGILL|illegal instruction",
            "this processor lacks instructions that the build needs; take a build for it, or --engine transformers",
            _LASTING,
        ),
        (r"too many open files", "raise the limit of open files: ulimit -n 65536"),
        (r"can't start new thread|resource temporarily unavailable", "raise the limit of processes: ulimit -u"),
        (r"address already in use|EADDRINUSE", "end what holds the port, or unset VLLM_PORT and MASTER_PORT"),
        (r"Python\.h|C compiler|CompilerNotFound|InvalidCxxCompiler|cannot find -lcuda|nvcc", _COMPILER, _LASTING),
        (
            r"gated repo|401 Client Error|403 Client Error",
            "accept the model's terms on the Hub and set HF_TOKEN",
            _LASTING,
        ),
    )
)


class StartFailure(NamedTuple):
    """Why an engine did not start, and what to do about it.

    Args:
        remedy: None for what is not known.
        lasting: another start on this machine would end in the same way.
    """

    cause: str
    remedy: str | None
    lasting: bool = False


def remedy_for(said: str) -> str | None:
    """What to do about an error of vLLM, torch, CUDA, NCCL or the system; None for one that is not known."""
    known = _known_cause(said)
    return known.remedy if known else None


def _known_cause(said: str) -> KnownCause | None:
    return next((one for one in _KNOWN if one.pattern.search(said)), None)


def printed_cause(text: str) -> str | None:
    """The error that a start ended with, from what the engine and its processes printed; None where there is none.

    One that has a remedy is preferred, the first of these: what is printed after it are the complaints of those that
    waited for the process. Without one it is the last.
    """
    errors = _errors(text[max(0, text.find(_BEGINS)) :]) or _errors(text)
    known = next((error for error in errors if remedy_for(error)), None)
    found = known or (errors[-1] if errors else None)
    return message(found) if found else None


def _errors(text: str) -> list[str]:
    found = (match[1] for form in (_SENTENCE, _BARE) for match in form.finditer(text))
    bare = (_WRAPPED.sub(r"\1", error) for error in found)
    return [error for error in bare if not is_pointer(error)]


def start_failure(said: str, printed: str = "") -> StartFailure:
    """The cause of a failed start.

    Args:
        said: the error that reached who started the engine: type and text.
        printed: what the engine's processes printed during this start.
    """
    cause = message(said)
    if is_pointer(cause):
        cause = printed_cause(printed) or _gone(cause)
    cause = cause.rstrip(".")
    full = full_folders() if cause.endswith(os.strerror(errno.ENOSPC)) else []  # else it names the file
    known = _known_cause(cause)
    told = f"{cause}: {', '.join(full)}" if full else cause
    return StartFailure(told, known.remedy, known.lasting) if known else StartFailure(told, None)


def full_folders() -> list[str]:
    """Those of the folders in which engines write that are on a full disk."""
    home = str(Path.home() / ".cache")
    caches = (os.environ.get(name) for name in ("VLLM_CACHE_ROOT", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"))
    places = dict.fromkeys([tempfile.gettempdir(), *filter(None, caches), home, "/dev/shm"])
    return [place for place in places if _free(Path(place)) < _NO_ROOM]


def _free(place: Path) -> float:
    """Bytes that are free where a folder is, or would be made."""
    there = next((folder for folder in (place, *place.parents) if folder.is_dir()), None)
    return shutil.disk_usage(there).free if there is not None else math.inf


def is_pointer(said: str) -> bool:
    """Whether an error only says that the cause was printed elsewhere."""
    return bool(_POINTER.search(said))


def _gone(said: str) -> str:
    """How vLLM's processes ended that printed no error."""
    found = _GONE.search(said)
    ended = [(name, int(code)) for name, code in _EXIT.findall(found[1])] if found else []
    if not ended:
        return "a process of vLLM ended without a word, as when memory runs out and the system kills it"
    name, code = min(ended, key=lambda one: one[1])
    if code >= 0:
        return f"vLLM's process {name} ended with exit code {code} and printed no error"
    return ended_by(f"vLLM's process {name}", -code)


def ended_by(what: str, number: int) -> str:
    """The sentence on a process that a signal ended."""
    why = ", as the system does when memory runs out" if number == signal.SIGKILL else ""
    return f"{what} was ended by {signal_name(number)}{why}"


def signal_name(number: int) -> str:
    """``SIGKILL`` for 9."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
