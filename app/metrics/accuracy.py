"""Accuracy: the share of right answers."""

import numpy as np

from app.metrics._base import Metric, Sample, Value
from app.metrics._intervals import rate
from app.statistics import Sums, rate_of


def compute(sample: Sample) -> Value | None:
    """An item without an answer counts as wrong."""
    if not sample.expected:
        return None
    return rate(sample.correct, sample.groups, sum(answer is None for answer in sample.answers))


def per_item(sample: Sample) -> Sums:
    """Right or wrong."""
    return rate_of(np.array(sample.correct, dtype=bool), np.arange(len(sample.correct)))


METRIC = Metric(
    name="accuracy",
    label="Accuracy",
    tasks=("classification",),
    direction="higher",
    format="percent",
    formula="right answers / all items; no answer counts as wrong",
    source="Interval: Wilson EB (1927), Probable inference, JASA 22:209-212.",
    compute=compute,
    per_item=per_item,
    order=10,
)
