"""The best run against every other: exact tests over the items that both answered, corrected by Holm. Items of one group
count together, as on the compare page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from sqlmodel import Session

from app.comparisons.aligned import two_by_two
from app.comparisons.outcomes import group_numbers
from app.evaluations.leaderboard import ScoreView
from app.evaluations.outcomes import Columns, outcomes
from app.statistics import PairedRates, grouping_by_number, holm, paired_rates
from app.tables import Split

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class PairTest:
    """Run `a` (the best) against run `b`: counts over shared items, the difference of their rates of right
    answers with Tango's interval (shares of 1), p, and p corrected for the number of pairs. `groups` counted whole,
    of which `groups_apart` tell the two apart (both 0: items one by one)."""

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
    groups: int = 0
    groups_apart: int = 0

    @property
    def items(self) -> int:
        """How many items both answered."""
        return self.both + self.only_a + self.only_b + self.neither

    @property
    def significant(self) -> bool:
        """Whether `b` is significantly worse."""
        return self.p_holm < SIGNIFICANT

    @property
    def found(self) -> PairedRates | None:
        """The numbers as statistics give them; None without shared items."""
        if self.difference is None or self.low is None or self.high is None:
            return None
        units, apart = (
            (self.groups, self.groups_apart) if self.groups else (self.items, self.only_a + self.only_b)
        )
        return PairedRates(
            self.difference, self.low, self.high, self.p, units, apart, self.groups > 0, float(self.items)
        )


def pair_tests(
    session: Session,
    runs: Sequence[tuple[str, int, ScoreView | None]],
    splits: Mapping[str, Split],
) -> tuple[PairTest, ...]:
    """`runs` are (key, scoring id, tested score) in the order of the table; the first of the best is the best.
    `splits` are theirs by key; groups are those of the best run's."""
    if len(runs) < 2:
        return ()
    rates = [score.value if score and score.value is not None else -1.0 for _, _, score in runs]
    best = rates.index(max(rates))
    columns = outcomes(session, [scoring for _, scoring, _ in runs])
    key, mine = runs[best][0], columns[runs[best][1]]
    tests = [
        _test(key, other, mine, columns[scoring], splits[key])
        for i, (other, scoring, _) in enumerate(runs)
        if i != best
    ]
    corrected = holm([test.p for test in tests])
    return tuple(replace(test, p_holm=_rounded(p)) for test, p in zip(tests, corrected, strict=True))


def _test(a: str, b: str, mine: Columns, theirs: Columns, split: Split) -> PairTest:
    numbers, in_a, in_b = np.intersect1d(
        mine.numbers, theirs.numbers, assume_unique=True, return_indices=True
    )
    one, two = mine.right[in_a], theirs.right[in_b]
    counts = two_by_two(one, two)
    if not len(numbers):
        return PairTest(a, b, 0, 0, 0, 0, None, None, None, 1.0, 1.0)
    found = paired_rates([one], [two], grouping_by_number(group_numbers(split, numbers)))
    ends = (_rounded(found.difference), _rounded(found.low), _rounded(found.high))
    groups = (found.units, found.apart) if found.whole_groups else (0, 0)
    # The p of whole groups is a difference of sums near 1, so that its last digits are noise.
    p = round(found.p, 12) if found.whole_groups else _rounded(found.p)
    return PairTest(a, b, *counts, *ends, p, p, *groups)


def _rounded(value: float) -> float:
    """Twelve digits: the last ones differ between builds of SciPy, and exports may not."""
    return float(f"{value:.12g}")
