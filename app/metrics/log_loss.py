"""Log loss: the mean of -ln p of the expected class."""

import numpy as np

from app.metrics._base import Metric, Sample, Value
from app.metrics._intervals import from_sums
from app.metrics._probabilities import probabilities
from app.statistics import Sums, mean_of

# A probability of 0 for the expected class would make the mean infinite.
SMALLEST = float(np.finfo(float).eps)


def compute(sample: Sample) -> Value | None:
    """In nats, over items with probabilities."""
    found = per_item(sample)
    return None if found is None else from_sums(found, sample.groups, (0, np.inf))


def per_item(sample: Sample) -> Sums | None:
    """−ln p of each item; None without probabilities."""
    found = probabilities(sample)
    if found is None:
        return None
    return mean_of(-np.log(np.maximum(found.expected, SMALLEST)), found.items)


METRIC = Metric(
    name="log_loss",
    label="Log loss",
    tasks=("classification",),
    direction="lower",
    format="number",
    formula="mean of −ln p(expected class), p at least 2.2e-16, over items with probabilities",
    source="Good IJ (1952), Rational decisions, JRSS B 14:107-114. Interval: BCa bootstrap.",
    compute=compute,
    per_item=per_item,
    order=13,
)
