"""``capgen judge``: how well sentences fit their objects, by the log-probabilities of a model that sees them."""
