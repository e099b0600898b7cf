"""ROC-AUC, one class against the rest, averaged over classes."""

from functools import partial

import numpy as np

from app.metrics._base import Metric, Sample, Value
from app.metrics._intervals import from_ranks
from app.metrics._probabilities import probabilities
from app.metrics._ranks import Above
from app.statistics import Ranked
from app.statistics.sums import Array


def compute(sample: Sample) -> Value | None:
    """Over items with probabilities and classes that some, but not all, of them expect; None without any."""
    found = per_item(sample)
    return None if found is None else from_ranks(found, sample.groups, (0, 1))


def per_item(sample: Sample) -> Ranked | None:
    """Each item's class and probabilities; None where no class can be told from others."""
    found = probabilities(sample)
    if found is None:
        return None
    wanted = [i for i in range(found.p.shape[1]) if 0 < np.count_nonzero(found.gold == i) < len(found.gold)]
    if not wanted:
        return None
    # Equal probabilities are ties, whatever the last digit of their scaling says.
    return Ranked(found.items, np.column_stack([found.gold, found.p.round(12)]), partial(_macro, wanted))


def _macro(wanted: list[int], data: Array, weights: Array) -> Array:
    each = np.array([Above(data[:, 1 + i], data[:, 0] == i).share(weights) for i in wanted])
    # A resample without one of the classes averages over the others.
    there = np.isfinite(each)
    return np.asarray(np.where(there, each, 0).sum(axis=0) / there.sum(axis=0))


METRIC = Metric(
    name="roc_auc",
    label="ROC-AUC",
    tasks=("classification",),
    direction="higher",
    format="number",
    formula="mean over classes of P(p of an item of the class > p of another item), ties count half",
    source="Fawcett T (2006), Pattern Recognition Letters 27:861-874 (one against the rest). Interval: bias-corrected bootstrap.",
    compute=compute,
    per_item=per_item,
    order=16,
)
