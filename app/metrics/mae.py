"""Mean absolute error of numbers."""

import numpy as np

from app.metrics._base import Metric, Sample, Value
from app.metrics._intervals import mean
from app.metrics._numbers import numbers


def compute(sample: Sample) -> Value | None:
    """Over items whose answer is a number; n and detail["no_number"] count both kinds."""
    found = numbers(sample)
    if found is None:
        return None
    if not len(found.expected):
        return found.told(Value(None))
    return found.told(mean(np.abs(found.answered - found.expected), found.groups, (0, np.inf)))


METRIC = Metric(
    name="mae",
    label="Mean absolute error",
    tasks=("number",),
    direction="lower",
    format="number",
    formula="mean of |answered − expected| over items whose answer is a number",
    source="Willmott CJ, Matsuura K (2005), Climate Research 30:79-82. Interval: BCa bootstrap.",
    compute=compute,
    order=10,
)
