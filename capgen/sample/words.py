"""The sample world's vocabulary, and the one true sentence about an object.

Everything that the world can show has exactly one word here; synonyms are what a caption may say instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

RGB = tuple[int, int, int]
Frequency = Literal["r", "c", "f"]


@dataclass(frozen=True, slots=True)
class Category:
    """A kind of object.

    Args:
        name: snake case, as LVIS and LV-VIS write names.
        synonyms: the name first, as LVIS has it; no synonym belongs to two categories.
        frequency: LVIS' classes: rare, common, frequent.
        weight: how often it is drawn, relative to the others.
        definition: one clause, as in a dictionary.
        symmetric: a rotation maps it onto itself, so that it is never said to be turning.
    """

    name: str
    synonyms: tuple[str, ...]
    frequency: Frequency
    weight: float
    definition: str
    symmetric: bool = False

    @property
    def words(self) -> str:
        """The name as captions write it."""
        return self.name.replace("_", " ")


@dataclass(frozen=True, slots=True)
class Colour:
    """A colour: its word, its paints (one is drawn, then jittered), and the second tone that patterns are made of."""

    name: str
    paints: tuple[RGB, ...]
    second: RGB
    synonyms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Word:
    """A value of an attribute and the other ways to say it."""

    name: str
    synonyms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SizeRange:
    """A size word. ``low`` to ``high`` is the extent of the object's box, see ``size_of``; ranges leave gaps."""

    name: str
    low: float
    high: float
    synonyms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Motion:
    """A movement: ``name`` is the fact, ``phrase`` what the caption says."""

    name: str
    phrase: str
    synonyms: tuple[str, ...] = ()


def _tail(rank: int) -> float:
    """A long tail in which the last of 20 is still 2 % of all objects: the first is drawn 8 times as often."""
    return float(round(1000 / (rank + 2) ** 0.9))


_KINDS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("fish", ("fishes",), "an animal with fins and a tail that lives in water"),
    ("car", ("auto", "automobile"), "a road vehicle with four wheels"),
    ("house", ("home", "cottage"), "a building with a pitched roof in which people live"),
    ("pine_tree", ("pine", "fir", "fir_tree", "christmas_tree", "tree"), "an evergreen tree that tapers to its top"),
    ("star", ("pentagram",), "a figure with five points"),
    ("heart", ("valentine",), "a figure with two round lobes above and one point below"),
    ("cup", ("mug", "teacup"), "a drinking vessel with a handle"),
    ("butterfly", ("moth",), "an insect with four broad wings"),
    ("shirt", ("t-shirt", "tee", "jersey"), "a garment with short sleeves for the upper body"),
    ("mushroom", ("toadstool", "fungus"), "a fungus with a domed cap on a stem"),
    ("umbrella", ("parasol",), "a canopy on a hooked stick that keeps off rain"),
    ("sailboat", ("boat", "sailing_boat", "yacht", "ship"), "a boat that the wind drives by its sails"),
    ("boot", ("shoe", "gumboot"), "footwear that covers the foot and the ankle"),
    ("key", (), "a tool with a bow and a bit that opens a lock"),
    ("arrow", ("pointer",), "a sign with a shaft and a head that points"),
    ("moon", ("crescent", "crescent_moon"), "the thin moon, as a figure with two horns"),
    ("rocket", ("spaceship", "spacecraft", "missile"), "a pointed craft with fins that flies into space"),
    ("crown", ("tiara", "coronet"), "a headdress with points that a king wears"),
    ("cactus", ("cacti",), "a plant of the desert with a thick trunk and upright arms"),
    ("hot_air_balloon", ("balloon", "air_balloon", "hot-air_balloon"), "a round envelope of warm air above a basket"),
)


def _frequency(rank: int) -> Frequency:
    return "f" if rank < 8 else "c" if rank < 14 else "r"


CATEGORIES: tuple[Category, ...] = tuple(
    Category(name, (name, *others), _frequency(rank), _tail(rank), definition, symmetric=name == "star")
    for rank, (name, others, definition) in enumerate(_KINDS)
)

