"""Messages of vLLM, torch, CUDA, NCCL and the system are found in what an engine prints, each with its remedy.

They come from sources of vLLM, torch, CUDA and NCCL and from reports of users; none was seen on a GPU of
ours. They stand in the frame of vLLM's log.
"""

import pytest

from capgen.pipeline.engines.base import not_loaded
from capgen.pipeline.engines.starting.causes import printed_cause, remedy_for, start_failure
from capgen.pipeline.settings import ModelSettings

CORE = "(EngineCore pid=490) ERROR 11-26 15:47:24 [core.py:1510] "
WORKER = "(Worker_TP1 pid=512) ERROR 11-26 15:47:20 [multiproc_executor.py:953] "
POINTER = (
    "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore': 1}"
)

MESSAGES = {
    "GPU taken": (
        "ValueError: Free memory on device cuda:1 (19.77/22.05 GiB) on startup is less than desired GPU memory "
        "utilization (0.9, 19.84 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes.",
        "nvidia-smi",
    ),
    "no room for the cache": (
        "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when "
        "initializing the engine (this flag also controls CPU memory reservation on the CPU backend).",
        "engine.options.args.gpu_memory_utilization=0.95",
    ),
    "cache smaller than a prompt": (
        "ValueError: To serve at least one request with the model's max seq len (131072), (14.00 GiB KV cache is "
        "needed, which is larger than the available KV cache memory (1.0 GiB). Based on the available memory, the "
        "estimated maximum model length is 9344.",
        "engine.options.max_model_len=8192",
    ),
    "cache smaller than a prompt, before 0.10": (
        "ValueError: The model's max seq len (131072) is larger than the maximum number of tokens that can be stored "
        "in KV cache (53888). Try increasing `gpu_memory_utilization` or decreasing `max_model_len`.",
        "engine.options.max_model_len=8192",
    ),
    "weights too large": (
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.32 GiB. GPU 0 has a total capacity of 79.19 "
        "GiB of which 1.06 GiB is free. Including non-PyTorch memory, this process has 78.12 GiB memory in use.",
        "--tensor-parallel 2",
    ),
    "sampler": (
        "RuntimeError: CUDA out of memory occurred when warming up sampler with 1024 dummy requests. Please try "
        "lowering `max_num_seqs` or `gpu_memory_utilization` when initializing the engine.",
        "engine.options.max_num_seqs",
    ),
    "another GPU's build": (
        "torch.AcceleratorError: CUDA error: no kernel image is available for execution on the device",
        "build of torch and vLLM that was made for this GPU",
    ),
    "driver too old": (
        "RuntimeError: The NVIDIA driver on your system is too old (found version 12080). Please update your GPU "
        "driver by downloading and installing a new version from the URL: http://www.nvidia.com/Download/index.aspx",
        "update the NVIDIA driver",
    ),
    "driver too old for the runtime": (
        "RuntimeError: CUDA error: CUDA driver version is insufficient for CUDA runtime version",
        "update the NVIDIA driver",
    ),
    "driver and library differ": (
        "RuntimeError: Unexpected error from cudaGetDeviceCount(). Error 803: system has unsupported display driver / "
        "cuda driver combination",
        "update the NVIDIA driver",
    ),
    "no GPU": ("RuntimeError: No CUDA GPUs are available", "CUDA_VISIBLE_DEVICES"),
    "no device": (
        "RuntimeError: Failed to infer device type, please set the environment variable `VLLM_LOGGING_LEVEL=DEBUG` to "
        "turn on verbose logging to help debug the issue.",
        "nvidia-smi lists the GPUs",
    ),
    "NCCL in vLLM": (
        "RuntimeError: NCCL error: unhandled system error (run with NCCL_DEBUG=INFO for details)",
        "NCCL_DEBUG=INFO",
    ),
    "NCCL in torch": (
        "torch.distributed.DistBackendError: NCCL error in: NCCLUtils.cpp:94, unhandled cuda error (run with "
        "NCCL_DEBUG=INFO for details), NCCL version 2.27.3",
        "--shm-size",
    ),
    "old GPU": (
        "ValueError: Bfloat16 is only supported on GPUs with compute capability of at least 8.0. Your Tesla T4 GPU has "
        "compute capability 7.5.",
        "engine.options.dtype=half",
    ),
    "heads": (
        "ValueError: Total number of attention heads (14) must be divisible by tensor parallel size (4).",
        "--tensor-parallel that divides",
    ),
    "cache larger than the machine": (
        "ValueError: Available memory on node 0 (11.96/23.52 GiB) on kv cache allocation is less than requested memory "
        "for kv (200.0 GiB). Decrease --kv-cache-memory-bytes, VLLM_CPU_KVCACHE_SPACE, or reduce CPU memory used by "
        "other processes.",
        "lower engine.options.cpu_kv_gib",
    ),
    "no memory for a tensor": (
        "RuntimeError: [enforce fail at alloc_cpu.cpp:128] err == 0. DefaultCPUAllocator: can't allocate memory: you "
        "tried to allocate 1073741824 bytes. Error code 12 (Cannot allocate memory)",
        "free memory on this machine",
    ),
    "no memory for an object": ("MemoryError", "free memory on this machine"),
    "compile cache full": (
        "OSError: [Errno 28] No space left on device: '/home/u/.cache/vllm/torch_compile_cache/1edd/rank_0_0'",
        "VLLM_CACHE_ROOT",
    ),
    "no compiler": (
        "RuntimeError: Failed to find C compiler. Please specify via CC environment variable or set triton.knobs.build",
        "enforce_eager=true",
    ),
    "files": ("OSError: [Errno 24] Too many open files", "ulimit -n"),
    "port": ("torch.distributed.DistNetworkError: The server socket has failed to listen: EADDRINUSE", "VLLM_PORT"),
}


