"""The share of items that the answer rules call right, shared by the metrics that differ only in their task."""

import numpy as np

from app.metrics._base import Sample, Value
from app.metrics._intervals import rate
from app.statistics import Sums, rate_of


def share_right(sample: Sample) -> Value | None:
    """Right answers / all items with a Wilson interval; no answer counts as wrong. None without items."""
    if not sample.expected:
        return None
    return rate(sample.correct, sample.groups, sum(answer is None for answer in sample.answers))


def right_by_item(sample: Sample) -> Sums:
    """Right or wrong, item by item."""
    return rate_of(np.array(sample.correct, dtype=bool), np.arange(len(sample.correct)))
