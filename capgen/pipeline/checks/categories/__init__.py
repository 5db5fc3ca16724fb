"""Whether a caption speaks of an object of the category that was asked for."""
