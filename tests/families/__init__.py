"""Tiny models of the families that have a profile: real classes and formats, random weights, a few layers wide."""
