"""Makes the list of English words that the checks ``language`` and ``format`` know, from WordNet.

python scripts/english_words.py --wordnet FOLDER

FOLDER holds ``index.noun``, ``data.noun``, ``noun.exc`` and the same of verbs, adjectives and adverbs of WordNet 3.0
(Debian: package ``wordnet-base``, /usr/share/wordnet). Function words, which WordNet leaves out, and words younger than
WordNet stand in ``more_words.txt`` beside the list.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "capgen/pipeline/checks/vocabulary/english"
SHORTEST = 3  # letters; shorter ones are abbreviations and signs of chemistry, or in more_words.txt


def wordnet_words(folder: Path) -> set[str]:
    """Every word of one part that WordNet writes in lower case, and irregular forms."""
    found: set[str] = set()
    for pos in ("noun", "verb", "adj", "adv"):
        for line in (folder / f"index.{pos}").read_text("ascii").splitlines():
            found.add(line.partition(" ")[0])
        for line in (folder / f"{pos}.exc").read_text("ascii").splitlines():
            found.add(line.partition(" ")[0])
        # index files are in lower case; names have a capital in the data files
        names: set[str] = set()
        common: set[str] = set()
        for line in (folder / f"data.{pos}").read_text("ascii").splitlines():
            if not line.startswith(" "):
                cells = line.partition(" | ")[0].split()
                lemmas = cells[4 : 4 + 2 * int(cells[3], 16) : 2]
                names.update(lemma.lower() for lemma in lemmas if not lemma.islower())
                common.update(lemma for lemma in lemmas if lemma.islower())
        found -= names - common
    return {word for word in found if word.isalpha() and word.islower() and len(word) >= SHORTEST}


def main() -> None:
    """Write the list, one word a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wordnet", type=Path, required=True)
    words = sorted(wordnet_words(parser.parse_args().wordnet))
    (FOLDER / "wordnet.txt").write_text("\n".join(words) + "\n", "ascii")
    sys.stdout.write(f"{len(words)} words\n")


if __name__ == "__main__":
    main()
