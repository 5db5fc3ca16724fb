"""Names that are used once, also of very many numbers."""

import pytest

from capgen.pipeline.sources.reading.planner import Names, NumberNames


@pytest.mark.parametrize("kind", [Names, NumberNames])
def test_a_name_that_is_taken_gets_a_number_behind_it(kind):
    names = kind()
    assert [names.claim(key) for key in ("a", "a", "a~2", "a")] == ["a", "a~2", "a~2~2", "a~3"]


def test_numbers_are_told_apart_whatever_their_size():
    names = NumberNames()
    keys = [7, 0, 7, 2**40, 2**40, -1, 7, 8]
    assert [names.claim(key) for key in keys] == ["7", "0", "7~2", str(2**40), f"{2**40}~2", "-1", "7~3", "8"]


def test_a_million_numbers_take_little_memory():
    names = NumberNames()
    for number in range(0, 1_000_000, 7):
        names.claim(number)
    assert len(names._bits) <= 125_000
    assert names._others.used == {}
