"""Two runs on the items that both answered: the 2×2 counts and what they allow to say. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.comparisons.aligned import align, two_by_two
from app.comparisons.outcomes import group_numbers
from app.comparisons.sentence import plain_sentence
from app.evaluations.leaderboard import LeaderboardRow
from app.evaluations.outcomes import Columns
from app.statistics import grouping_by_number, paired_rates, smallest_difference
from app.tables import Split


@dataclass(frozen=True)
class Pair:
    """Run A against run B, the baseline. Differences and their ends are shares of 1. `groups` were counted whole
    (0: items one by one); `few_groups` are too few for that."""

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
    groups: int
    few_groups: int
    sentence: str

    @property
    def items(self) -> int:
        """How many items both answered."""
        return self.both + self.only_a + self.only_b + self.neither


def compare_pair(
    a: LeaderboardRow, b: LeaderboardRow, columns_a: Columns, columns_b: Columns, split: Split
) -> Pair:
    """The pair, by the groups of the split; without shared items the interval is everything that is possible."""
    aligned = align([columns_a, columns_b])
    counts = two_by_two(aligned.right[0], aligned.right[1])
    total, apart = sum(counts), counts[1] + counts[2]
    if not total:
        return Pair(a, b, *counts, 0.0, -1.0, 1.0, 1.0, 1.0, 0, 0, "These two runs share no items.")
    groups = group_numbers(split, aligned.numbers)
    found = paired_rates(aligned.right[:1], aligned.right[1:], grouping_by_number(groups))
    few = too_few(groups) if not found.whole_groups else 0
    return Pair(
        a,
        b,
        *counts,
        found.difference,
        found.low,
        found.high,
        found.p,
        smallest_difference(int(found.worth), apart / total),
        found.units if found.whole_groups else 0,
        few,
        plain_sentence(a.name, b.name, *counts, found, few),
    )


def too_few(groups: NDArray[np.int64]) -> int:
    """How many groups of several items there are, where they are too few to be counted whole."""
    sizes = np.bincount(groups[groups >= 0]) if len(groups) else groups
    return int((sizes > 0).sum()) if (sizes > 1).any() else 0
