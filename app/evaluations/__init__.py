"""Evaluations: predictions on one part of a split, read under answer rules, and scored."""
