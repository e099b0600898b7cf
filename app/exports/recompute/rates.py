"""Rates with Wilson's interval, the McNemar test, Tango's interval, Holm's correction. Standard library only."""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

Z = NormalDist().inv_cdf(0.975)
FEWEST_GROUPS = 20


def wilson(right: float, n: float) -> tuple[float, float]:
    """Wilson EB (1927), JASA 22:209-212."""
    p, z2 = right / n, Z * Z
    middle, half = p + z2 / (2 * n), Z * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    low, high = (middle - half) / (1 + z2 / n), (middle + half) / (1 + z2 / n)
    return min(max(low, 0.0), p), max(min(high, 1.0), p)


def rate(hits: Sequence[bool], groups: Sequence[str | None]) -> dict[str, float]:
    """{"value", "low", "high", "n", "right"}. Where at least 20 groups are named, n is divided by the design
    effect: the variance by groups over the variance by items (Kish 1965; Korn and Graubard 1998)."""
    n, right = len(hits), sum(hits)
    unit, count = units(groups)
    p, effective = right / n, float(n)
    if count < n and 0 < p < 1:
        sums = [0.0] * count
        for place, hit in zip(unit, hits, strict=True):
            sums[place] += hit - p
        by_groups = count / (count - 1) * sum(one * one for one in sums) / n**2
        effective = n / max(1.0, by_groups / (p * (1 - p) / n))
    low, high = wilson(p * effective, effective)
    return {"value": p, "low": low, "high": high, "n": n, "right": right}


def units(groups: Sequence[str | None]) -> tuple[list[int], int]:
    """What is drawn, for each item, and how many there are: groups, or the items themselves."""
    n = len(groups)
    if any(group is not None for group in groups):
        names: dict[object, int] = {}
        unit = [names.setdefault(i if group is None else group, len(names)) for i, group in enumerate(groups)]
        if FEWEST_GROUPS <= len(names) < n:
            return unit, len(names)
    return list(range(n)), n


def mcnemar(only_a: int, only_b: int) -> float:
    """The two-sided p of the exact test, in whole numbers: McNemar Q (1947), Psychometrika 12:153-157."""
    n, total, term = only_a + only_b, 0, 1
    for k in range(min(only_a, only_b) + 1):
        total += term
        term = term * (n - k) // (k + 1)
    return min(1.0, 2 * total / 2**n) if n else 1.0


def holm(ps: Sequence[float]) -> list[float]:
    """The p-values corrected for their number: Holm S (1979), Scandinavian Journal of Statistics 6:65-70."""
    corrected, largest = [0.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[place]))
        corrected[place] = largest
    return corrected


def tango(both: int, only_a: int, only_b: int, neither: int) -> tuple[float, float, float]:
    """The difference of two paired rates with the score interval of Tango T (1998), Stat. in Med. 17:891-908."""
    n = both + only_a + only_b + neither
    difference = (only_a - only_b) / n

    def score(delta: float) -> float:
        b = (2 * n - only_a + only_b) * delta - only_a - only_b
        c = -only_b * delta * (1 - delta)
        q = (math.sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
        variance, gap = n * (2 * q + delta * (1 - delta)), only_a - only_b - n * delta
        if variance <= 1e-15:
            return math.copysign(1e9, gap) if abs(gap) > 1e-12 else 0.0
        return gap / math.sqrt(variance)

    low = -1.0 if only_b == n else _crossing(lambda d: score(d) - Z, -1.0, difference)
    high = 1.0 if only_a == n else _crossing(lambda d: score(d) + Z, difference, 1.0)
    return difference, low, high


def _crossing(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a decreasing function crosses zero, by halving."""
    if function(low) <= 0:
        return low
    if function(high) >= 0:
        return high
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) > 0 else (low, middle)
    return (low + high) / 2
