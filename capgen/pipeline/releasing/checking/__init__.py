"""A release read again beside plan and candidates, one range of shards at a time."""
