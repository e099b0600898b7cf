"""Macro-F1: the mean over classes of F1."""

import numpy as np

from app.metrics._base import Metric, Sample, Value
from app.metrics._classes import classes
from app.metrics._intervals import Array, from_sums


def compute(sample: Sample) -> Value | None:
    """Over the classes that are expected or answered; an answer that is no class is wrong for its item's class."""
    if not sample.expected:
        return None
    found = classes(sample)
    size = len(found.names)
    column = np.arange(size)
    gold, said = found.expected[:, None] == column, found.answered[:, None] == column
    rows = np.concatenate([gold & said, gold, said], axis=1).astype(float)

    def macro_f1(sums: Array) -> Array:
        right, wanted, answered = sums[:, :size], sums[:, size : 2 * size], sums[:, 2 * size :]
        present = wanted + answered > 0
        f1 = 2 * right / np.where(present, wanted + answered, 1)
        return np.asarray(f1.sum(axis=1) / present.sum(axis=1))

    return from_sums(rows, macro_f1, sample.groups, (0, 1))


METRIC = Metric(
    name="macro_f1",
    label="Macro-F1",
    tasks=("classification",),
    direction="higher",
    format="percent",
    formula="mean over classes of F1 = 2·right / (expected + answered), for classes that are expected or answered",
    source="Lewis DD et al. (1996), SIGIR; the mean of F1: Opitz J, Burst S (2019), arXiv:1911.03347. Interval: BCa bootstrap.",
    compute=compute,
    order=11,
)
