"""Two runs over the same items, whole groups together where there are enough. Standard library only."""

import cmath
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rates import Z, mcnemar, tango, units

LEAST_P = 1e-12


def paired(a: Sequence[bool], b: Sequence[bool], groups: Sequence[str | None]) -> dict[str, Any]:
    """{"counts": both, only a, only b, neither; "p"; "difference": it and its interval; "groups": how many counted whole}.

    Single items: exact McNemar test and Tango's interval. Groups: they are swapped whole, and Tango's interval is over
    the effective size n / (design effect · (t/1.96)²) of Korn and Graubard (1998), Survey Methodology 24:193-201.
    """
    both = list(zip(a, b, strict=True))
    counts = [both.count(kind) for kind in ((True, True), (True, False), (False, True), (False, False))]
    unit, count = units(groups)
    n = len(both)
    if count == n:
        difference = tango(*counts) if n else (None, None, None)
        return {
            "counts": counts,
            "p": mcnemar(counts[1], counts[2]),
            "difference": [*difference],
            "groups": 0,
        }
    gaps = [0] * count
    for place, (one, two) in zip(unit, both, strict=True):
        gaps[place] += int(one) - int(two)
    worth = _worth(unit, gaps, n, counts)
    only_a, only_b = (one * worth / n for one in counts[1:3])
    _, low, high = tango(0, only_a, only_b, max(worth - only_a - only_b, 0.0))
    return {"counts": counts, "p": swaps(gaps), "difference": [sum(gaps) / n, low, high], "groups": count}


def _worth(unit: Sequence[int], gaps: Sequence[int], n: int, counts: Sequence[int]) -> float:
    count, mean = len(gaps), sum(gaps) / n
    single = ((counts[1] + counts[2]) / n - mean * mean) / n
    if single <= 0:
        return float(count)
    sizes = Counter(unit)
    by_groups = count / (count - 1) * sum((gap - sizes[i] * mean) ** 2 for i, gap in enumerate(gaps)) / n**2
    return n / (max(1.0, by_groups / single) * (t_quantile(count - 1) / Z) ** 2)


def swaps(gaps: Sequence[int]) -> float:
    """The two-sided p of all swaps of whole groups, by the characteristic function of their sum: Pagano M, Tritchler D
    (1983), JASA 78:435-440."""
    sizes = [abs(gap) for gap in gaps if gap]
    if not sizes or not sum(gaps):
        return 1.0
    whole = math.gcd(*sizes)
    seen, total = abs(sum(gaps)) // whole, sum(sizes) // whole
    if total == len(sizes):
        return mcnemar((total + seen) // 2, (total - seen) // 2)
    times, steps = Counter(size // whole for size in sizes), total + 1
    last, sums = (total - seen) // 2 + 1, 0.0
    for k in range(1, steps):
        half = math.pi * k / steps
        size = math.prod(math.cos(half * size) ** often for size, often in times.items())
        turn = cmath.exp(-2j * half)
        sums += (size * cmath.exp(1j * half * total) * (1 - turn**last) / (1 - turn)).real
    return min(1.0, max(LEAST_P, 2 * (last + sums) / steps))


def t_quantile(freedom: int) -> float:
    """The 97.5 % quantile of Student's t: Abramowitz and Stegun (1964), 26.7.3 and 26.7.4, by halving."""
    low, high = 0.0, 100.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < 0.95 else (low, middle)
    return (low + high) / 2


def _within(t: float, freedom: int) -> float:
    angle = math.atan(t / math.sqrt(freedom))
    cosine, odd = math.cos(angle), freedom % 2
    term, total = (cosine if odd else 1.0), 0.0
    for k in range(2 - (not odd), freedom, 2):
        total += term
        term *= cosine**2 * k / (k + 1)
    found = math.sin(angle) * total
    return 2 / math.pi * (angle + found) if odd else found
