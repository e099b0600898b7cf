"""Two models that are right or wrong on the same items: exact test, interval, and what a test set can show.

Notation: of n items, `both` and `neither` count where A and B agree, `only_a` and `only_b` where just one is right.
"""

import math
from collections.abc import Callable

# SciPy is imported in the calls that need it: its import would be half of the web server's start.

# Two-sided 5 %, and 80 % power.
Z = 1.959963984540054
Z_POWER = 0.8416212335729143
# The share of items on which two models of about equal accuracy differ, when nothing is known yet.
USUAL_DISCORDANT = 0.27


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """The two-sided p of the exact McNemar test; 1 when no item tells the two apart.

    p = min(1, 2 · P(X ≤ min(only_a, only_b))), X ~ Binomial(only_a + only_b, 1/2).
    McNemar Q (1947), Psychometrika 12:153-157; exact form: Agresti (2013), Categorical Data Analysis, 11.1.
    """
    from scipy.special import bdtr

    n = only_a + only_b
    return min(1.0, 2.0 * float(bdtr(min(only_a, only_b), n, 0.5))) if n else 1.0


def paired_difference(
    both: float, only_a: float, only_b: float, neither: float
) -> tuple[float, float, float]:
    """Accuracy of A minus accuracy of B with its 95 % interval, all from -1 to 1; needs at least one item. Counts may
    be effective numbers.

    The score interval of Tango T (1998), Statistics in Medicine 17:891-908: the differences δ with
    |only_a − only_b − n·δ| / √(n · (2·q + δ·(1 − δ))) ≤ 1.96, where q is the maximum likelihood estimate of
    P(only B) given δ. It keeps a width when no item differs: ± 1.96² / (n + 1.96²).
    """
    n = both + only_a + only_b + neither
    if n <= 0:
        raise ValueError("a difference needs at least one item")
    difference = (only_a - only_b) / n

    def above(delta: float) -> float:
        return _distance(only_a, only_b, n, delta) - Z

    def below(delta: float) -> float:
        return _distance(only_a, only_b, n, delta) + Z

    low = -1.0 if only_b == n else _root(above, -1.0, difference)
    high = 1.0 if only_a == n else _root(below, difference, 1.0)
    return difference, low, high


def _distance(only_a: float, only_b: float, n: float, delta: float) -> float:
    """The score statistic: how many standard errors the data lie above the difference `delta`."""
    b = (2 * n - only_a + only_b) * delta - only_a - only_b
    c = -only_b * delta * (1 - delta)
    q = (math.sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
    variance = n * (2 * q + delta * (1 - delta))
    gap = only_a - only_b - n * delta
    if variance <= 1e-15:
        return math.copysign(math.inf, gap) if abs(gap) > 1e-12 else 0.0
    return gap / math.sqrt(variance)


def _root(function, low: float, high: float) -> float:  # type: ignore[no-untyped-def]
    """Where the decreasing `function` crosses zero; infinite ends are cut to large numbers."""

    def finite(x: float) -> float:
        return max(-1e9, min(1e9, function(x)))

    if finite(low) <= 0:
        return low
    if finite(high) >= 0:
        return high
    return _crossing(finite, low, high, 1e-10)


def smallest_difference(n: int, discordant: float = USUAL_DISCORDANT) -> float:
    """The smallest accuracy difference, 0 to 1, that a test of `n` items shows with 80 % power at two-sided 5 %.

    Solves n = (1.96·√ψ + 0.84·√(ψ − d²))² / d² for d, where ψ is `discordant`, the share of items on which
    the two models differ (at least d itself). Connor RJ (1987), Biometrics 43:207-211. 1 when even
    a difference on all items could not be shown.
    """

    def surplus(d: float) -> float:
        psi = min(max(discordant, d), 1.0)
        return n * d * d - (Z * math.sqrt(psi) + Z_POWER * math.sqrt(max(psi - d * d, 0.0))) ** 2

    if n < 1 or surplus(1.0) <= 0:
        return 1.0
    return _crossing(surplus, 1e-9, 1.0, 1e-9)


def smallest_mean_difference(n: int, spread: float) -> float:
    """The smallest difference of two means that `n` items show with 80 % power at two-sided 5 %, in the metric's unit.

    (1.96 + 0.84) · spread / √n, where `spread` is the standard deviation over items of the paired differences.
    Miller E (2024), Adding error bars to evals, arXiv:2411.00640, section 5.
    """
    if n < 1:
        return math.inf
    return (Z + Z_POWER) * spread / math.sqrt(n)


def _crossing(function: Callable[[float], float], low: float, high: float, tolerance: float) -> float:
    from scipy.optimize import brentq

    return float(brentq(function, low, high, xtol=tolerance))
