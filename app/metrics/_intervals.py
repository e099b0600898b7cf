"""95 % intervals: Wilson's for rates, the bootstrap over items for the rest. Used by the metrics only.

Items that share a group are not independent. With at least 20 groups whole groups are drawn, and rates count
with their effective number of items; with fewer groups that cannot be estimated, and items are drawn.
"""

from collections.abc import Callable, Sequence
from functools import partial
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from app.metrics._base import Value

Array = NDArray[np.float64]
# From sums (resamples × columns) or weights (items × resamples) to one number per resample.
Statistic = Callable[[Array], Array]

NORMAL = NormalDist()
Z = NORMAL.inv_cdf(0.975)
SEED = 1987
RESAMPLES = 2_000
# Above this many units the normal interval is as good, for which 200 resamples give the standard error.
LARGE = 5_000
RESAMPLES_LARGE = 200
FEWEST_GROUPS = 20
# How many weights are held at once.
CHUNK = 2_000_000


def wilson(right: float, n: float) -> tuple[float, float]:
    """Wilson's score interval of a rate (0 to 1); n may be an effective number. Needs n > 0.

    (p + z²/2n ± z·√(p(1 − p)/n + z²/4n²)) / (1 + z²/n): Wilson EB (1927), JASA 22:209-212.
    """
    p, z2 = right / n, Z * Z
    middle, half = p + z2 / (2 * n), Z * np.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    low, high = (middle - half) / (1 + z2 / n), (middle + half) / (1 + z2 / n)
    return float(min(max(low, 0.0), p)), float(max(min(high, 1.0), p))


def rate(hits: Sequence[bool], groups: Sequence[str | None], unanswered: int | None = None) -> Value:
    """The share of hits with Wilson's interval. For grouped items n is divided by the design effect, the
    variance by groups over the variance by items (Kish 1965; with Wilson: Korn and Graubard 1998)."""
    n, right = len(hits), sum(hits)
    unit, count = units(groups)
    effective, p = float(n), right / n
    detail: dict[str, int] = {"right": right}
    if unanswered is not None:
        detail["unanswered"] = unanswered
    if count < n:
        detail["groups"] = count
        if 0 < p < 1:
            gaps = np.bincount(unit, np.asarray(hits, float) - p, minlength=count)
            by_groups = count / (count - 1) * float(gaps @ gaps) / n**2
            effective = n / max(1.0, by_groups / (p * (1 - p) / n))
    low, high = wilson(p * effective, effective)
    return Value(p, low, high, n, detail)


def units(groups: Sequence[str | None]) -> tuple[NDArray[np.int64], int]:
    """The unit that is drawn, for each item, and how many there are: groups, or the items themselves."""
    n = len(groups)
    if any(group is not None for group in groups):
        names: dict[object, int] = {}
        unit = [names.setdefault(i if group is None else group, len(names)) for i, group in enumerate(groups)]
        if FEWEST_GROUPS <= len(names) < n:
            return np.array(unit, dtype=np.int64), len(names)
    return np.arange(n, dtype=np.int64), n


def from_sums(
    rows: Array, statistic: Statistic, groups: Sequence[str | None], bounds: tuple[float, float]
) -> Value:
    """A metric that is a function of column sums over the items' rows (items × columns), with its interval.

    `statistic` takes sums (resamples × columns) and gives one number per resample, nan where undefined.
    """
    n = len(rows)
    unit, count = units(groups)
    if count < n:
        summed = np.zeros((count, rows.shape[1]))
        np.add.at(summed, unit, rows)
        rows = summed
    # Sorted, so that the order of the items has no part in the interval.
    rows = rows[np.lexsort(rows.T)]
    total = rows.sum(axis=0)
    with np.errstate(all="ignore"):
        value = float(statistic(total[None, :])[0])
        jackknife = statistic(total - rows) if count <= LARGE else None
        interval = _interval(
            value, lambda weights: statistic(weights.T @ rows), count, count, bounds, jackknife
        )
    return _value(value, interval, n, count)


