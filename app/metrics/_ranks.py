"""Ranks within weighted resamples, for rank correlation and ROC-AUC. Weights are items × resamples."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Ranks:
    """The order of a column, found once; mean ranks follow for every resample."""

    def __init__(self, values: Array) -> None:
        self.order = np.argsort(values, kind="stable")
        ordered = values[self.order]
        new = np.concatenate([[True], ordered[1:] != ordered[:-1]])
        self.starts = np.flatnonzero(new)
        self.place = np.empty(len(values), dtype=np.int64)
        self.place[self.order] = np.cumsum(new) - 1

    def within(self, weights: Array) -> Array:
        """Every item's rank when it is drawn `weights` times; equal values share their mean rank."""
        drawn = weights[self.order]
        if len(self.starts) < len(self.order):
            drawn = np.add.reduceat(drawn, self.starts, axis=0)
        return (np.cumsum(drawn, axis=0) - (drawn - 1) / 2)[self.place]


class Above:
    """How often one kind of item lies above the other, found once and counted for every resample."""

    def __init__(self, values: Array, positive: NDArray[np.bool_]) -> None:
        negatives = np.flatnonzero(~positive)
        self.negatives = negatives[np.argsort(values[negatives], kind="stable")]
        self.positives = np.flatnonzero(positive)
        below = values[self.negatives]
        self.less = np.searchsorted(below, values[self.positives], side="left")
        self.not_more = np.searchsorted(below, values[self.positives], side="right")

    def share(self, weights: Array) -> Array:
        """P(a positive lies above a negative), ties counting half; nan for resamples without one of the two."""
        beaten = np.zeros((len(self.negatives) + 1, weights.shape[1]))
        np.cumsum(weights[self.negatives], axis=0, out=beaten[1:])
        drawn = weights[self.positives]
        wins = (drawn * (beaten[self.less] + beaten[self.not_more])).sum(axis=0) / 2
        return np.asarray(wins / (drawn.sum(axis=0) * beaten[-1]))
