"""Brier score: the squared distance of the class probabilities from the truth."""

from app.metrics._base import Metric, Sample, Value
from app.metrics._intervals import mean
from app.metrics._probabilities import probabilities


def compute(sample: Sample) -> Value | None:
    """From 0 to 2, over items with probabilities."""
    found = probabilities(sample)
    if found is None:
        return None
    # An expected answer that is no label is 1 for a class that was given 0.
    stranger = (found.gold < 0).astype(float)
    return mean(((found.p - found.hits) ** 2).sum(axis=1) + stranger, found.groups, (0, 2))


METRIC = Metric(
    name="brier",
    label="Brier score",
    tasks=("classification",),
    direction="lower",
    format="number",
    formula="mean over items of Σ over classes of (p − 1 if expected else p − 0)², from 0 to 2",
    source="Brier GW (1950), Monthly Weather Review 78:1-3. Interval: BCa bootstrap.",
    compute=compute,
    order=14,
)
