"""Correction of p values when several pairs are claimed at once."""

from collections.abc import Sequence

import numpy as np


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted p values in the order given: each may be held against 0.05, and the chance of one false claim or
    more among all stays below 5 %.

    The i-th smallest of m becomes max over j ≤ i of min(1, (m − j + 1) · p₍ⱼ₎). Holm S (1979), Scandinavian
    Journal of Statistics 6:65-70.
    """
    values = np.asarray(p, dtype=float)
    order = np.argsort(values, kind="stable")
    steps = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(steps, 1.0)
    return [float(one) for one in adjusted]
