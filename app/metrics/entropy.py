"""Entropy of the class probabilities: how undecided the model is, right or wrong."""

import numpy as np

from app.metrics._base import Metric, Sample, Value
from app.metrics._intervals import mean
from app.metrics._probabilities import entropies, probabilities


def compute(sample: Sample) -> Value | None:
    """Over items with probabilities."""
    found = probabilities(sample)
    return None if found is None else mean(entropies(found.p), found.groups, (0, np.inf))


METRIC = Metric(
    name="entropy",
    label="Entropy",
    tasks=("classification",),
    direction="none",
    format="number",
    formula="mean over items of H = −Σ p·ln p over classes, in nats",
    source="Shannon CE (1948), A mathematical theory of communication, Bell System Technical Journal 27. Interval: BCa bootstrap.",
    compute=compute,
    order=17,
)
