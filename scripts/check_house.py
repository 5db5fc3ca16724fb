"""Fails where a source file is too long, a folder holds too many modules, or two public classes share a name."""

import ast
import sys
from collections import defaultdict
from pathlib import Path

LINES = 400
MODULES = 12
FOLDERS = ("capgen", "tests", "benchmarks", "experiments", "scripts")
SMALL_FOLDERS = ("capgen", "benchmarks", "experiments")
ROOT = Path(__file__).resolve().parent.parent


def long_files(files: list[Path]) -> list[str]:
    """A line for each file that has more than ``LINES`` lines."""
    counts = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    return [f"{file}: {count} lines, at most {LINES}" for file, count in sorted(counts.items()) if count > LINES]


def full_folders(files: list[Path]) -> list[str]:
    """A line for each folder of the package that holds more than ``MODULES`` modules directly."""
    counts: dict[Path, int] = defaultdict(int)
    for file in files:
        if file.parts[0] in SMALL_FOLDERS and file.name != "__init__.py":
            counts[file.parent] += 1
    return [f"{folder}: {count} modules, at most {MODULES}" for folder, count in counts.items() if count > MODULES]


def shared_names(files: list[Path]) -> list[str]:
    """A line for each public class name that the package defines more than once."""
    places: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        if file.parts[0] != "capgen":
            continue
        for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(file)
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
                if name[0].isupper() and not name.isupper() and len(name) > 1:
                    places[name].append(file)
    return [
        f"the name {name} is defined {len(found)} times: {', '.join(map(str, found))}"
        for name, found in sorted(places.items())
        if len(found) > 1
    ]


def main() -> int:
    """Print what is wrong; the exit code."""
    files = [file.relative_to(ROOT) for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")]
    wrong = [*long_files(files), *full_folders(files), *shared_names(files)]
    sys.stderr.writelines(f"{line}\n" for line in wrong)
    sys.stdout.write(f"{len(files)} files, {len(wrong)} findings\n")
    return 1 if wrong or not files else 0


if __name__ == "__main__":
    sys.exit(main())
