"""Checks of an answer as a whole: how it ended, how long it is, how sure the model was."""
