"""Runs: one model, one seed, one dataset; train, predict, score."""
