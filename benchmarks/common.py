"""What the benchmarks share: the machine in words, a table, and a result file."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).resolve().parent / "results"


def machine() -> dict[str, Any]:
    """Processor, cores, memory and Python of this machine; never its name or paths."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def save(
    name: str,
    rows: list[dict[str, Any]],
    note: str = "",
    before: dict[str, Any] | None = None,
    folder: Path = RESULTS,
) -> Path:
    """Print the rows as a table and write them to ``folder/<name>.json`` with the machine's description."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = [columns, *([_text(row.get(key, "")) for key in columns] for row in rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(columns))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    if note:
        print(note)
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.json"
    date = datetime.now(UTC).date().isoformat()
    body = {"benchmark": name, "date": date, "machine": before or machine(), "note": note, "rows": rows}
    file.write_text(json.dumps(body, indent=1) + "\n")
    return file


def _text(value: Any) -> str:
    return (
        f"{value:,.3g}"
        if isinstance(value, float) and abs(value) < 100
        else f"{value:,.0f}"
        if isinstance(value, float)
        else str(value)
    )


def auroc(low: list[float], high: list[float]) -> float:
    """The probability that a score of ``low`` is under one of ``high``, ties counted half; NaN where one is empty."""
    if not low or not high:
        return float("nan")
    a, b = np.array(low)[:, None], np.array(high)[None]
    return float(((a < b) + 0.5 * (a == b)).mean())
