"""The prefix cache that the benchmark of layouts counts with."""

from benchmarks.planning.layout_tokens import PrefixCache, identified


def test_only_whole_blocks_from_the_beginning_are_found_and_never_the_last_token():
    cache = PrefixCache(4)
    assert cache.cached([1, 2, 3, 4, 5, 6, 7, 8]) == 0
    assert cache.cached([1, 2, 3, 4, 5, 6, 7, 8]) == 4
    assert cache.cached([1, 2, 3, 4, 5, 6, 7, 8, 9]) == 8
    assert cache.cached([9, 2, 3, 4, 5, 6, 7, 8, 9]) == 0
    assert cache.cached([1, 2, 3, 4, 5, 6, 7, 9, 9]) == 4


def test_a_picture_is_told_from_another_of_the_same_size():
    one, other = (identified([7, 0, 0, 8, 0], digests, pad=0) for digests in (["a", "b"], ["c", "b"]))
    assert one == [7, ("a", 0), ("a", 1), 8, ("b", 0)]
    assert one != other
