"""The captioning head: a Q-Former over an object's own tokens, and a language model."""
