"""Two models on the same items by any metric: interval of the difference and a test of it.

A side is a list of one metric for each seed of a model; all of them count the same items.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from app.statistics.draws import CHUNK, RESAMPLES, SEED, Grouping, Table, resampled, table, weights
from app.statistics.intervals import bca, percentile
from app.statistics.sums import Array, Estimate, Numbers, Ranked, Sums

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


def permutation_test(
    a: Sequence[Sums], b: Sequence[Sums], drawn: Grouping, permutations: int = RESAMPLES
) -> float:
    """The two-sided p of the paired permutation test: were A and B alike, swapping their answers on an item (on a
    whole group) would change nothing. Where models have several seeds, an item's row is the mean over them.

    Fisher RA (1935), The Design of Experiments, 21; for any metric: Yeh A (2000), COLING 2:947-953. Drawn swaps
    give (1 + as extreme) / (1 + drawn): Phipson B, Smyth GK (2010), SAGMB 9:39. With at most 13 units that differ
    all swaps are tried.
    """
    made = table([*a, *b], drawn)
    width = a[0].cells.shape[1]
    blocks = made.rows.reshape(len(made.rows), len(a) + len(b), width)
    one, two = blocks[:, : len(a)].mean(axis=1), blocks[:, len(a) :].mean(axis=1)
    gap = two - one
    moves = np.abs(gap).max(axis=1) > 0
    total_a, total_b = made.counts @ one, made.counts @ two
    statistic = a[0].statistic

    def difference(moved: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(statistic(total_a + moved) - statistic(total_b - moved))

    seen = float(difference(np.zeros((1, width)))[0])
    if not np.isfinite(seen):
        return 1.0
    extreme, tried = _count_extreme(gap[moves], made.counts[moves], difference, abs(seen), permutations)
    return extreme / tried


def _count_extreme(
    gap: Array, counts: Numbers, difference: Callable[[Array], Array], seen: float, permutations: int
) -> tuple[int, int]:
    """(swaps at least as extreme as what was seen, swaps tried), the seen one among them."""
    units = int(counts.sum())
    if units <= MOST_EXACT:
        rows = np.repeat(gap, counts, axis=0)
        swaps = (np.arange(2**units)[:, None] >> np.arange(units)) & 1
        found = difference(swaps.astype(float) @ rows)
        return int(np.count_nonzero(_as_extreme(found, seen))), len(found)
    extreme, left = 1, permutations
    random = np.random.default_rng(SEED)
    size = max(1, CHUNK // len(gap))
    while left > 0:
        size = min(size, left)
        if len(gap) < units:
            swaps = random.binomial(counts, 0.5, (size, len(gap))).astype(np.float64)
        else:
            bits = np.frombuffer(random.bytes(size * -(-units // 8)), np.uint8).reshape(size, -1)
            swaps = np.unpackbits(bits, axis=1, count=units).astype(np.float64)
        extreme += int(np.count_nonzero(_as_extreme(difference(swaps @ gap), seen)))
        left -= size
    return extreme, permutations + 1


def _as_extreme(found: Array, seen: float) -> NDArray[np.bool_]:
    # Sums of the same numbers in another order differ by rounding; an undefined one counts against us.
    return ~(np.abs(found) < seen - 1e-9 * max(seen, TINY))
