"""Agreement of two raters beyond chance, with its interval. For judges against hand labels."""

from collections.abc import Sequence

import numpy as np

from app.statistics.draws import grouping, resampled, table
from app.statistics.intervals import bca
from app.statistics.sums import Array, Estimate, Sums


def cohen_kappa(a: Sequence[str], b: Sequence[str], groups: Sequence[str | None] | None = None) -> Estimate:
    """κ = (agreement − agreement by chance) / (1 − agreement by chance), from -1 to 1, of aligned labels.

    Cohen J (1960), Educational and Psychological Measurement 20:37-46; BCa interval over 10,000 resamples of the
    joint counts. Raises ValueError without items; nan when both always give the same one label.
    """
    if not len(a) or len(a) != len(b):
        raise ValueError("kappa needs at least one item with both labels")
    side = kappa_sums(a, b)
    drawn = table([side], grouping(groups if groups is not None else [None] * len(a)))
    value, found = float(drawn.total[0, 0]), resampled(drawn)[:, 0]
    found = found[np.isfinite(found)]
    if not np.isfinite(value) or len(found) < 100 or np.ptp(found) <= 1e-12:
        return Estimate(value, None, None)
    jackknife = drawn.values(drawn.counts @ drawn.rows - drawn.rows)[:, 0]
    return Estimate(value, *bca(value, found, jackknife, drawn.counts))


def kappa_sums(a: Sequence[str], b: Sequence[str]) -> Sums:
    """Kappa as sums: agreement, then how often each label comes from either rater."""
    names = {name: i for i, name in enumerate(sorted({*a, *b}))}
    size = len(names)
    one, two = (np.array([names[label] for label in side], dtype=np.int64) for side in (a, b))
    codes, of = np.unique(one * size + two, return_inverse=True)
    first, second = np.eye(size)[codes // size], np.eye(size)[codes % size]
    same = (codes // size == codes % size).astype(float)
    cells = np.column_stack([same, np.ones(len(codes)), first, second])

    def statistic(sums: Array) -> Array:
        n = sums[:, 1]
        chance = (sums[:, 2 : 2 + size] * sums[:, 2 + size :]).sum(axis=1) / n**2
        return np.asarray((sums[:, 0] / n - chance) / np.where(chance < 1, 1 - chance, np.nan))

    return Sums(np.arange(len(a)), cells, of, statistic)
