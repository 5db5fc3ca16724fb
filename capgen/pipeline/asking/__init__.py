"""From a planned shard to its committed candidates: ask, journal, judge."""
