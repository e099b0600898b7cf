"""Mean absolute error of numbers."""

import numpy as np

from app.metrics._base import Metric, Sample, Value
from app.metrics._intervals import from_sums
from app.metrics._numbers import Numbers, numbers
from app.statistics import Sums, mean_of


def compute(sample: Sample) -> Value | None:
    """Over items whose answer is a number; n and detail["no_number"] count both kinds."""
    found = numbers(sample)
    if found is None:
        return None
    if not len(found.expected):
        return found.told(Value(None))
    return found.told(from_sums(_errors(found), sample.groups, (0, np.inf)))


def _errors(found: Numbers) -> Sums:
    return mean_of(np.abs(found.answered - found.expected), found.items)


def per_item(sample: Sample) -> Sums | None:
    """Each item's error; None without items."""
    found = numbers(sample)
    return None if found is None else _errors(found)


METRIC = Metric(
    name="mae",
    label="Mean absolute error",
    tasks=("number",),
    direction="lower",
    format="number",
    formula="mean of |answered − expected| over items whose answer is a number",
    source="Willmott CJ, Matsuura K (2005), Climate Research 30:79-82. Interval: BCa bootstrap.",
    compute=compute,
    per_item=per_item,
    order=10,
)
