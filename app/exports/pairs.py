"""The best run against every other: exact McNemar tests over the items that both answered, corrected by Holm."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlmodel import Session

from app.evaluations.leaderboard import ScoreView
from app.evaluations.outcomes import Columns, outcomes
from app.statistics import holm, mcnemar_exact, paired_difference

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class PairTest:
    """Run `a` (the best) against run `b`: counts over shared items, the difference of their rates of right
    answers with Tango's interval (shares of 1), p, and p corrected for the number of pairs."""

    a: str
    b: str
    both: int
    only_a: int
    only_b: int
    neither: int
    difference: float | None
    low: float | None
    high: float | None
    p: float
    p_holm: float

    @property
    def items(self) -> int:
        """How many items both answered."""
        return self.both + self.only_a + self.only_b + self.neither

    @property
    def significant(self) -> bool:
        """Whether `b` is significantly worse."""
        return self.p_holm < SIGNIFICANT


def pair_tests(session: Session, runs: Sequence[tuple[str, int, ScoreView | None]]) -> tuple[PairTest, ...]:
    """`runs` are (key, scoring id, tested score) in the order of the table; the first of the best is the best."""
    if len(runs) < 2:
        return ()
    rates = [score.value if score and score.value is not None else -1.0 for _, _, score in runs]
    best = rates.index(max(rates))
    columns = outcomes(session, [scoring for _, scoring, _ in runs])
    mine = columns[runs[best][1]]
    others = [(key, columns[scoring]) for i, (key, scoring, _) in enumerate(runs) if i != best]
    counts = [_counts(mine, theirs) for _, theirs in others]
    ps = [mcnemar_exact(only_a, only_b) for _, only_a, only_b, _ in counts]
    tests = zip(others, counts, ps, holm(ps), strict=True)
    return tuple(_test(runs[best][0], key, four, p, adjusted) for (key, _), four, p, adjusted in tests)


def _counts(a: Columns, b: Columns) -> tuple[int, int, int, int]:
    _, in_a, in_b = np.intersect1d(a.numbers, b.numbers, assume_unique=True, return_indices=True)
    one, two = a.right[in_a], b.right[in_b]
    both, only_a, only_b = (one & two).sum(), (one & ~two).sum(), (~one & two).sum()
    return int(both), int(only_a), int(only_b), int((~one & ~two).sum())


def _test(a: str, b: str, counts: tuple[int, int, int, int], p: float, adjusted: float) -> PairTest:
    difference, low, high = paired_difference(*counts) if sum(counts) else (None, None, None)
    ends = (_rounded(difference), _rounded(low), _rounded(high))
    return PairTest(a, b, *counts, *ends, _rounded(p) or 0.0, _rounded(adjusted) or 0.0)


def _rounded(value: float | None) -> float | None:
    """Twelve digits: the last ones differ between builds of SciPy, and exports may not."""
    return None if value is None else float(f"{value:.12g}")
