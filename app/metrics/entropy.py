"""Entropy of the class probabilities: how undecided the model is, right or wrong."""

import numpy as np

from app.metrics._base import Metric, Sample, Value
from app.metrics._intervals import from_sums
from app.metrics._probabilities import entropies, probabilities
from app.statistics import Sums, mean_of


def compute(sample: Sample) -> Value | None:
    """Over items with probabilities."""
    found = per_item(sample)
    return None if found is None else from_sums(found, sample.groups, (0, np.inf))


def per_item(sample: Sample) -> Sums | None:
    """Each item's entropy; None without probabilities."""
    found = probabilities(sample)
    return None if found is None else mean_of(entropies(found.p), found.items)


METRIC = Metric(
    name="entropy",
    label="Entropy",
    tasks=("classification",),
    direction="none",
    format="number",
    formula="mean over items of H = −Σ p·ln p over classes, in nats",
    source="Shannon CE (1948), A mathematical theory of communication, Bell System Technical Journal 27. Interval: BCa bootstrap.",
    compute=compute,
    per_item=per_item,
    order=17,
)
