"""Probabilities of labels from their log-probabilities. Used by the engines that have no torch."""

import math


def softmax(scores: list[float]) -> list[float]:
    """exp(score) normalised to 1, as numbers of double precision."""
    most = max(scores)
    parts = [math.exp(score - most) for score in scores]
    return [part / sum(parts) for part in parts]
