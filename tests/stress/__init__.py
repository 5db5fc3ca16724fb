"""Kills, hostile input and scale: programs that run for minutes and write their counts to results/."""

from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"
