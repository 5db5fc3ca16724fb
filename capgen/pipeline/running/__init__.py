"""The driver: shards handed to workers, on Ray or in this process; lock, progress, status, retry."""
