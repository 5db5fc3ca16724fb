"""The gallery: a local page over a run's rows, in which people look, search, flag and edit."""
