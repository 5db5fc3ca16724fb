"""MAKES the dataset: sources, rendering, engines, checks, the run and its ledger."""
