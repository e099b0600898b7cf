"""A metric as what each item adds to it: the form in which metrics are resampled. Made by the metrics."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]
# From sums (resamples × columns) to one number per resample, nan where undefined.
Statistic = Callable[[Array], Array]


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; None where the items show no spread."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Sums:
    """A metric that is a function of sums over items.

    `items` are the positions, ascending, of the items that count; `of` says for each of them which row of
    `cells` (distinct rows × columns) it adds. Metrics of counts have few cells, the others one for each item.
    """

    items: Numbers
    cells: Array
    of: Numbers
    statistic: Statistic

    @property
    def value(self) -> float:
        """The metric on these items; nan where undefined."""
        counts = np.bincount(self.of, minlength=len(self.cells)).astype(float)
        with np.errstate(all="ignore"):
            return float(self.statistic((counts @ self.cells)[None, :])[0])

    def only(self, items: Numbers) -> "Sums":
        """The same metric on some of its items (positions, ascending)."""
        return replace(self, items=items, of=self.of[np.searchsorted(self.items, items)])


@dataclass(frozen=True)
class Ranked:
    """A metric of ranks: `statistic` takes the items' data (items × columns) and weights (items × resamples:
    how often each item was drawn) and gives one number per resample."""

    items: Numbers
    data: Array
    statistic: Callable[[Array, Array], Array]

    @property
    def value(self) -> float:
        """The metric on these items; nan where undefined."""
        with np.errstate(all="ignore"):
            return float(self.statistic(self.data, np.ones((len(self.data), 1)))[0])

    def only(self, items: Numbers) -> "Ranked":
        """The same metric on some of its items (positions, ascending)."""
        return replace(self, items=items, data=self.data[np.searchsorted(self.items, items)])


def ratio(sums: Array) -> Array:
    """First column by second: the mean."""
    return np.asarray(sums[:, 0] / sums[:, 1])


def mean_of(values: Array, items: Numbers) -> Sums:
    """The mean of one number per item."""
    rows = np.column_stack([values, np.ones(len(values))])
    return Sums(items, rows, np.arange(len(values)), ratio)


def rate_of(hits: NDArray[np.bool_], items: Numbers) -> Sums:
    """The share of hits."""
    return Sums(items, np.array([[0.0, 1.0], [1.0, 1.0]]), hits.astype(np.int64), ratio)
