"""Two runs on the items that both answered: the 2×2 counts and what they allow to say. Pure."""

from dataclasses import dataclass

from app.comparisons.aligned import align, two_by_two
from app.comparisons.sentence import plain_sentence
from app.evaluations.leaderboard import LeaderboardRow
from app.evaluations.outcomes import Columns
from app.statistics import mcnemar_exact, paired_difference, smallest_difference


@dataclass(frozen=True)
class Pair:
    """Run A against run B, the baseline. Differences and their ends are shares of 1."""

    a: LeaderboardRow
    b: LeaderboardRow
    both: int
    only_a: int
    only_b: int
    neither: int
    difference: float
    low: float
    high: float
    p: float
    smallest: float
    sentence: str

    @property
    def items(self) -> int:
        """How many items both answered."""
        return self.both + self.only_a + self.only_b + self.neither


def compare_pair(a: LeaderboardRow, b: LeaderboardRow, columns_a: Columns, columns_b: Columns) -> Pair:
    """The pair; without shared items the interval is everything that is possible."""
    aligned = align([columns_a, columns_b])
    both, only_a, only_b, neither = two_by_two(aligned.right[0], aligned.right[1])
    total = both + only_a + only_b + neither
    if not total:
        return Pair(a, b, 0, 0, 0, 0, 0.0, -1.0, 1.0, 1.0, 1.0, "These two runs share no items.")
    difference, low, high = paired_difference(both, only_a, only_b, neither)
    return Pair(
        a,
        b,
        both,
        only_a,
        only_b,
        neither,
        difference,
        low,
        high,
        mcnemar_exact(only_a, only_b),
        smallest_difference(total, (only_a + only_b) / total),
        plain_sentence(a.name, b.name, both, only_a, only_b, neither),
    )
