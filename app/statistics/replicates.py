"""One model trained with several seeds: its mean, how much seeds matter, and how much items do, apart."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.statistics.draws import RESAMPLES, SEED, Grouping, resampled, table
from app.statistics.intervals import bca
from app.statistics.sums import Sums


@dataclass(frozen=True)
class Replicates:
    """`mean` over `seeds` with its 95 % interval over items (None without spread); `sd`, `least` and `most` over
    the seeds themselves (`sd` None for one seed)."""

    mean: float
    low: float | None
    high: float | None
    sd: float | None
    least: float
    most: float
    seeds: int


def spread_of(values: Sequence[float]) -> Replicates:
    """Mean, standard deviation (n − 1) and range of the scores of several seeds; no interval over items."""
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Replicates(float(np.mean(values)), None, None, sd, min(values), max(values), len(values))


def over_seeds(sides: Sequence[Sums], drawn: Grouping, resamples: int = RESAMPLES) -> Replicates:
    """A metric of each seed over the same items. All seeds get the same resamples of items, so the interval says
    how the mean over just these seeds would vary with other items; the spread between seeds stands beside it.

    Bouthillier X et al. (2021), Accounting for variance in machine learning benchmarks, MLSys; Miller E (2024),
    arXiv:2411.00640, section 3.
    """
    made = table(sides, drawn)
    values = [float(value) for value in made.total[0]]
    told, found = spread_of(values), resampled(made, resamples, SEED).mean(axis=1)
    found = found[np.isfinite(found)]
    if not np.isfinite(told.mean) or made.units < 2 or len(found) < 100 or np.ptp(found) <= 1e-12:
        return told
    with np.errstate(all="ignore"):
        jackknife = made.values(made.counts @ made.rows - made.rows).mean(axis=1)
    low, high = bca(told.mean, found, jackknife, made.counts)
    return Replicates(told.mean, low, high, told.sd, told.least, told.most, told.seeds)
