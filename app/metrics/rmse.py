"""Root mean squared error of numbers."""

from dataclasses import replace

import numpy as np

from app.metrics._base import Metric, Sample, Value
from app.metrics._intervals import from_sums
from app.metrics._numbers import Numbers, numbers
from app.statistics import Sums, mean_of
from app.statistics.sums import ratio


def compute(sample: Sample) -> Value | None:
    """Over items whose answer is a number; n and detail["no_number"] count both kinds."""
    found = numbers(sample)
    if found is None:
        return None
    if not len(found.expected):
        return found.told(Value(None))
    return found.told(from_sums(_squares(found), sample.groups, (0, np.inf)))


def _squares(found: Numbers) -> Sums:
    squares = mean_of((found.answered - found.expected) ** 2, found.items)
    return replace(squares, statistic=lambda sums: np.sqrt(ratio(sums)))


def per_item(sample: Sample) -> Sums | None:
    """Each item's squared error; None without items."""
    found = numbers(sample)
    return None if found is None else _squares(found)


METRIC = Metric(
    name="rmse",
    label="Root mean squared error",
    tasks=("number",),
    direction="lower",
    format="number",
    formula="√ of the mean of (answered − expected)² over items whose answer is a number",
    source="Willmott CJ, Matsuura K (2005), Climate Research 30:79-82. Interval: BCa bootstrap.",
    compute=compute,
    per_item=per_item,
    order=11,
)
