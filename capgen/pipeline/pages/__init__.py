"""Pages that people look at: what the model would see, and what it said."""
