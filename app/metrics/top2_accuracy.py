"""Top-2 accuracy: how often the expected class is among the two most probable ones."""

import numpy as np

from app.metrics._base import Metric, Sample, Value
from app.metrics._intervals import rate
from app.metrics._probabilities import probabilities
from app.statistics import Sums, rate_of


def compute(sample: Sample) -> Value | None:
    """Over items with probabilities; of equally probable classes the earlier label comes first."""
    found = per_item(sample)
    if found is None:
        return None
    return rate((found.of == 1).tolist(), [sample.groups[i] for i in found.items.tolist()])


def per_item(sample: Sample) -> Sums | None:
    """Among the two or not; None without probabilities."""
    found = probabilities(sample)
    if found is None:
        return None
    best = np.argsort(-found.p, axis=1, kind="stable")[:, :2]
    return rate_of((best == found.gold[:, None]).any(axis=1), found.items)


METRIC = Metric(
    name="top2_accuracy",
    label="Top-2 accuracy",
    tasks=("classification",),
    direction="higher",
    format="percent",
    formula="items whose expected class has the largest or second largest p / items with probabilities",
    source="Russakovsky O et al. (2015), ImageNet, IJCV 115:211-252 (top-k). Interval: Wilson EB (1927), JASA 22:209-212.",
    compute=compute,
    per_item=per_item,
    order=12,
)
