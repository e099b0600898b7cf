"""Macro-F1: the mean over classes of F1."""

import numpy as np

from app.metrics._base import Metric, Sample, Value
from app.metrics._classes import classes
from app.metrics._intervals import from_sums
from app.statistics import Sums
from app.statistics.sums import Array


def compute(sample: Sample) -> Value | None:
    """Over the classes that are expected or answered; an answer that is no class is wrong for its item's class."""
    return from_sums(per_item(sample), sample.groups, (0, 1)) if sample.expected else None


def per_item(sample: Sample) -> Sums:
    """Right, expected and answered by class: one row for each pair of classes that occurs. Samples with the same
    labels and expected answers have the same columns."""
    found = classes(sample, all_labels=True)
    size = len(found.names)
    pairs, of = np.unique(found.expected * (size + 1) + found.answered, return_inverse=True)
    column = np.arange(size)
    gold, said = (pairs // (size + 1))[:, None] == column, (pairs % (size + 1))[:, None] == column
    cells = np.concatenate([gold & said, gold, said], axis=1).astype(float)
    return Sums(np.arange(len(of)), cells, of, _macro_f1)


def _macro_f1(sums: Array) -> Array:
    size = sums.shape[1] // 3
    right, wanted, answered = sums[:, :size], sums[:, size : 2 * size], sums[:, 2 * size :]
    present = wanted + answered > 0
    f1 = 2 * right / np.where(present, wanted + answered, 1)
    return np.asarray(f1.sum(axis=1) / present.sum(axis=1))


METRIC = Metric(
    name="macro_f1",
    label="Macro-F1",
    tasks=("classification",),
    direction="higher",
    format="percent",
    formula="mean over classes of F1 = 2·right / (expected + answered), for classes that are expected or answered",
    source="Lewis DD et al. (1996), SIGIR; the mean of F1: Opitz J, Burst S (2019), arXiv:1911.03347. Interval: BCa bootstrap.",
    compute=compute,
    per_item=per_item,
    order=11,
)
