"""Set match: the share of lists with the expected elements, in any order."""

import numpy as np

from app.metrics._base import Metric, Sample, Value
from app.metrics._intervals import rate
from app.statistics import Sums, rate_of


def compute(sample: Sample) -> Value | None:
    """The answer rules compare lists as sets; no answer counts as wrong."""
    if not sample.expected:
        return None
    return rate(sample.correct, sample.groups, sum(answer is None for answer in sample.answers))


def per_item(sample: Sample) -> Sums:
    """Right or wrong."""
    return rate_of(np.array(sample.correct, dtype=bool), np.arange(len(sample.correct)))


METRIC = Metric(
    name="set_match",
    label="Set match",
    tasks=("list",),
    direction="higher",
    format="percent",
    formula="answers with exactly the expected elements, in any order / all items",
    source="Subset accuracy: Tsoumakas G, Katakis I (2007), IJDWM 3(3):1-13. Interval: Wilson EB (1927), JASA 22:209-212.",
    compute=compute,
    per_item=per_item,
    order=10,
)
