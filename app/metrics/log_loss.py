"""Log loss: the mean of -ln p of the expected class."""

import numpy as np

from app.metrics._base import Metric, Sample, Value
from app.metrics._intervals import mean
from app.metrics._probabilities import probabilities

# A probability of 0 for the expected class would make the mean infinite.
SMALLEST = float(np.finfo(float).eps)


def compute(sample: Sample) -> Value | None:
    """In nats, over items with probabilities."""
    found = probabilities(sample)
    if found is None:
        return None
    return mean(-np.log(np.maximum(found.expected, SMALLEST)), found.groups, (0, np.inf))


METRIC = Metric(
    name="log_loss",
    label="Log loss",
    tasks=("classification",),
    direction="lower",
    format="number",
    formula="mean of −ln p(expected class), p at least 2.2e-16, over items with probabilities",
    source="Good IJ (1952), Rational decisions, JRSS B 14:107-114. Interval: BCa bootstrap.",
    compute=compute,
    order=13,
)
