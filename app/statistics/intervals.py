"""95 % intervals: Wilson's for rates, and those that are read off resampled values."""

from statistics import NormalDist

import numpy as np

from app.statistics.pairs import Z
from app.statistics.sums import Array, Numbers

NORMAL = NormalDist()


def wilson(right: float, n: float) -> tuple[float, float]:
    """Wilson's score interval of a rate (0 to 1); n may be an effective number. Needs n > 0.

    (p + z²/2n ± z·√(p(1 − p)/n + z²/4n²)) / (1 + z²/n): Wilson EB (1927), JASA 22:209-212.
    """
    p, z2 = right / n, Z * Z
    middle, half = p + z2 / (2 * n), Z * np.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    low, high = (middle - half) / (1 + z2 / n), (middle + half) / (1 + z2 / n)
    return float(min(max(low, 0.0), p)), float(max(min(high, 1.0), p))


def percentile(found: Array) -> tuple[float, float]:
    """The middle 95 % of resampled values. Efron B (1981), Canadian Journal of Statistics 9:139-172."""
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def bca(
    value: float, found: Array, jackknife: Array | None = None, counts: Numbers | None = None
) -> tuple[float, float]:
    """The bias-corrected and accelerated interval: Efron B (1987), JASA 82:171-185.

    `found` are resampled values, `jackknife` the values without one unit each, of which `counts` are alike
    (default: one); without a jackknife the acceleration is 0.
    """
    tolerance = 1e-12 * max(1.0, abs(value))
    below = np.mean(found < value - tolerance) + 0.5 * np.mean(np.abs(found - value) <= tolerance)
    bias = NORMAL.inv_cdf(float(np.clip(below, 0.5 / len(found), 1 - 0.5 / len(found))))
    acceleration = 0.0
    if jackknife is not None and np.isfinite(jackknife).all():
        gaps = np.average(jackknife, weights=counts) - jackknife
        times = np.ones(len(gaps)) if counts is None else counts
        squares = float(times @ gaps**2)
        acceleration = float(times @ gaps**3) / (6 * squares**1.5) if squares > 0 else 0.0
    ends = [bias - Z, bias + Z]
    levels = [NORMAL.cdf(bias + end / (1 - acceleration * end)) for end in ends]
    low, high = np.quantile(found, levels)
    return float(low), float(high)
