"""Makes the table of nouns that the check ``wrong_category`` knows, from WordNet and the categories of LVIS.

python scripts/category_table.py --wordnet FOLDER --lvis lvis_v1_val.json

FOLDER holds ``data.noun``, ``index.noun``, ``noun.exc``, ``verb.exc``, ``index.verb``, ``index.adj``, ``index.adv``
and ``cntlist.rev`` of WordNet 3.0 (Debian: package ``wordnet-base``, /usr/share/wordnet). Any LVIS annotation file will
do: all of them list every category with its synset.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
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
# Nouns that are newer than WordNet 3.0, and some of its own that are no thing there, each behind what it is a kind of.
NEWER = """
cellular_telephone smartphone
person zookeeper barista biker skateboarder snowboarder newlywed influencer
fish clownfish
dog labrador labradoodle goldendoodle shiba maltipoo pitbull frenchie lurcher doodle
cat ragdoll sphynx
blackboard whiteboard
surfboard longboard shortboard paddleboard
sweatshirt hoodie
watch smartwatch
earphone earbud airpod
photograph selfie
camera dslr camcorder gopro
bicycle ebike fixie
trouser sweatpants
dish bibimbap poke gyoza
soup ramen pho
bread ciabatta
cookie macaron
airplane drone
cigarette vape
road intersection crossroads
room interior lobby
geological_formation skyline horizon coastline shoreline vineyard sunset sunrise lightning lightning_bolt seafront
geological_formation treetop rooftop
building storefront shopfront
mixer airfryer
butterfly swallowtail monarch
box gift present lunchbox
card badge
newspaper broadsheet tabloid
suitcase carryon
dish_antenna satellite_dish
barrel oil_drum
bale straw_bale hay_bale
""".strip().splitlines()
MOST = 400  # kinds of one category; of more, only those that WordNet's own texts use
# Of these every kind with a one-word name: what can stand in a picture beside the categories.
VISIBLE = (
    "person.1 artifact.1 animal.1 plant.2 food.1 food.2 body_part.1 natural_object.1 geological_formation.1 "
    "representation.2 picture.2 shape.2 plant_part.1 land.4 tract.1 body_of_water.1 piece.1 part.2"
)
POS = {"verb": "2", "adj": "35", "adv": "4"}  # digits of WordNet's sense keys


@dataclass
class WordNet:
    """The nouns: lemmas, parents, children and parts of every synset, by its offset, and how often texts use each."""

    lemmas: dict[int, list[str]] = field(default_factory=dict)
    parents: dict[int, list[int]] = field(default_factory=dict)
    children: dict[int, list[int]] = field(default_factory=dict)
    parts: dict[int, list[int]] = field(default_factory=dict)
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
            links = [(pointers[i], int(pointers[i + 1])) for i in range(0, len(pointers) - 3, 4)]
            net.parents[offset] = [other for kind, other in links if kind in ("@", "@i")]
            net.parts[offset] = [other for kind, other in links if kind == "%p"]
            if any(kind == "@i" for kind, _ in links):
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


def visible(net: WordNet) -> set[int]:
    """Every kind of person, thing, animal or plant that has a one-word name; of animals and food, all."""
    tops = [net.senses[name][int(number) - 1] for name, _, number in (top.partition(".") for top in VISIBLE.split())]
    whole = {net.senses[name][0] for name in ("animal", "food")}
    return {
        kind
        for top in tops
        for kind in net.closure(top, net.children)
        if any(lemma.isalpha() and lemma.islower() for lemma in net.lemmas[kind]) or top in whole
    }


def other_words(folder: Path, nouns: set[str]) -> dict[str, list[str]]:
    """Verbs, and which nouns are verbs, or adjectives and adverbs, more often than nouns.

    Counted in the texts that WordNet's authors tagged (``cntlist.rev``).
    """
    counts: Counter[tuple[str, str]] = Counter()
    for line in (folder / "cntlist.rev").read_text("ascii").splitlines():
        key, _, times = line.split()
        lemma, _, rest = key.partition("%")
        counts[lemma, rest[0]] += int(times)
    known: dict[str, set[str]] = {}
    for pos in POS:
        lines = (folder / f"index.{pos}").read_text("ascii").splitlines()
        known[pos] = {word for line in lines if (word := line.partition(" ")[0]).isalpha()}
    irregular = {line.split()[0] for line in (folder / "verb.exc").read_text("ascii").splitlines()}

    def more_often(word: str, pos: tuple[str, ...]) -> bool:
        return sum(counts[word, digit] for one in pos for digit in POS[one]) > counts[word, "1"]

    return {
        "verb": sorted(known["verb"]),
        "adjective": sorted(
            word for word in (known["adj"] | known["adv"]) - nouns if any(counts[word, digit] for digit in "345")
        ),
        "irregular verb": sorted(word for word in irregular - nouns if word.isalpha() and not word.endswith("s")),
        "mostly verb": sorted(word for word in known["verb"] & nouns if more_often(word, ("verb",))),
        "mostly adjective": sorted(
            word for word in (known["adj"] | known["adv"]) & nouns if more_often(word, ("adj", "adv"))
        ),
    }


def table_lines(net: WordNet, order: dict[int, int], named: dict[str, int], wordnet: Path) -> list[str]:
    """The table's lines: synsets, nouns, parts, plurals, other words, categories."""
    lines = [
        "# Nouns of WordNet 3.0: made by scripts/category_table.py, licence in WORDNET_LICENSE.txt beside this file.",
        "# `>` synset, parents; `*` noun, its synsets, the commonest first; `+` synset, parts; `~` irregular plural,",
        "# singular; `^` what else words are, the words; `=` category of LVIS (CC BY 4.0), synset",
    ]
    for offset, number in order.items():
        lines.append(f">\t{number}\t{','.join(str(order[parent]) for parent in net.parents[offset])}")
    newer = {noun: parent for parent, *nouns in map(str.split, NEWER) for noun in nouns}
    for number, (noun, parent) in enumerate(newer.items(), start=len(order)):
        sense = next(sense for sense in net.senses[parent] if sense in order)
        lines.append(f">\t{number}\t{order[sense]}")
        lines.append(f"*\t{noun}\t{number}")
    for lemma in sorted({lemma.lower() for offset in order for lemma in net.lemmas[offset]} - newer.keys()):
        if lemma.replace("_", "").replace("-", "").isalpha():
            numbers = [
                str(order[sense])
                for sense in net.senses[lemma]
                if sense in order and lemma in map(str.lower, net.lemmas[sense])
            ]
            lines.append(f"*\t{lemma}\t{','.join(numbers)}")
    for offset, number in order.items():
        if parts := [str(order[part]) for part in net.parts[offset] if part in order]:
            lines.append(f"+\t{number}\t{','.join(parts)}")
    lines += [f"=\t{name}\t{order[offset]}" for name, offset in sorted(named.items())]
    known = {lemma.lower() for offset in order for lemma in net.lemmas[offset]}
    for line in (wordnet / "noun.exc").read_text("ascii").splitlines():
        plural, singular = line.split()[:2]
        if singular in known:
            lines.append(f"~\t{plural}\t{singular}")
    # Plurals that are nouns of their own in WordNet (cows: cattle; buns: buttocks), not where LVIS means these.
    last = {re.sub(r"_?\(.*", "", name).lower().rpartition("_")[2] for name in named}
    plurals = (word for word in known if word.endswith("s") and word[:-1] in last & known and word not in last)
    lines += [f"~\t{plural}\t{plural[:-1]}" for plural in sorted(plurals)]
    words = {word for word in known if word.isalpha()}
    lines += [f"^\t{kind}\t{','.join(those)}" for kind, those in other_words(wordnet, words).items()]
    return lines


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
    lvis = set(named)
    named = {name: net.senses[name][0] for name in NAMES.split() if name in net.senses} | named
    wanted = set(named.values())
    kept = kept_synsets(net, wanted)
    for kind in visible(net):
        kept.update(net.closure(kind, net.parents))
    order = {offset: number for number, offset in enumerate(sorted(kept))}
    lines = table_lines(net, order, named, arguments.wordnet)
    rare = [category["name"] for category in categories if category.get("frequency") != "f"]
    lines.append(f"^\trare category\t{','.join(sorted(rare))}")
    lines.append(f"^\tname of others\t{','.join(sorted(named.keys() - lvis))}")
    TABLE.write_text("\n".join(lines) + "\n", "ascii")
    sys.stdout.write(f"{len(order)} synsets, {len(named)} categories, {TABLE.stat().st_size / 1024:.0f} KiB\n")


if __name__ == "__main__":
    main()
