"""Brier score: the squared distance of the class probabilities from the truth."""

from app.metrics._base import Metric, Sample, Value
from app.metrics._intervals import from_sums
from app.metrics._probabilities import probabilities
from app.statistics import Sums, mean_of


def compute(sample: Sample) -> Value | None:
    """From 0 to 2, over items with probabilities."""
    found = per_item(sample)
    return None if found is None else from_sums(found, sample.groups, (0, 2))


def per_item(sample: Sample) -> Sums | None:
    """Each item's squared distance; None without probabilities."""
    found = probabilities(sample)
    if found is None:
        return None
    # An expected answer that is no label is 1 for a class that was given 0.
    stranger = (found.gold < 0).astype(float)
    return mean_of(((found.p - found.hits) ** 2).sum(axis=1) + stranger, found.items)


METRIC = Metric(
    name="brier",
    label="Brier score",
    tasks=("classification",),
    direction="lower",
    format="number",
    formula="mean over items of Σ over classes of (p − 1 if expected else p − 0)², from 0 to 2",
    source="Brier GW (1950), Monthly Weather Review 78:1-3. Interval: BCa bootstrap.",
    compute=compute,
    per_item=per_item,
    order=14,
)
