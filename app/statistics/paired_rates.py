"""Two models that are right or wrong on the same items, which may come in groups and be answered by several seeds.

Single runs on independent items get the exact McNemar test and Tango's interval (pairs.py); the rest gets the same
ideas over whole groups: a test that swaps groups, exactly, and Tango's interval over as many items as they are worth.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.statistics.draws import Grouping
from app.statistics.pairs import Z, mcnemar_exact, paired_difference
from app.statistics.sums import Array, Numbers

Bools = NDArray[np.bool_]
# Probabilities are sums of floats: below this they are rounding.
LEAST_P = 1e-12


@dataclass(frozen=True)
class PairedRates:
    """Share of right answers of A minus that of B (means over seeds), -1 to 1, its 95 % interval and p.

    `units` were swapped whole, items or `whole_groups`, of which `apart` tell A and B apart; `worth` is the number of
    independent items that would say as much."""

    difference: float
    low: float
    high: float
    p: float
    units: int
    apart: int
    whole_groups: bool
    worth: float


def paired_rates(a: Sequence[Bools] | Bools, b: Sequence[Bools] | Bools, drawn: Grouping) -> PairedRates:
    """`a` and `b` are right and wrong by item, one array for each seed; needs at least one item.

    Interval: Tango's, with all counts divided by the design effect of the difference (its variance over groups by that
    of independent single runs) and by (t/1.96)² for t with `units` - 1 degrees of freedom: the effective size of Korn EL,
    Graubard BI (1998), Survey Methodology 24:193-201. In simulations of 20 to 200 groups it covers 93 to 97 %.
    """
    right_a, right_b = (np.sum(np.asarray(side, dtype=np.int64), axis=0) for side in (a, b))
    n, pairs = len(right_a), len(a) * len(b)
    only_a = float((right_a * (len(b) - right_b)).sum()) / pairs
    only_b = float((right_b * (len(a) - right_a)).sum()) / pairs
    gaps = right_a * len(b) - right_b * len(a)
    by_unit = np.bincount(drawn.unit, gaps, drawn.count).astype(np.int64)
    apart = int(np.count_nonzero(by_unit))
    if pairs == 1 and not drawn.whole_groups:
        difference, low, high = paired_difference(
            0, round(only_a), round(only_b), n - round(only_a) - round(only_b)
        )
        p = mcnemar_exact(round(only_a), round(only_b))
        return PairedRates(difference, low, high, p, n, apart, False, float(n))
    worth = _worth(gaps / pairs, (only_a + only_b) / n, drawn)
    scale = worth / n
    rest = max(worth - (only_a + only_b) * scale, 0.0)
    difference = float(gaps.sum()) / (n * pairs)
    _, low, high = paired_difference(0, only_a * scale, only_b * scale, rest)
    p = swap_test(by_unit)
    return PairedRates(difference, low, high, p, drawn.count, apart, drawn.whole_groups, worth)


def _worth(gaps: Array, discordant: float, drawn: Grouping) -> float:
    """How many independent items of single runs say as much. Where none tells the two apart, a unit counts as one."""
    from scipy.special import stdtrit

    n, units = len(gaps), drawn.count
    mean = float(gaps.mean())
    single = (discordant - mean * mean) / n
    if single <= 0 or units < 2:
        return float(units)
    by_items = float(((gaps - mean) ** 2).sum()) / n**2
    sums = np.bincount(drawn.unit, gaps - mean, units)
    # Obuchowski NA (1998), Statistics in Medicine 17:1495-1507.
    by_units = units / (units - 1) * float(sums @ sums) / n**2
    effect = max(by_items, by_units) / single
    wider = float(stdtrit(units - 1, 0.975)) / Z
    return n / max(effect * wider**2, 1e-9)


def swap_test(gaps: Numbers) -> float:
    """The two-sided p of the exact permutation test that swaps A and B in whole units; `gaps` are A's right answers
    minus B's of each unit, whole numbers. With units of one item it is the exact McNemar test.

    Of the sum T of d·Bernoulli(½) over the gaps' sizes d, p = 2·P(T ≤ (Σd − |Σ gaps|)/2). Fisher RA (1935), The Design
    of Experiments, 21; the distribution by its characteristic function: Pagano M, Tritchler D (1983), JASA 78:435-440.
    """
    sizes = np.abs(gaps[gaps != 0])
    if not len(sizes) or not gaps.sum():
        return 1.0
    sizes, seen = sizes // np.gcd.reduce(sizes), abs(int(gaps.sum())) // int(np.gcd.reduce(sizes))
    total = int(sizes.sum())
    if total == len(sizes):
        return mcnemar_exact((total + seen) // 2, (total - seen) // 2)
    half = np.pi * np.arange(total + 1) / (total + 1)
    shape = np.exp(1j * half * total)
    for size, times in zip(*np.unique(sizes, return_counts=True), strict=True):
        shape *= np.cos(half * size) ** times
    chances = np.fft.fft(shape).real[: (total - seen) // 2 + 1] / (total + 1)
    return float(min(1.0, max(LEAST_P, 2 * chances.sum())))
