"""How many captions the checks catch and keep, and how fast they are."""