COLOURS: tuple[Colour, ...] = (
    Colour("red", ((204, 36, 40), (188, 26, 44), (218, 52, 40)), (252, 214, 200), ("crimson", "scarlet")),
    Colour("orange", ((240, 130, 18), (248, 144, 36), (232, 120, 20)), (124, 56, 8)),
    Colour("yellow", ((246, 214, 36), (250, 224, 70), (238, 204, 26)), (140, 100, 12), ("golden",)),
    Colour("green", ((42, 148, 62), (56, 166, 76), (32, 128, 54)), (208, 240, 190)),
    Colour("blue", ((34, 90, 198), (48, 108, 216), (26, 72, 170)), (200, 226, 252)),
    Colour("purple", ((126, 54, 166), (144, 70, 182), (110, 44, 148)), (236, 210, 248), ("violet",)),
    Colour("white", ((242, 242, 238), (250, 248, 242), (232, 234, 236)), (124, 130, 140)),
    Colour("black", ((34, 34, 38), (44, 42, 46), (26, 28, 34)), (164, 164, 170)),
)

TEXTURES: tuple[Word, ...] = (
    Word("plain", ("solid", "unpatterned")),
    Word("striped", ("stripy", "stripes")),
    Word("dotted", ("spotted", "polka-dot", "dots")),
    Word("checkered", ("chequered", "checked", "checks")),
)

SIZES: tuple[SizeRange, ...] = (
    SizeRange("small", 0.05, 0.21, ("tiny", "little")),
    SizeRange("medium", 0.27, 0.42, ("medium-sized", "mid-sized")),
    SizeRange("large", 0.49, 0.95, ("big", "huge")),
)

MOTIONS: tuple[Motion, ...] = (
    Motion("left", "moving left", ("moves left", "moving to the left", "moves to the left", "leftward", "leftwards")),
    Motion(
        "right", "moving right", ("moves right", "moving to the right", "moves to the right", "rightward", "rightwards")
    ),
    Motion("up", "moving up", ("moves up", "upward", "upwards", "rising")),
    Motion("down", "moving down", ("moves down", "downward", "downwards", "sinking", "falling")),
    Motion("still", "staying still", ("still", "motionless", "not moving", "stationary")),
    Motion("growing", "growing", ("grows", "expanding", "getting bigger")),
    Motion("turning", "turning", ("turns", "rotating", "spinning")),
)

CATEGORY: dict[str, Category] = {item.name: item for item in CATEGORIES}
COLOUR: dict[str, Colour] = {item.name: item for item in COLOURS}
MOTION: dict[str, Motion] = {item.name: item for item in MOTIONS}


class Facts(Protocol):
    """What ``caption`` needs to know; a ``SceneObject`` is one. ``motion`` is None where there is nothing to say."""

    @property
    def category(self) -> str: ...  # noqa: D102
    @property
    def colour(self) -> str: ...  # noqa: D102
    @property
    def texture(self) -> str: ...  # noqa: D102
    @property
    def size(self) -> str: ...  # noqa: D102
    @property
    def motion(self) -> str | None: ...  # noqa: D102


def caption(facts: Facts) -> str:
    """The one true sentence: ``A large dotted blue pine tree moving left.``"""
    noun = f"{facts.size} {facts.texture} {facts.colour} {CATEGORY[facts.category].words}"
    article = "An" if noun[0] in "aeiou" else "A"
    tail = f" {MOTION[facts.motion].phrase}" if facts.motion else ""
    return f"{article} {noun}{tail}."


def extent(box: tuple[float, float, float, float], width: int, height: int) -> float:
    """The larger share of the picture that a box (x, y, w, h in pixels) spans along an axis."""
    return max(box[2] / width, box[3] / height)


def size_of(extent_: float) -> str | None:
    """The size word for the extent of an object's visible box; None in the gaps between the words.

    In a video the extent is the median over the frames on which the object is visible.
    """
    return next((size.name for size in SIZES if size.low <= extent_ <= size.high), None)
