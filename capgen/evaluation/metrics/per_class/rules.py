"""What TrackEval's scripts for YouTube-VIS, TAO and BURST do differently."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from capgen.evaluation.reading.tracks import Id, Iou

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class PerClassRules:
    """The rules of one benchmark.

    Args:
        iou: what whole tracks are compared by.
        areas: ranges of a track's mean area in pixels, both ends included, by the suffix of the number's name.
        lengths: ranges of the number of frames that a track is on, likewise.
        federated: only classes that a video has, or is known not to have, are evaluated in it, and unmatched
            predictions of classes that are not labelled exhaustively are ignored.
        most_per_image: predictions of an image that count, best score first; None for all.
        stated_areas: the sizes of truths are those that the file states.
        every_class: classes without truth are part of HOTA's mean, with 0.
        frame_boxes: HOTA compares the boxes of the masks, cut to whole pixels.
        distractors: classes whose truths are left out.
        merged: classes that are another class.
        common: the classes of a mean of their own; the others have another.
    """

    iou: Iou
    areas: Mapping[str, Range]
    lengths: Mapping[str, Range]
    federated: bool
    most_per_image: int | None = None
    stated_areas: bool = False
    every_class: bool = False
    frame_boxes: bool = False
    distractors: frozenset[Id] = frozenset()
    merged: Mapping[Id, Id] | None = None
    common: frozenset[Id] = frozenset()


def _sizes(small: float, large: float) -> dict[str, Range]:
    return {"_small": (0.0, small**2), "_medium": (small**2, large**2), "_large": (large**2, 1e10)}


def _numbers(text: str) -> frozenset[Id]:
    return frozenset(int(word) for word in text.split())


_LENGTHS = {"_short": (0.0, 3.0), "_middle": (3.0, 10.0), "_long": (10.0, 1e5)}

_BURST_DISTRACTORS = _numbers("""
    20 63 108 180 188 204 212 247 303 403 407 415 490 504 507 513 529 567 569 588 672 691 702 708 711 720 736
    737 798 813 815 827 831 851 877 883 912 971 976 1130 1133 1134 1169 1184 1220
""")
_BURST_COMMON = _numbers("""
    4 13 34 35 36 41 45 58 60 78 79 81 91 95 99 118 126 133 139 154 174 185 211 221 229 235 237 276 299 347 371
    382 392 428 429 452 475 480 502 544 579 621 625 642 699 714 717 729 747 779 805 829 852 896 926 937 961 979
    980 982 993 1001 1018 1038 1057 1091 1097 1099 1115 1117 1122 1132 1135 1144 1155 1162 1215 1229
""")
_TAO_MERGED: dict[Id, Id] = {504: 347, 720: 347, 912: 529, 967: 529, 207: 554, 153: 943, 201: 1175}

RULES: dict[str, PerClassRules] = {
    "youtube-vis": PerClassRules("mask", _sizes(128, 256), {}, False, stated_areas=True, every_class=True),
    "tao": PerClassRules("box", _sizes(32, 96), _LENGTHS, True, most_per_image=300),
    "burst": PerClassRules(
        "mask",
        _sizes(32, 96),
        _LENGTHS,
        True,
        most_per_image=300,
        frame_boxes=True,
        distractors=_BURST_DISTRACTORS,
        merged=_TAO_MERGED,
        common=_BURST_COMMON,
    ),
}
"""By name. TAO's file says itself which classes are merged; BURST's does not."""
