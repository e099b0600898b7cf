"""ROC-AUC, one class against the rest, averaged over classes."""

import numpy as np

from app.metrics._base import Metric, Sample, Value
from app.metrics._intervals import Array, from_weights
from app.metrics._probabilities import probabilities
from app.metrics._ranks import Above


def compute(sample: Sample) -> Value | None:
    """Over items with probabilities and classes that some, but not all, of them expect; None without any."""
    found = probabilities(sample)
    if found is None:
        return None
    wanted = [i for i in range(found.p.shape[1]) if 0 < np.count_nonzero(found.gold == i) < len(found.gold)]
    if not wanted:
        return None
    above: list[Above] = []

    def macro(data: Array, weights: Array) -> Array:
        if not above:
            above.extend(Above(data[:, 1 + i], data[:, 0] == i) for i in wanted)
        each = np.array([one.share(weights) for one in above])
        # A resample without one of the classes averages over the others.
        there = np.isfinite(each)
        return np.asarray(np.where(there, each, 0).sum(axis=0) / there.sum(axis=0))

    return from_weights(np.column_stack([found.gold, found.p]), macro, found.groups, (0, 1))


METRIC = Metric(
    name="roc_auc",
    label="ROC-AUC",
    tasks=("classification",),
    direction="higher",
    format="number",
    formula="mean over classes of P(p of an item of the class > p of another item), ties count half",
    source="Fawcett T (2006), Pattern Recognition Letters 27:861-874 (one against the rest). Interval: bias-corrected bootstrap.",
    compute=compute,
    order=16,
)
