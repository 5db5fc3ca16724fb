from __future__ import annotations

import numpy as np
import pytest

from capgen.pipeline.rendering.highlights.colour import PALETTE, contrasting, parse


@pytest.mark.parametrize("name", PALETTE)
def test_a_colour_is_never_marked_with_itself(name):
    for shift in range(12):
        ground = np.clip(np.array([PALETTE[name]] * 50) - shift, 0, 255).astype(np.uint8)
        assert contrasting(ground) != name


@pytest.mark.parametrize(("ground", "unfit"), [((255, 255, 255), {"yellow", "cyan"}), ((0, 0, 0), set())])
def test_light_marks_are_not_drawn_on_white(ground, unfit):
    for size in range(1, 60):
        assert contrasting(np.array([ground] * size, dtype=np.uint8)) not in unfit


@pytest.mark.parametrize("name", PALETTE)
def test_a_line_is_judged_where_it_is_seen_worst(name):
    """Mostly black or grey of some shade, but a tenth of it has a colour of the palette: not that one."""
    for shade in range(0, 120, 3):
        ground = np.full((100, 3), shade, dtype=np.uint8)
        ground[:10] = PALETTE[name]
        assert contrasting(ground) != name


def test_where_no_colour_is_plain_to_see_the_most_different_one_is_taken():
    """Every colour of the palette but one lies under the line, and something near that one."""
    ground = [rgb for name, rgb in PALETTE.items() if name != "magenta"] + [(200, 20, 160)]
    assert contrasting(np.array(ground * 10, dtype=np.uint8)) == "magenta"


def test_no_colour_is_the_mark_of_everything():
    rng = np.random.default_rng(3)
    grounds = [rng.integers(0, 90, (60, 3), dtype=np.uint8) for _ in range(60)]
    assert len({contrasting(ground) for ground in grounds}) >= 3


def test_the_same_pixels_get_the_same_colour():
    ground = np.random.default_rng(5).integers(0, 255, (300, 3), dtype=np.uint8)
    assert len({contrasting(ground.copy()) for _ in range(3)}) == 1


def test_no_pixels_get_a_colour_all_the_same():
    assert contrasting(np.zeros((0, 3), dtype=np.uint8)) in PALETTE


def test_colours_are_names_or_hex():
    assert parse("green") == (0, 255, 0)
    assert parse("#0102fF") == (1, 2, 255)
    for wrong in ("grün", "#12345", "012345", ""):
        with pytest.raises(ValueError, match="no colour"):
            parse(wrong)
