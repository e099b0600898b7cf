"""95 % intervals: Wilson's for rates, the bootstrap over items for the rest. Used by the metrics only.

Items that share a group are not independent. With at least 20 groups whole groups are drawn, and rates count
with their effective number of items; with fewer groups that cannot be estimated, and items are drawn.
"""

from collections.abc import Callable, Sequence

import numpy as np

from app.metrics._base import Value
from app.statistics import SEED, Ranked, Sums, Z, bca, grouping, mean_of, wilson
from app.statistics.draws import Table, resampled, table, weights
from app.statistics.sums import Array

RESAMPLES = 2_000
# Above this many units the normal interval is as good, for which 200 resamples give the standard error.
LARGE = 5_000
RESAMPLES_LARGE = 200


def rate(hits: Sequence[bool], groups: Sequence[str | None], unanswered: int | None = None) -> Value:
    """The share of hits with Wilson's interval. For grouped items n is divided by the design effect, the
    variance by groups over the variance by items (Kish 1965; with Wilson: Korn and Graubard 1998)."""
    n, right = len(hits), sum(hits)
    drawn = grouping(groups)
    effective, p = float(n), right / n
    detail: dict[str, int] = {"right": right}
    if unanswered is not None:
        detail["unanswered"] = unanswered
    if drawn.whole_groups:
        count = detail["groups"] = drawn.count
        if 0 < p < 1:
            gaps = np.bincount(drawn.unit, np.asarray(hits, float) - p, minlength=count)
            by_groups = count / (count - 1) * float(gaps @ gaps) / n**2
            effective = n / max(1.0, by_groups / (p * (1 - p) / n))
    low, high = wilson(p * effective, effective)
    return Value(p, low, high, n, detail)


def from_sums(side: Sums, groups: Sequence[str | None], bounds: tuple[float, float]) -> Value:
    """A metric of sums with its interval; `groups` are those of all items of the sample."""
    drawn = grouping([groups[i] for i in side.items.tolist()])
    made = table([side], drawn)
    value = float(made.total[0, 0])
    interval = _of_sums(value, made, bounds) if made.units > 1 else (None, None)
    return _value(value, interval, len(side.of), drawn.count)


def _of_sums(value: float, made: Table, bounds: tuple[float, float]) -> tuple[float | None, float | None]:
    large = len(made.rows) > LARGE
    found = resampled(made, RESAMPLES_LARGE if large else RESAMPLES)[:, 0]
    if large:
        return _interval(value, found, True, bounds)
    with np.errstate(all="ignore"):
        jackknife = made.values(made.counts @ made.rows - made.rows)[:, 0]
    return _interval(value, found, False, bounds, lambda ok: bca(value, ok, jackknife, made.counts))


def from_ranks(side: Ranked, groups: Sequence[str | None], bounds: tuple[float, float]) -> Value:
    """A metric of ranks with its interval; `groups` are those of all items of the sample."""
    own = [groups[i] for i in side.items.tolist()]
    # Sorted, so that the order of the items has no part in it; between items with equal data the group decides.
    place = {group: i for i, group in enumerate(sorted({group for group in own if group is not None}))}
    codes = np.array([-1 if group is None else place[group] for group in own])
    order = np.lexsort((codes, *side.data.T))
    data, drawn = side.data[order], grouping([own[i] for i in order.tolist()])
    large = drawn.count > LARGE
    counts = np.ones(drawn.count, dtype=np.int64)
    with np.errstate(all="ignore"):
        found = np.concatenate(
            [
                side.statistic(data, np.ascontiguousarray(chunk.T)[drawn.unit])
                for chunk in weights(counts, RESAMPLES_LARGE if large else RESAMPLES, SEED, len(data))
            ]
        )
    value = side.value
    interval = _interval(value, found, large, bounds) if drawn.count > 1 else (None, None)
    return _value(value, interval, len(data), drawn.count)


def mean(values: Array, groups: Sequence[str | None], bounds: tuple[float, float]) -> Value:
    """The mean over items with its interval."""
    return from_sums(mean_of(values, np.arange(len(values))), groups, bounds)


def _value(value: float, interval: tuple[float | None, float | None], n: int, count: int) -> Value:
    detail = {"groups": count} if count < n else {}
    return Value(value, *interval, n, detail) if np.isfinite(value) else Value(None, n=n, detail=detail)


def _interval(
    value: float,
    found: Array,
    large: bool,
    bounds: tuple[float, float],
    corrected: Callable[[Array], tuple[float, float]] | None = None,
) -> tuple[float | None, float | None]:
    """The interval from resampled values; (None, None) where the items show no spread at all.

    BCa with a jackknife in `corrected`, bias-corrected without one; where there are many units, value ± 1.96
    standard errors.
    """
    found = found[np.isfinite(found)]
    if not np.isfinite(value) or len(found) < 100 or np.ptp(found) <= 1e-12:
        return None, None
    if large:
        half = Z * float(np.std(found, ddof=1))
        low, high = value - half, value + half
    else:
        low, high = corrected(found) if corrected else bca(value, found)
    return max(min(low, value), bounds[0]), min(max(high, value), bounds[1])
