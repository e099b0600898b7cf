"""Class probabilities as a matrix. Items without probabilities are left out, and n says how many are in."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.metrics._base import Sample


@dataclass(frozen=True)
class Probabilities:
    """`p` is items × labels, each row summing to 1; `gold` the expected label's column (-1: no
    label); `items` are the places of the items in the sample."""

    p: NDArray[np.float64]
    gold: NDArray[np.int64]
    items: NDArray[np.int64]

    @property
    def expected(self) -> NDArray[np.float64]:
        """The probability of each item's expected label; 0 where it is no label."""
        chosen = self.p[np.arange(len(self.gold)), np.maximum(self.gold, 0)]
        return np.where(self.gold >= 0, chosen, 0.0)

    @property
    def hits(self) -> NDArray[np.float64]:
        """1 at each item's expected label (items × labels), else 0."""
        return (np.arange(self.p.shape[1]) == self.gold[:, None]).astype(float)


def probabilities(sample: Sample) -> Probabilities | None:
    """The items that have probabilities, scaled to sum to 1; None when no item has any."""
    labels = list(dict.fromkeys(sample.labels))
    having = [i for i, row in enumerate(sample.probabilities) if row]
    if not labels or not having:
        return None
    p = np.array(
        [[(sample.probabilities[i] or {}).get(label, 0.0) for label in labels] for i in having], float
    )
    totals = p.sum(axis=1)
    usable = np.isfinite(totals) & (totals > 0) & (p >= 0).all(axis=1)
    if not usable.any():
        return None
    kept = [i for i, use in zip(having, usable, strict=True) if use]
    place = {label: column for column, label in enumerate(labels)}
    gold = np.array([place.get(sample.expected[i], -1) for i in kept], dtype=np.int64)
    return Probabilities(p[usable] / totals[usable, None], gold, np.array(kept, dtype=np.int64))


def entropies(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shannon's entropy of each row in nats, with 0·ln 0 = 0."""
    return -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=1)
