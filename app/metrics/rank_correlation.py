"""Spearman's rank correlation of answered and expected numbers."""

import numpy as np

from app.metrics._base import Metric, Sample, Value
from app.metrics._intervals import Array, from_weights
from app.metrics._numbers import numbers
from app.metrics._ranks import Ranks


def compute(sample: Sample) -> Value | None:
    """Over items whose answer is a number; no value where either side is always the same number."""
    found = numbers(sample)
    if found is None:
        return None
    if len(found.expected) < 2 or np.ptp(found.expected) == 0 or np.ptp(found.answered) == 0:
        return found.told(Value(None, n=len(found.expected)))
    ranked: list[Ranks] = []

    def spearman(data: Array, weights: Array) -> Array:
        if not ranked:
            ranked.extend(Ranks(column) for column in data.T)
        total = weights.sum(axis=0)
        # The mean of n ranks is (n + 1) / 2, with ties too.
        gold, said = (one.within(weights) - (total + 1) / 2 for one in ranked)
        both = (weights * gold * said).sum(axis=0)
        return np.asarray(both / np.sqrt((weights * gold**2).sum(axis=0) * (weights * said**2).sum(axis=0)))

    data = np.column_stack([found.expected, found.answered])
    return found.told(from_weights(data, spearman, found.groups, (-1, 1)))


METRIC = Metric(
    name="rank_correlation",
    label="Rank correlation",
    tasks=("number",),
    direction="higher",
    format="number",
    formula="Pearson correlation of the ranks of answered and expected numbers, ties sharing their mean rank",
    source="Spearman C (1904), American Journal of Psychology 15:72-101. Interval: bias-corrected bootstrap.",
    compute=compute,
    order=13,
)
