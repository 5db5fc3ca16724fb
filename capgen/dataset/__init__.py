"""THE CONTRACT: the types, the Arrow schemas with their version, shards on disk, the card."""