LASTING = {
    *("no room for the cache", "cache smaller than a prompt", "cache smaller than a prompt, before 0.10"),
    *("another GPU's build", "driver too old", "driver too old for the runtime", "driver and library differ"),
    *("old GPU", "heads", "no compiler"),
}
"""What the next start on the same machine ends with too; memory, disks, ports and networks may be free by then."""


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_of_the_gpu_or_the_system_is_found_with_its_remedy(name):
    said, remedy = MESSAGES[name]
    log = "".join(
        f"{line}\n"
        for line in (
            "INFO 11-26 15:47:01 [core.py:98] Initializing a V1 LLM engine",
            "(EngineCore pid=490) WARNING [import_utils.py:9] ImportError: No module named 'deep_gemm', nvcc not found",
            f"{CORE}EngineCore failed to start.",
            f"{CORE}Traceback (most recent call last):",
            f'{CORE}  File "core.py", line 1, in run_engine_core',
            f"{CORE}    raise ValueError(",
            f"{CORE}{said}",
            "(EngineCore pid=490) Process EngineCore:",
            f"(EngineCore pid=490) {said}",
            "AttributeError: 'MultiprocExecutor' object has no attribute 'workers'",
            POINTER,
        )
    )
    failure = start_failure(POINTER, log)
    assert failure.cause == said.rstrip(".")
    assert remedy in failure.remedy
    assert failure.lasting == (name in LASTING)


def test_the_cause_in_a_worker_is_preferred_to_the_complaints_of_those_that_waited_for_it():
    said = MESSAGES["weights too large"][0]
    log = (
        f"{WORKER}WorkerProc failed to start.\n{WORKER}{said}\n"
        f"{CORE}EngineCore failed to start.\n{CORE}Exception: WorkerProc initialization failed due to an exception in "
        "a background process. See stack trace for root cause.\n"
        "torch.distributed.DistBackendError: NCCL communicator was aborted\n"
    )
    assert start_failure(POINTER, log).cause == said.rstrip(".")


