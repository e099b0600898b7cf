"""Root mean squared error of numbers."""

import numpy as np

from app.metrics._base import Metric, Sample, Value
from app.metrics._intervals import from_sums
from app.metrics._numbers import numbers


def compute(sample: Sample) -> Value | None:
    """Over items whose answer is a number; n and detail["no_number"] count both kinds."""
    found = numbers(sample)
    if found is None:
        return None
    if not len(found.expected):
        return found.told(Value(None))
    rows = np.column_stack([(found.answered - found.expected) ** 2, np.ones(len(found.expected))])
    return found.told(
        from_sums(rows, lambda sums: np.sqrt(sums[:, 0] / sums[:, 1]), found.groups, (0, np.inf))
    )


METRIC = Metric(
    name="rmse",
    label="Root mean squared error",
    tasks=("number",),
    direction="lower",
    format="number",
    formula="√ of the mean of (answered − expected)² over items whose answer is a number",
    source="Willmott CJ, Matsuura K (2005), Climate Research 30:79-82. Interval: BCa bootstrap.",
    compute=compute,
    order=11,
)
