"""Two models on the same items by any metric: interval of the difference and a test of it.

A side is a list of one metric for each seed of a model; all of them count the same items.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from app.statistics.draws import (
    CHUNK,
    RESAMPLES,
    SEED,
    Grouping,
    Table,
    one_thread,
    resampled,
    table,
    weights,
)
from app.statistics.intervals import bca, percentile
from app.statistics.sums import Array, Estimate, Numbers, Ranked, Statistic, Sums

# With so few units that differ every swap is tried, and p is exact.
MOST_EXACT = 13
TINY = 1e-12


Side = Sequence[Sums]


def paired_bootstrap(
    a: Side, b: Side, drawn: Grouping, resamples: int = RESAMPLES, method: str = "bca"
) -> Estimate:
    """The metric of A minus that of B (means over seeds) with its interval; both get the same resamples.

    `method` is bca (Efron 1987, JASA 82:171-185) or percentile. For language models: Miller E (2024),
    arXiv:2411.00640, section 4; small sets: Bowyer S et al. (2025), arXiv:2503.01747.
    """
    return paired_bootstraps([(a, b)], drawn, resamples, method)[0]


def paired_bootstraps(
    pairs: Sequence[tuple[Side, Side]], drawn: Grouping, resamples: int = RESAMPLES, method: str = "bca"
) -> list[Estimate]:
    """paired_bootstrap of several metrics or models over the same items, which share the resamples: with many
    items drawing takes most of the time."""
    made = table([side for a, b in pairs for side in (*a, *b)], drawn)
    total, found = made.total, resampled(made, resamples, SEED)
    with np.errstate(all="ignore"):
        jackknife = made.values(made.counts @ made.rows - made.rows) if method == "bca" else None
    estimates, start = [], 0
    for a, b in pairs:
        end = start + len(a) + len(b)
        columns = slice(start, end)
        without = None if jackknife is None else _difference(jackknife[:, columns], len(a))
        differences = _difference(found[:, columns], len(a))
        value = float(_difference(total[:, columns], len(a))[0])
        estimates.append(_estimate(value, differences, without, made))
        start = end
    return estimates


def _estimate(value: float, found: Array, jackknife: Array | None, made: Table) -> Estimate:
    found = found[np.isfinite(found)]
    if not np.isfinite(value) or made.units < 2 or len(found) < 100 or np.ptp(found) <= TINY:
        return Estimate(value, None, None)
    if jackknife is None:
        return Estimate(value, *percentile(found))
    return Estimate(value, *bca(value, found, jackknife, made.counts))


def _difference(values: Array, seeds_of_a: int) -> Array:
    return np.asarray(values[:, :seeds_of_a].mean(axis=1) - values[:, seeds_of_a:].mean(axis=1))


def ranked_bootstrap(
    a: Sequence[Ranked], b: Sequence[Ranked], drawn: Grouping, resamples: int
) -> tuple[Estimate, float]:
    """The difference of a metric of ranks with its percentile interval, and p: twice the smaller share of
    resampled differences on either side of 0 (Efron B, Tibshirani RJ 1993, An Introduction to the Bootstrap,
    15.3 and 16.4; one is added to both counts)."""
    value = float(np.mean([side.value for side in a]) - np.mean([side.value for side in b]))
    found: list[Array] = []
    counts = np.ones(drawn.count, dtype=np.int64)
    with np.errstate(all="ignore"):
        for chunk in weights(counts, resamples, SEED, len(drawn.unit)):
            by_item = np.ascontiguousarray(chunk.T)[drawn.unit]
            each = [side.statistic(side.data, by_item) for side in (*a, *b)]
            found.append(_difference(np.column_stack(each), len(a)))
    values = np.concatenate(found)
    values = values[np.isfinite(values)]
    if not np.isfinite(value) or len(values) < 100 or np.ptp(values) <= TINY:
        return Estimate(value, None, None), 1.0
    sides = min(np.count_nonzero(values <= 0), np.count_nonzero(values >= 0))
    return Estimate(value, *percentile(values)), float(min(1.0, 2 * (sides + 1) / (len(values) + 1)))


def permutation_test(a: Side, b: Side, drawn: Grouping, permutations: int = RESAMPLES) -> float:
    """The two-sided p of the paired permutation test: were A and B alike, swapping their answers on an item (on a
    whole group) would change nothing. Where models have several seeds, an item's row is the mean over them.

    Fisher RA (1935), The Design of Experiments, 21; for any metric: Yeh A (2000), COLING 2:947-953. Drawn swaps
    give (1 + as extreme) / (1 + drawn): Phipson B, Smyth GK (2010), SAGMB 9:39. With at most 13 units that differ
    all swaps are tried.
    """
    return permutation_tests([(a, b)], drawn, permutations)[0]


def permutation_tests(
    pairs: Sequence[tuple[Side, Side]], drawn: Grouping, permutations: int = RESAMPLES
) -> list[float]:
    """permutation_test of several metrics or models over the same items, which share the swaps."""
    made = table([side for a, b in pairs for side in (*a, *b)], drawn)
    swapped, start = [], 0
    for a, b in pairs:
        width, seeds = a[0].cells.shape[1], len(a) + len(b)
        rows = made.rows[:, start : start + seeds * width].reshape(len(made.rows), seeds, width)
        one, two = rows[:, : len(a)].mean(axis=1), rows[:, len(a) :].mean(axis=1)
        swapped.append(_Swapped(two - one, made.counts @ one, made.counts @ two, a[0].statistic))
        start += seeds * width
    moves = np.any([np.abs(one.gap).max(axis=1) > 0 for one in swapped], axis=0)
    gap, counts = np.concatenate([one.gap[moves] for one in swapped], axis=1), made.counts[moves]
    seen = [abs(float(one.difference(np.zeros((1, one.gap.shape[1])))[0])) for one in swapped]
    extreme, tried = np.zeros(len(swapped), dtype=np.int64), 0
    for swaps in _swaps(counts, permutations):
        with one_thread():
            moved, start = swaps @ (np.repeat(gap, counts, axis=0) if swaps.shape[1] > len(gap) else gap), 0
        for i, one in enumerate(swapped):
            width = one.gap.shape[1]
            extreme[i] += _as_extreme(one.difference(moved[:, start : start + width]), seen[i])
            start += width
        tried += len(swaps)
    return [
        float(count / tried) if np.isfinite(value) else 1.0
        for count, value in zip(extreme, seen, strict=True)
    ]


@dataclass(frozen=True)
class _Swapped:
    """One metric of a pair: what a swap of each row moves from B to A, both sums, and the metric."""

    gap: Array
    total_a: Array
    total_b: Array
    statistic: Statistic

    def difference(self, moved: Array) -> Array:
        with np.errstate(all="ignore"):
            found = self.statistic(self.total_a + moved) - self.statistic(self.total_b - moved)
        return np.asarray(found)


def _swaps(counts: Numbers, permutations: int) -> Iterator[Array]:
    """How many units of each row are swapped, in chunks (swaps × rows); the first one is what was seen. All swaps of
    few units come unit by unit (swaps × units)."""
    units, rows = int(counts.sum()), len(counts)
    if units <= MOST_EXACT:
        yield ((np.arange(2**units)[:, None] >> np.arange(units)) & 1).astype(np.float64)
        return
    yield np.zeros((1, rows))
    random = np.random.default_rng(SEED)
    size = max(1, CHUNK // rows)
    while permutations > 0:
        size = min(size, permutations)
        if rows < units:
            yield random.binomial(counts, 0.5, (size, rows)).astype(np.float64)
        else:
            bits = np.frombuffer(random.bytes(size * -(-units // 8)), np.uint8).reshape(size, -1)
            yield np.unpackbits(bits, axis=1, count=units).astype(np.float64)
        permutations -= size


def _as_extreme(found: Array, seen: float) -> int:
    # Sums of the same numbers in another order differ by rounding; an undefined one counts against us.
    return int(np.count_nonzero(~(np.abs(found) < seen - 1e-9 * max(seen, TINY))))
