"""R²: the share of the expected numbers' variance that the answers explain."""

import numpy as np

from app.metrics._base import Metric, Sample, Value
from app.metrics._intervals import from_sums
from app.metrics._numbers import Numbers, numbers
from app.statistics import Sums
from app.statistics.sums import Array


def compute(sample: Sample) -> Value | None:
    """Over items whose answer is a number; no value where all expected numbers are the same."""
    found = numbers(sample)
    if found is None:
        return None
    if len(found.expected) < 2 or np.ptp(found.expected) == 0:
        return found.told(Value(None, n=len(found.expected)))
    return found.told(from_sums(_parts(found), sample.groups, (-np.inf, 1)))


def _parts(found: Numbers) -> Sums:
    # Centred, so that the variance does not drown in rounding.
    gold = found.expected - (found.expected.mean() if len(found.expected) else 0)
    rows = np.column_stack([(found.answered - found.expected) ** 2, gold, gold**2, np.ones(len(gold))])
    return Sums(found.items, rows, np.arange(len(gold)), _r2)


def per_item(sample: Sample) -> Sums | None:
    """Each item's squared error and what the variance is made of; None without items."""
    found = numbers(sample)
    return None if found is None else _parts(found)


def _r2(sums: Array) -> Array:
    variation = sums[:, 2] - sums[:, 1] ** 2 / sums[:, 3]
    return np.asarray(1 - sums[:, 0] / np.where(variation > 0, variation, np.nan))


METRIC = Metric(
    name="r2",
    label="R²",
    tasks=("number",),
    direction="higher",
    format="number",
    formula="1 − Σ (answered − expected)² / Σ (expected − mean expected)², over items whose answer is a number",
    source="Kvålseth TO (1985), Cautionary note about R², The American Statistician 39:279-285. Interval: BCa bootstrap.",
    compute=compute,
    per_item=per_item,
    order=12,
)
