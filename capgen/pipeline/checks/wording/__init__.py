"""How captions are worded: by which kinds of words, in which order, talk differs from description."""
