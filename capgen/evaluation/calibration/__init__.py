"""How precise captions are at what share kept, by a score of theirs, and the threshold for a wanted precision."""
