"""What capgen uses of vLLM, in two releases side by side: names, fields and signatures, read without importing vLLM.

    pip download --no-deps vllm==0.33.0 && unzip -d new 'vllm-0.33.0-*.whl' '*.py'
    python scripts/compare_vllm.py path/to/site-packages new

A release whose names are all there, and whose fields and signatures take what capgen gives, is a candidate for the
range in `pyproject.toml`; an engine of it still has to run.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

USED: dict[str, dict[str, tuple[str, ...]]] = {
    "vllm/config/structured_outputs.py": {
        "StructuredOutputsConfig": ("backend", "disable_any_whitespace", "disable_additional_properties"),
    },
    "vllm/engine/arg_utils.py": {
        "EngineArgs": (
            "model", "revision", "trust_remote_code", "dtype", "max_num_seqs", "max_model_len", "seed",
            "tensor_parallel_size", "enable_prefix_caching", "limit_mm_per_prompt", "interleave_mm_strings",
            "disable_log_stats", "enforce_eager", "structured_outputs_config", "prefix_cache_retention_interval",
            "load_format", "gpu_memory_utilization",
        ),
        "AsyncEngineArgs": ("enable_log_requests",),
    },
    "vllm/v1/engine/async_llm.py": {"AsyncLLM": ("from_engine_args", "generate", "errored", "shutdown")},
    "vllm/usage/usage_lib.py": {"UsageContext": ("OPENAI_API_SERVER",)},
    "vllm/renderers/base.py": {"BaseRenderer": ("render_chat_async",)},
    "vllm/renderers/params.py": {"ChatParams": ("chat_template_kwargs",)},
    "vllm/sampling_params.py": {
        "SamplingParams": (
            "temperature", "top_p", "max_tokens", "seed", "logprobs", "prompt_logprobs", "output_kind",
            "skip_special_tokens", "structured_outputs",
        ),
        "RequestOutputKind": ("FINAL_ONLY",),
        "StructuredOutputsParams": ("json", "choice"),
    },
    "vllm/outputs.py": {
        "RequestOutput": ("prompt_token_ids", "num_cached_tokens", "outputs", "prompt_logprobs"),
        "CompletionOutput": ("text", "token_ids", "logprobs", "finish_reason"),
    },
    "vllm/v1/engine/exceptions.py": {"EngineDeadError": ()},
    "vllm/exceptions.py": {"VLLMClientError": ()},
}  # fmt: skip


def members(tree: Path, file: str) -> dict[str, dict[str, str]]:
    """By class of a file, its fields with their annotations and its methods with their signatures."""
    try:
        module = ast.parse((tree / file).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    found: dict[str, dict[str, str]] = {}
    for node in ast.walk(module):
        if isinstance(node, ast.ClassDef):
            found[node.name] = {name: text for one in ast.walk(node) for name, text in _member(one)}
    return found


def _member(node: ast.AST) -> list[tuple[str, str]]:
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [(node.target.id, ast.unparse(node.annotation))]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Attribute):
        return [(node.target.attr, ast.unparse(node.annotation))]
    if isinstance(node, ast.Assign):
        names = [one.id if isinstance(one, ast.Name) else getattr(one, "attr", "") for one in node.targets]
        return [(name, "") for name in names if name]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        kind = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
        return [(node.name, f"{kind} ({ast.unparse(node.args)})")]
    return []


def say(line: str) -> None:
    """A line of the report."""
    sys.stdout.write(f"{line}\n")


def main() -> int:
    """Print a line for everything that is missing or differs; 1 where something is missing."""
    old, new = map(Path, sys.argv[1:3])
    missing = same = 0
    for file, classes in USED.items():
        before, after = members(old, file), members(new, file)
        for name, wanted in classes.items():
            for member in wanted or ("",):
                left, right = (side.get(name, {}) for side in (before, after))
                where = f"{file}: {name}{f'.{member}' if member else ''}"
                there = [name in side if not member else member in side.get(name, {}) for side in (before, after)]
                if not all(there):
                    say(f"{where} is missing in {'old' if not there[0] else 'new'}")
                    missing += 1
                elif member and left[member] != right[member]:
                    say(f"{where}\n  old {left[member]}\n  new {right[member]}")
                else:
                    same += 1
    say(f"{same} names are the same, {missing} missing")
    return int(missing > 0)


if __name__ == "__main__":
    raise SystemExit(main())