def from_weights(
    data: Array,
    statistic: Callable[[Array, Array], Array],
    groups: Sequence[str | None],
    bounds: tuple[float, float],
) -> Value:
    """A metric of ranks with its interval. `statistic` takes the items' data (items × columns) and weights
    (items × resamples: how often each item was drawn) and gives one number per resample."""
    n = len(data)
    # Sorted as above; between items with equal data the group decides.
    place = {group: i for i, group in enumerate(sorted({group for group in groups if group is not None}))}
    codes = np.array([-1 if group is None else place[group] for group in groups])
    order = np.lexsort((codes, *data.T))
    data = data[order]
    unit, count = units([groups[i] for i in order])
    with np.errstate(all="ignore"):
        value = float(statistic(data, np.ones((n, 1)))[0])
        by_unit = (lambda weights: statistic(data, weights[unit])) if count < n else partial(statistic, data)
        drawn = _interval(value, by_unit, count, n, bounds, None)
    return _value(value, drawn, n, count)


def mean(values: Array, groups: Sequence[str | None], bounds: tuple[float, float]) -> Value:
    """The mean over items with its interval."""
    rows = np.column_stack([values, np.ones(len(values))])
    return from_sums(rows, lambda sums: sums[:, 0] / sums[:, 1], groups, bounds)


def _value(value: float, interval: tuple[float | None, float | None], n: int, count: int) -> Value:
    detail = {"groups": count} if count < n else {}
    return Value(value, *interval, n, detail) if np.isfinite(value) else Value(None, n=n, detail=detail)


def _interval(
    value: float,
    statistic: Statistic,
    count: int,
    items: int,
    bounds: tuple[float, float],
    jackknife: Array | None,
) -> tuple[float | None, float | None]:
    """The interval by resampling `count` units; (None, None) where the items show no spread at all.

    Up to LARGE units: bias-corrected and accelerated percentiles, Efron B (1987), JASA 82:171-185. Without a
    jackknife the acceleration is 0. Above: value ± 1.96 standard errors.
    """
    found = _resample(statistic, count, items)
    found = found[np.isfinite(found)]
    if not np.isfinite(value) or count < 2 or len(found) < 100 or np.ptp(found) <= 1e-12:
        return None, None
    if count > LARGE:
        half = Z * float(np.std(found, ddof=1))
        low, high = value - half, value + half
    else:
        low, high = np.quantile(found, _levels(value, found, jackknife))
    return max(min(float(low), value), bounds[0]), min(max(float(high), value), bounds[1])


def _levels(value: float, found: Array, jackknife: Array | None) -> Array:
    """The two quantiles that BCa takes from the resampled values."""
    tolerance = 1e-12 * max(1.0, abs(value))
    below = np.mean(found < value - tolerance) + 0.5 * np.mean(np.abs(found - value) <= tolerance)
    bias = NORMAL.inv_cdf(float(np.clip(below, 0.5 / len(found), 1 - 0.5 / len(found))))
    acceleration = 0.0
    if jackknife is not None and np.isfinite(jackknife).all():
        gaps = jackknife.mean() - jackknife
        squares = float(gaps @ gaps)
        acceleration = float((gaps**3).sum()) / (6 * squares**1.5) if squares > 0 else 0.0
    shifted = [bias - Z, bias + Z]
    return np.array([NORMAL.cdf(bias + end / (1 - acceleration * end)) for end in shifted])


def _resample(statistic: Statistic, count: int, items: int) -> Array:
    """The statistic on seeded resamples of `count` units, in pieces that fit into memory."""
    random = np.random.default_rng(SEED)
    left = RESAMPLES if count <= LARGE else RESAMPLES_LARGE
    found = []
    while left > 0:
        size = min(left, max(1, CHUNK // items))
        drawn = random.integers(0, count, (count, size)) * size + np.arange(size)
        weights = np.bincount(drawn.ravel(), minlength=count * size).reshape(count, size)
        found.append(statistic(weights.astype(np.float64)))
        left -= size
    return np.concatenate(found)
