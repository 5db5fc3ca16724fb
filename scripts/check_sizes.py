"""Fails where a source file of the package, a test or a benchmark is longer than 400 lines."""

import sys
from pathlib import Path

LIMIT = 400
FOLDERS = ("capgen", "tests", "benchmarks", "experiments", "scripts")


def main() -> int:
    """Print what is too long; the exit code."""
    root = Path(__file__).resolve().parent.parent
    files = [file for folder in FOLDERS for file in (root / folder).rglob("*.py")]
    counts = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    long = {file: count for file, count in counts.items() if count > LIMIT}
    for file, count in sorted(long.items()):
        sys.stderr.write(f"{file.relative_to(root)}: {count} lines, at most {LIMIT}\n")
    sys.stdout.write(f"{len(files)} files, the longest has {max(counts.values(), default=0)} lines\n")
    return 1 if long or not files else 0


if __name__ == "__main__":
    sys.exit(main())
