"""Confidence intervals from drawing the videos again."""
