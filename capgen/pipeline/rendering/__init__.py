"""From a medium and its masks to the pictures and text that a model is asked with."""
