"""Within tolerance: the share of numbers that the answer rules call right."""

import numpy as np

from app.metrics._base import Metric, Sample, Value
from app.metrics._intervals import rate
from app.statistics import Sums, rate_of


def compute(sample: Sample) -> Value | None:
    """An answer without a number counts as wrong."""
    if not sample.expected:
        return None
    return rate(sample.correct, sample.groups, sum(answer is None for answer in sample.answers))


def per_item(sample: Sample) -> Sums:
    """Right or wrong."""
    return rate_of(np.array(sample.correct, dtype=bool), np.arange(len(sample.correct)))


METRIC = Metric(
    name="within_tolerance",
    label="Within tolerance",
    tasks=("number",),
    direction="higher",
    format="percent",
    formula="answers within the tolerance of the answer rules / all items; no number counts as wrong",
    source="Relaxed accuracy: Methani N et al. (2020), PlotQA, WACV. Interval: Wilson EB (1927), JASA 22:209-212.",
    compute=compute,
    per_item=per_item,
    order=20,
)
