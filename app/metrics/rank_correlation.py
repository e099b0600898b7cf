"""Spearman's rank correlation of answered and expected numbers."""

import numpy as np

from app.metrics._base import Metric, Sample, Value
from app.metrics._intervals import from_ranks
from app.metrics._numbers import Numbers, numbers
from app.metrics._ranks import Ranks
from app.statistics import Ranked
from app.statistics.sums import Array


def compute(sample: Sample) -> Value | None:
    """Over items whose answer is a number; no value where either side is always the same number."""
    found = numbers(sample)
    if found is None:
        return None
    if len(found.expected) < 2 or np.ptp(found.expected) == 0 or np.ptp(found.answered) == 0:
        return found.told(Value(None, n=len(found.expected)))
    return found.told(from_ranks(_ranked(found), sample.groups, (-1, 1)))


def _ranked(found: Numbers) -> Ranked:
    return Ranked(found.items, np.column_stack([found.expected, found.answered]), _spearman)


def per_item(sample: Sample) -> Ranked | None:
    """Both numbers of each item; None without items."""
    found = numbers(sample)
    return None if found is None else _ranked(found)


def _spearman(data: Array, weights: Array) -> Array:
    total = weights.sum(axis=0)
    # The mean of n ranks is (n + 1) / 2, with ties too.
    gold, said = (Ranks(column).within(weights) - (total + 1) / 2 for column in data.T)
    both = (weights * gold * said).sum(axis=0)
    return np.asarray(both / np.sqrt((weights * gold**2).sum(axis=0) * (weights * said**2).sum(axis=0)))


METRIC = Metric(
    name="rank_correlation",
    label="Rank correlation",
    tasks=("number",),
    direction="higher",
    format="number",
    formula="Pearson correlation of the ranks of answered and expected numbers, ties sharing their mean rank",
    source="Spearman C (1904), American Journal of Psychology 15:72-101. Interval: bias-corrected bootstrap.",
    compute=compute,
    per_item=per_item,
    order=13,
)