def test_what_a_worker_said_is_told_without_the_words_around_it():
    said = MESSAGES["cache larger than the machine"][0].removeprefix("ValueError: ")
    log = f"{CORE}EngineCore failed to start.\n{CORE}RuntimeError: Worker failed with error '{said}', please check the "
    log += "stack trace above for the root cause\n"
    assert start_failure(POINTER, log).cause == said.rstrip(".")


def test_an_error_that_points_to_an_earlier_one_is_not_taken_for_the_cause():
    pointing = "ValueError: Model architectures ['A'] failed to be inspected. Please check the logs for more details."
    log = "ERROR [registry.py:9] ModuleNotFoundError: No module named 'torchvision'\n"
    log += f"{WORKER}WorkerProc failed to start.\n{WORKER}{pointing}\n{CORE}EngineCore failed to start.\n{POINTER}\n"
    for said in (POINTER, pointing):
        assert start_failure(said, log) == ("ModuleNotFoundError: No module named 'torchvision'", None, False)


def test_an_unknown_error_is_the_last_one_and_has_no_remedy_of_its_own():
    assert start_failure(POINTER, f"{CORE}KeyError: 'a'\n{CORE}KeyError: 'mrope_section'\n") == (
        "KeyError: 'mrope_section'",
        None,
        False,
    )
    assert printed_cause("all is well\n    raise ValueError\nMyError is a name\n") is None


@pytest.mark.parametrize(
    ("ended", "cause", "remedy"),
    [
        (
            "{'EngineCore': -9}",
            "EngineCore was ended by SIGKILL, as the system does when memory runs out",
            "free memory",
        ),
        ("{'EngineCore': -7}", "EngineCore was ended by SIGBUS", "--shm-size"),
        ("{'EngineCore': -4}", "EngineCore was ended by SIGILL", "instructions"),
        ("{'EngineCore': -99}", "EngineCore was ended by signal 99", None),
        ("{'EngineCore': 1}", "EngineCore ended with exit code 1 and printed no error", None),
        ("{}", "a process of vLLM ended without a word", "free memory"),
        ("{'EngineCore_DP0': 0, 'EngineCore_DP1': -9}", "EngineCore_DP1 was ended by SIGKILL", "free memory"),
    ],
)
def test_a_process_that_printed_no_error_is_told_of_by_how_it_ended(ended, cause, remedy):
    failure = start_failure(POINTER.replace("{'EngineCore': 1}", ended), "INFO 11-26 loading\n")
    assert cause in failure.cause
    assert failure.remedy is None if remedy is None else remedy in failure.remedy


def test_an_error_of_this_process_is_its_own_cause():
    said = MESSAGES["no memory for a tensor"][0]
    assert start_failure(said, "ValueError: an earlier one\n") == (said, remedy_for(said), False)
    assert start_failure("RuntimeError: key sk-abcdef0123456789 refused\nand more").cause == (
        "RuntimeError: key *** refused and more"
    )


def test_a_full_disk_that_is_not_named_is_looked_for_among_the_folders_that_engines_write_to(monkeypatch):
    said = "OSError: [Errno 28] No space left on device"
    assert start_failure(said).cause == said
    monkeypatch.setenv("VLLM_CACHE_ROOT", "/proc/no/such/cache")  # a file system without a free byte
    assert start_failure(said).cause == f"{said}: /proc/no/such/cache"
    assert start_failure(f"{said}: '/tmp/x'").cause == f"{said}: '/tmp/x'"


def test_an_error_while_a_model_is_read_has_its_remedy_and_else_that_of_a_model():
    full = not_loaded("vLLM", ModelSettings(id="m"), OSError(28, "No space left on device", "/tmp/x"))
    assert "'/tmp/x'; make room on that disk" in str(full)
    assert str(not_loaded("vLLM", ModelSettings(id="m"), ValueError("no such class"))).endswith("check the model")
