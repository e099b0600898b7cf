"""The best run against every other: exact McNemar tests over the items that both answered, corrected by Holm."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlmodel import Session, col, select

from app.evaluations.leaderboard import ScoreView
from app.statistics import holm, mcnemar_exact, paired_difference
from app.tables import Reading

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
    mine = _right(session, runs[best][1])
    others = [(key, _right(session, scoring)) for i, (key, scoring, _) in enumerate(runs) if i != best]
    counts = [_counts(mine, right) for _, right in others]
    ps = [mcnemar_exact(only_a, only_b) for _, only_a, only_b, _ in counts]
    tests = zip(others, counts, ps, holm(ps), strict=True)
    return tuple(_test(runs[best][0], key, four, p, adjusted) for (key, _), four, p, adjusted in tests)


def _right(session: Session, scoring_id: int) -> tuple[np.ndarray, np.ndarray]:
    """Item numbers, ascending, and whether each is right."""
    found = session.exec(
        select(Reading.number, Reading.correct)
        .where(Reading.scoring_id == scoring_id)
        .order_by(col(Reading.number))
    ).all()
    return np.array([row[0] for row in found], int), np.array([row[1] for row in found], bool)


def _counts(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> tuple[int, int, int, int]:
    _, in_a, in_b = np.intersect1d(a[0], b[0], assume_unique=True, return_indices=True)
    one, two = a[1][in_a], b[1][in_b]
    both, only_a, only_b = (one & two).sum(), (one & ~two).sum(), (~one & two).sum()
    return int(both), int(only_a), int(only_b), int((~one & ~two).sum())


def _test(a: str, b: str, counts: tuple[int, int, int, int], p: float, adjusted: float) -> PairTest:
    ends: tuple[float | None, ...] = paired_difference(*counts) if sum(counts) else (None, None, None)
    return PairTest(a, b, *counts, *ends, p, adjusted)
