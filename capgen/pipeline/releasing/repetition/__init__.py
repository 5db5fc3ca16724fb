"""Which captions say nearly the same: shingle sets, and their exact join."""
