"""Experiments: one launch of a grid of models × seeds on one split."""
