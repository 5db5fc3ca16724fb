"""Makes the table of nouns that the check ``wrong_category`` knows, from WordNet and the categories of LVIS.

python scripts/category_table.py --wordnet FOLDER --lvis lvis_v1_val.json

FOLDER holds ``data.noun``, ``index.noun`` and ``noun.exc`` of WordNet 3.0 (Debian: package ``wordnet-base``,
/usr/share/wordnet). Any LVIS annotation file will do: all of them list every category with its synset.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

TABLE = Path(__file__).resolve().parent.parent / "capgen/pipeline/checks/categories/nouns.tsv"

# Categories of COCO and others whose names LVIS does not have, and things of every scene that captions speak of.
NAMES = """
person animal bird fish insect vehicle furniture clothing food fruit vegetable tree plant flower building house church
bridge tower wall floor ceiling roof window door fence road street path river lake sea beach mountain hill rock stone
grass field garden park sky cloud snow sand ground bush leaf branch log wheel tire machine tool instrument device
container weapon toy game book paper sign statue lamp light fire stairs railing platform counter shelf cabinet curtain
blanket rug mat towel cushion pillow bed desk kitchen bathroom hot_dog potted_plant dining_table sports_ball
wine_glass cell_phone hair_drier tennis_racket baseball_glove traffic_light parking_meter fire_hydrant stop_sign
teddy_bear tv airplane motorcycle mouse remote keyboard oven toaster sink refrigerator toilet tent net rope chain pipe
wire cable pole post track rail train station tunnel well pond waterfall cave island cliff forest bread meat cheese
cake soup salad drink juice milk coffee tea beer wine water ice candle soap bucket broom brush comb mirror clock watch
ring necklace panda lizard turtle snake ape monkey seal whale dolphin crocodile leopard fox rabbit parrot owl eagle
hand foot face head hair arm leg body doll tulip daisy sunflower lily carnation orchid rose doll car bus truck
"""
MOST = 400  # kinds of one category; of more, only those that WordNet's own texts use


@dataclass
class WordNet:
    """The nouns: lemmas, parents and children of every synset, by its offset, and how often its texts use each."""

    lemmas: dict[int, list[str]] = field(default_factory=dict)
    parents: dict[int, list[int]] = field(default_factory=dict)
    children: dict[int, list[int]] = field(default_factory=dict)
    senses: dict[str, list[int]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, folder: Path) -> WordNet:
        """Parse ``data.noun`` and ``index.noun`` (format: wndb(5WN))."""
        net = cls()
        for line in (folder / "data.noun").read_text("ascii").splitlines():
            if line.startswith(" "):
                continue
            cells = line.partition(" | ")[0].split()
            offset, count = int(cells[0]), int(cells[3], 16)
            net.lemmas[offset] = cells[4 : 4 + 2 * count : 2]
            pointers = cells[5 + 2 * count :]
            net.parents[offset] = [
                int(pointers[i + 1]) for i in range(0, len(pointers) - 3, 4) if pointers[i] in ("@", "@i")
            ]
            if any(pointers[i] == "@i" for i in range(0, len(pointers) - 3, 4)):
                net.lemmas[offset] = []  # an individual (a river, a person in history) is no kind of thing
            for parent in net.parents[offset]:
                net.children.setdefault(parent, []).append(offset)
        for line in (folder / "index.noun").read_text("ascii").splitlines():
            if not line.startswith(" "):
                cells = line.split()
                count, used = int(cells[2]), int(cells[-int(cells[2]) - 1])
                net.senses[cells[0]] = [int(offset) for offset in cells[-count:]]
                if used:
                    net.used.add(cells[0])
        return net

    def offset(self, synset: str) -> int | None:
        """Of ``dog.n.01``; None for a name that WordNet 3.0 does not have."""
        lemma, _, number = synset.rsplit(".", 2)
        senses = self.senses.get(lemma.lower(), [])
        return senses[int(number) - 1] if int(number) <= len(senses) else None

    def closure(self, offset: int, links: dict[int, list[int]]) -> list[int]:
        """All synsets that the links lead to, ``offset`` first."""
        found, queue = {offset: None}, [offset]
        while queue:
            for other in links.get(queue.pop(), []):
                if other not in found:
                    found[other] = None
                    queue.append(other)
        return list(found)


def kept_synsets(net: WordNet, wanted: Iterable[int]) -> set[int]:
    """The wanted synsets with their ancestors and their kinds; of many kinds only those that are in use."""
    kept: set[int] = set()
    for offset in wanted:
        kept.update(net.closure(offset, net.parents))
        kinds = net.closure(offset, net.children)
        if len(kinds) > MOST:
            kinds = [kind for kind in kinds if any(lemma.lower() in net.used for lemma in net.lemmas[kind])]
        for kind in kinds:
            kept.update(net.closure(kind, net.parents))
    return kept


def people(net: WordNet) -> set[int]:
    """Every kind of person that has a one-word name: captions name people by what they do."""
    person = net.offset("person.n.01")
    assert person is not None
    return {
        kind
        for kind in net.closure(person, net.children)
        if any(lemma.isalpha() and lemma.islower() for lemma in net.lemmas[kind])
    }


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wordnet", type=Path, required=True)
    parser.add_argument("--lvis", type=Path, required=True)
    arguments = parser.parse_args()
    net = WordNet.read(arguments.wordnet)
    categories = json.loads(arguments.lvis.read_text("utf-8"))["categories"]
    named: dict[str, int] = {}
    for category in categories:
        offset = net.offset(category["synset"]) if category["synset"].count(".") >= 2 else None
        if offset is not None:
            named[category["name"]] = offset
    wanted = set(named.values()) | {net.senses[name][0] for name in NAMES.split() if name in net.senses}
    kept = kept_synsets(net, wanted)
    for kind in people(net):
        kept.update(net.closure(kind, net.parents))
    order = {offset: number for number, offset in enumerate(sorted(kept))}
    lines = [
        "# Nouns of WordNet 3.0: made by scripts/category_table.py, licence in WORDNET_LICENSE.txt beside this file.",
        "# number, parents, lemmas; `=` category of LVIS (CC BY 4.0), number; `~` irregular plural, singular",
    ]
    for offset, number in order.items():
        parents = ",".join(str(order[parent]) for parent in net.parents[offset])
        lemmas = ",".join(lemma for lemma in net.lemmas[offset] if lemma.replace("_", "").replace("-", "").isalpha())
        lines.append(f"{number}\t{parents}\t{lemmas.lower()}")
    lines += [f"=\t{name}\t{order[offset]}" for name, offset in sorted(named.items())]
    known = {lemma.lower() for offset in kept for lemma in net.lemmas[offset]}
    for line in (arguments.wordnet / "noun.exc").read_text("ascii").splitlines():
        plural, singular = line.split()[:2]
        if singular in known:
            lines.append(f"~\t{plural}\t{singular}")
    TABLE.write_text("\n".join(lines) + "\n", "ascii")
    sys.stdout.write(f"{len(order)} synsets, {len(named)} categories, {TABLE.stat().st_size / 1024:.0f} KiB\n")


if __name__ == "__main__":
    main()
